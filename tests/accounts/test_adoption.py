"""The database is lost: an operator gives apps back, and nobody helps himself to them."""

import asyncio
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click.testing
import pytest
from typer.testing import CliRunner

from api import commands
from api.adoption import Adoption
from api.clients.store import Account, UserIdTaken
from api.domain.names import AppRef
from api.domain.repo_layout import (
    EMPTY_OVERLAY,
    AppFile,
    Block,
    TenantFile,
    app_folder,
    dump,
    parse_tenant,
    tenant_folder,
)
from api.errors import Conflict
from api.init_repo import init_repo
from api.leases import HeldElsewhere, Leases
from api.opening import DATABASE_FILE
from api.settings import Settings
from tests.application import Application, application

LOST = datetime(2026, 5, 1, 12, tzinfo=UTC)
ADAS = AppRef("uadabcdfghjk", "shop-bcdfgh")
Run = Callable[..., Any]


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    init_repo(folder / "repo.git")
    return folder


def commit(data: Path, ref: AppRef, **tenant: Any) -> None:
    """A tenant with one app, as the repository of the lost installation has it."""
    work = data.parent / "work"
    if not work.exists():
        git(data.parent, "clone", "-q", "-b", "main", str(data / "repo.git"), str(work))
    file = TenantFile(**{"user": ref.user_id, "username": "ada", "created": LOST} | tenant)
    app = AppFile(id=ref.app_id, user=ref.user_id, name="Shop")
    files = {
        f"{tenant_folder(ref.user_id, 2)}/tenant.yaml": dump(file),
        f"{app_folder(ref, 2)}/app.yaml": dump(app),
        f"{app_folder(ref, 2)}/code/user_code.py": b"from fastapi import FastAPI\n",
        f"{app_folder(ref, 2)}/overlay/kustomization.yaml": EMPTY_OVERLAY,
    }
    for path, content in files.items():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_bytes(content)
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", f"As it was: {ref.app_id}")
    git(work, "push", "-q", "origin", "main")


@pytest.fixture
def run(data: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("DATA_DIR", str(data))

    def invoke(*arguments: str) -> click.testing.Result:
        return CliRunner().invoke(commands.app, ["admin", *arguments])

    return invoke


def answer(result: click.testing.Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def on(data: Path, work: Callable[[Application], Any]) -> Any:
    async def opened() -> Any:
        async with application(Settings(data_dir=data)) as platform:
            return await work(platform)

    return asyncio.run(opened())


def sign_up(data: Path, username: str) -> str:
    async def work(platform: Application) -> str:
        return (await platform.sign_up(username)).json()["user_id"]

    return on(data, work)


def apps(data: Path, user_id: str) -> list[str]:
    async def work(platform: Application) -> list[str]:
        return [app.ref.app_id for app in await platform.records.intents.apps(user_id)]

    return on(data, work)


def log_in(data: Path, username: str) -> int:
    async def work(platform: Application) -> int:
        return (await platform.log_in(username)).status_code

    return on(data, work)


def test_who_signs_up_with_a_lost_name_gets_nothing_by_himself(data: Path, run: Run):
    commit(data, ADAS)
    new = sign_up(data, "ADA")
    assert new != ADAS.user_id
    assert apps(data, new) == []
    [orphan] = answer(run("adopt", "--json"))
    assert (orphan["user_id"], orphan["username"], orphan["apps"]) == (ADAS.user_id, "ada", 1)
    # By these the operator asks who it is.
    assert orphan["namesakes_email"] == "ADA@example.org"
    assert orphan["namesake_since"]
    misused = run("adopt", ADAS.user_id)
    assert misused.exit_code == 2
    assert apps(data, new) == []


def test_an_account_made_anew_has_its_apps_again(data: Path, run: Run):
    commit(data, ADAS)
    sign_up(data, "ada")
    before = git(data / "repo.git", "rev-parse", "main")
    adopted = answer(run("adopt", ADAS.user_id, "ada", "--json"))
    assert (adopted["user_id"], adopted["suspended"]) == (ADAS.user_id, False)
    assert log_in(data, "ada") == 200
    [row] = answer(run("users", "--json"))
    assert row["user_id"] == ADAS.user_id
    assert answer(run("adopt", "--json")) == []
    assert "has an account" in run("adopt").stdout
    # Once more changes nothing, and git had nothing to learn.
    assert answer(run("adopt", ADAS.user_id, "ada", "--json")) == adopted
    assert git(data / "repo.git", "rev-parse", "main") == before


def test_under_another_name_the_repository_says_whose_it_is(data: Path, run: Run):
    commit(data, ADAS)
    sign_up(data, "lovelace")
    answer(run("adopt", ADAS.user_id, "lovelace", "--json"))
    path = f"main:{tenant_folder(ADAS.user_id, 2)}/tenant.yaml"
    tenant = parse_tenant(git(data / "repo.git", "show", path).encode())
    assert (tenant.username, tenant.user, tenant.created) == ("lovelace", ADAS.user_id, LOST)
    message = git(data / "repo.git", "log", "-1", "--format=%B", "main")
    assert f"User-Id: {ADAS.user_id}" in message
    assert "Action: adopt" in message


def test_who_was_suspended_is_suspended_again(data: Path, run: Run):
    commit(data, ADAS, suspended=Block(by="root", reason="Mining coins."))
    sign_up(data, "ada")
    assert answer(run("adopt", "--json"))[0]["suspended"] is True
    assert answer(run("adopt", ADAS.user_id, "ada", "--json"))["suspended"] is True
    assert log_in(data, "ada") == 403


def test_what_would_take_apps_from_somebody_is_refused(data: Path, run: Run):
    commit(data, ADAS)
    sign_up(data, "ada")
    answer(run("adopt", ADAS.user_id, "ada", "--json"))
    eve = sign_up(data, "eve")
    taken = run("adopt", ADAS.user_id, "eve")
    assert taken.exit_code == 1
    assert "ada's" in taken.stderr
    commit(data, AppRef(eve, "mine-bcdfgh"), username="eve")
    commit(data, AppRef("ulost", "old-bcdfgh"), username="bob")
    own = run("adopt", "ulost", "eve")
    assert own.exit_code == 1
    assert "apps of their own" in own.stderr
    assert apps(data, eve) == ["mine-bcdfgh"]
    for arguments in (("unknown", "eve"), ("ulost", "nobody")):
        assert run("adopt", *arguments).exit_code == 1


def test_a_wrong_tenant_file_is_told(data: Path, run: Run):
    commit(data, ADAS, user="somebodyelse")
    sign_up(data, "ada")
    [orphan] = answer(run("adopt", "--json"))
    assert (orphan["username"], orphan["namesakes_email"]) == (None, None)
    refused = run("adopt", ADAS.user_id, "ada")
    assert refused.exit_code == 1
    assert "tenant.yaml" in refused.stderr


def test_it_begins_with_an_empty_database(data: Path, run: Run):
    commit(data, ADAS)
    assert not (data / DATABASE_FILE).exists()
    assert len(answer(run("adopt", "--json"))) == 1
    made = answer(run("create", "ada", "ada@example.org", "--json"))
    assert answer(run("adopt", ADAS.user_id, "ada", "--json"))["email"] == "ada@example.org"
    assert made["user_id"] != ADAS.user_id


async def test_of_two_who_adopt_at_once_one_does(data: Path, settings_for):
    """Whether both want one tenant, or give one account two tenants."""
    others = AppRef("ubobcdfghjkl", "blog-bcdfgh")
    commit(data, ADAS)
    commit(data, others, username="bob")
    async with application(settings_for(data_dir=data)) as platform:
        for name in ("ada", "eve"):
            await platform.sign_up(name)
        records = platform.records
        leases = Leases(records.store)
        adoption = Adoption(records.store, records.intents, records.tenants, leases)
        done = await asyncio.gather(
            adoption.adopt(ADAS.user_id, "ada", by="root"),
            adoption.adopt(ADAS.user_id, "eve", by="root"),
            adoption.adopt(others.user_id, "ada", by="root"),
            return_exceptions=True,
        )
        assert [type(result) for result in done] == [Account, HeldElsewhere, HeldElsewhere]
        assert await records.store.account(others.user_id) is None
        with pytest.raises(UserIdTaken):
            await adoption.adopt(ADAS.user_id, "eve", by="root")
        with pytest.raises(Conflict, match="apps of their own"):
            await adoption.adopt(others.user_id, "ada", by="root")
