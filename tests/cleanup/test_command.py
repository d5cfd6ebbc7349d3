"""`python -m api cleanup` on a data folder whose platform has stopped, and beside one that runs."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.clients.gitops_repo import Change
from api.dependencies import Records
from api.domain.activity import Counters, Hole, Knowledge, dump_knowledge, stopped
from api.domain.commit_message import person
from api.domain.names import AppRef
from api.domain.repo_layout import AppFile, TenantFile, app_folder, dump, tenant_folder
from api.opening import make_repository, open_records
from api.settings import Settings
from tests.product import ROOT, Product

DAY = timedelta(days=1)
SHOP, BLOG = AppRef("u1", "shop"), AppRef("u1", "blog")


@asynccontextmanager
async def records(data_dir: Path) -> AsyncIterator[Records]:
    async with open_records(Settings(data_dir=data_dir)) as opened:
        yield opened


@pytest.fixture
async def data_dir(tmp_path: Path) -> Path:
    """Two apps: one that was used three days ago, and one of this minute."""
    folder = tmp_path / "data"
    await make_repository(Settings(data_dir=folder))
    now = datetime.now(UTC)
    async with records(folder) as opened:
        edits = {
            f"{tenant_folder('u1', 2)}/tenant.yaml": dump(
                TenantFile(user="u1", username="ada", created=now)
            )
        }
        for ref in (SHOP, BLOG):
            path = app_folder(ref, 2)
            edits[f"{path}/app.yaml"] = dump(AppFile(id=ref.app_id, user="u1", name="An app"))
            edits[f"{path}/code/user_code.py"] = b"app = None\n"
        commit = await opened.writer.write(Change(edits, "Import\n", person("ada", "u1")))
        await opened.store.touch(SHOP, now - 3 * DAY)
        await opened.store.touch(BLOG, now)
        await opened.store.keep_note(
            "activity",
            dump_knowledge(Knowledge(now, (Hole(now - 9 * DAY, now - 9 * DAY, "new"),), commit)),
        )
    return folder


def start(data_dir: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "api", "cleanup", *options],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def cleanup(data_dir: Path, *options: str) -> tuple[int, str, str]:
    process = start(data_dir, *options)
    out, err = await asyncio.to_thread(process.communicate, timeout=60)
    return process.returncode, out, err


async def apps(data_dir: Path) -> list[str]:
    async with records(data_dir) as opened:
        tip = await opened.intents.tip()
        return sorted(await opened.repo.children(tip, tenant_folder("u1", 2)))


async def test_it_tells_what_it_would_do_and_why_and_then_does_it(data_dir: Path):
    status, out, err = await cleanup(data_dir, "--dry-run")
    assert (status, err) == (0, "")
    assert "would remove u1/shop: not used for 3 days" in out
    assert "2 apps: would remove 1" in out
    assert await apps(data_dir) == ["blog", "shop", "tenant.yaml"]
    status, out, err = await cleanup(data_dir, "--json")
    assert (status, err) == (0, "")
    answer = json.loads(out)
    assert [(a["app_id"], a["fate"]) for a in answer["apps"]] == [("shop", "remove")]
    assert await apps(data_dir) == ["blog", "tenant.yaml"]
    async with records(data_dir) as opened:
        info = await opened.repo.info(await opened.intents.tip())
        assert info is not None
        assert [info.id] == answer["commits"]
        assert info.message.startswith("cleanup shop: not used for 3 days\n")
        assert "App-Id: shop\nUser-Id: u1\nAction: cleanup\n" in info.message
    status, out, _ = await cleanup(data_dir)
    assert (status, out.strip()) == (0, "1 apps: removes 0, puts to sleep 0.")


async def test_without_fresh_knowledge_it_does_nothing_and_says_why(data_dir: Path):
    async with records(data_dir) as opened:
        long_ago = datetime.now(UTC) - timedelta(hours=2)
        await opened.store.keep_note("activity", dump_knowledge(Knowledge(long_ago)))
    status, out, _ = await cleanup(data_dir)
    assert status == 1
    assert "No app is judged idle: requests to apps were last counted at" in out
    assert await apps(data_dir) == ["blog", "shop", "tenant.yaml"]


async def test_after_a_platform_that_was_killed_it_does_nothing_until_one_was_stopped(
    data_dir: Path,
):
    now, router = datetime.now(UTC), "127.0.0.1:9100"
    known = Knowledge(
        now,
        (Hole(now - 9 * DAY, now - 9 * DAY, "new"),),
        routers={router: Counters("100", now, {})},
    )
    async with records(data_dir) as opened:
        await opened.store.keep_note("activity", dump_knowledge(known))
    for options in ((), ("--dry-run",)):
        status, out, _ = await cleanup(data_dir, *options)
        assert status == 1
        assert "the platform ended without a last reading" in out
    assert await apps(data_dir) == ["blog", "shop", "tenant.yaml"]
    async with records(data_dir) as opened:
        await opened.store.keep_note("activity", dump_knowledge(stopped(known, [router])))
    assert (await cleanup(data_dir))[0] == 0
    assert await apps(data_dir) == ["blog", "tenant.yaml"]


async def test_killed_at_any_moment_it_leaves_a_whole_repository_and_the_next_one_ends_the_work(
    data_dir: Path,
):
    for seconds in (0.5, 0.8, 1.1, 1.4):
        process = start(data_dir)
        await asyncio.to_thread(time.sleep, seconds)
        process.kill()
        await asyncio.to_thread(process.communicate)
        assert set(await apps(data_dir)) >= {"blog", "tenant.yaml"}
    with closing(sqlite3.connect(data_dir / "platform.sqlite3")) as database, database:
        database.execute("DELETE FROM leases")  # they run out in a minute, without waiting for it
    assert (await cleanup(data_dir))[0] == 0
    assert await apps(data_dir) == ["blog", "tenant.yaml"]
    done = await asyncio.to_thread(
        subprocess.run,
        ["git", "-C", data_dir / "repo.git", "fsck", "--strict"],
        capture_output=True,
        check=True,
    )
    assert b"error" not in done.stderr


async def test_beside_a_platform_that_runs_it_leaves_the_work_to_it(product: Product):
    status, _, err = await cleanup(product.data_dir)
    assert status == 1
    assert "cleans up by itself" in err
    status, out, _ = await cleanup(product.data_dir, "--dry-run", "--json")
    assert (status, json.loads(out)["stopped"]) == (0, None)


async def test_an_open_editor_counts_as_use_and_the_time_left_is_told(product: Product):
    ada, eve = product.sign_up(), product.sign_up()
    app = ada.create("Edited", {"user_code.py": "from fastapi import FastAPI\n\napp = FastAPI()\n"})
    used, ends = (datetime.fromisoformat(app[k]) for k in ("last_activity_at", "expires_at"))
    assert ends - used == DAY
    assert app["hibernates_at"] is None
    path = f"/api/apps/{app['app_id']}/activity"
    for _ in range(3):
        said = ada.ok("POST", path)
    assert abs(datetime.fromisoformat(said["last_activity_at"]) - used) < timedelta(minutes=5)
    assert eve.http.post(path).status_code == 404
    assert product.client().post(path).status_code == 401
