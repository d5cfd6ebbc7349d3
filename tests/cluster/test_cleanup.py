"""Use of apps as the real router counts it, runners in their pods asked, and what Flux removes."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from websockets.sync.client import connect

from api.clients.mongo import MongoDatabase
from api.clients.traefik_metrics import TraefikMetrics
from api.domain.names import AppRef
from api.opening import open_mongo_store
from tests.cluster.markers import LIVE_SECONDS
from tests.cluster.platform import Installed
from tests.product import ROOT, eventually

TALKING = """\
from fastapi import FastAPI, WebSocket

app = FastAPI()


@app.get("/")
def hello():
    return "hello"


@app.websocket("/ws")
async def talk(socket: WebSocket):
    await socket.accept()
    await socket.send_text("hello")
    await socket.receive_text()
"""


async def counted(url: str) -> dict[AppRef, int]:
    routers = TraefikMetrics(lambda: [url])
    try:
        [reading] = (await routers.read()).told
        return dict(reading.counts)
    finally:
        await routers.close()


async def age(platform: Installed, ref: AppRef) -> None:
    """As if nobody had used the app for three days, and the router had been read all the time."""
    uri, now = platform.product.settings["MONGO_URI"], datetime.now(UTC)
    at = (now - timedelta(days=3)).isoformat(timespec="microseconds")
    async with MongoDatabase.unprepared(uri) as database:
        wanted = {"_id": f"{ref.user_id}/{ref.app_id}"}
        assert await database.collection("activity").change(wanted, {"$set": {"at": at}})
    async with open_mongo_store(SecretStr(uri)) as store:
        known = json.loads(await store.note("activity") or "{}")
        old = (now - timedelta(days=9)).isoformat()
        known["complete_at"] = now.isoformat()
        known["holes"] = [{"since": old, "until": old, "why": "new"}]
        await store.keep_note("activity", json.dumps(known))


def cleanup(platform: Installed, folder: Path, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "api", "cleanup", "--json", *options],
        cwd=ROOT,
        env=platform.product.environment() | {"DATA_DIR": str(folder)},  # as in a pod of its own
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def test_use_is_seen_and_an_idle_app_goes_when_nothing_is_open(
    platform: Installed, tmp_path: Path
) -> None:
    url = platform.cluster.traefik_metrics_url
    if url is None:
        pytest.skip("where this cluster's routers tell their counters is not known")
    owner = platform.product.sign_up()
    app = owner.create("Talk", {"user_code.py": TALKING})
    ref = AppRef(app["user_id"], app["app_id"])
    owner.live(ref.app_id, seconds=LIVE_SECONDS)
    assert asyncio.run(counted(url)).get(ref, 0) == 0, "the platform's own questions do not count"
    for _ in range(3):
        assert platform.visit(app["url"]).text == '"hello"'
    assert asyncio.run(counted(url))[ref] == 3
    eventually(
        "the platform reads the counters",
        lambda: cleanup(platform, tmp_path, "--dry-run")["stopped"] is None,
        120,
    )
    asyncio.run(age(platform, ref))
    address = platform.address(app["url"]).replace("http://", "ws://", 1)
    with connect(f"{address}ws", proxy=None) as socket:
        assert socket.recv() == "hello"
        told = {each["app_id"]: each for each in cleanup(platform, tmp_path)["apps"]}
        assert told[ref.app_id]["fate"] == "keep"
        assert told[ref.app_id]["why"] == "in use: 1 connection is open"
        socket.send("bye")
    eventually("the router counts it", lambda: asyncio.run(counted(url))[ref] == 4)
    cleanup(platform, tmp_path, "--dry-run")  # reads that use
    asyncio.run(age(platform, ref))
    answer = cleanup(platform, tmp_path)
    assert [(a["app_id"], a["fate"]) for a in answer["apps"]] == [(ref.app_id, "remove")]
    assert len(answer["commits"]) == 1

    def gone() -> bool:
        objects = "deployment,service,ingressroute.traefik.io,pod"
        where = ("-n", f"user-{ref.user_id}", "-l", f"fastapi-platform/app-id={ref.app_id}")
        return not platform.cluster.kubectl("get", objects, *where, "-o", "name").strip()

    eventually("Flux removed its objects", gone, 120)
    assert platform.visit(app["url"]).status_code in (404, 410, 503)
