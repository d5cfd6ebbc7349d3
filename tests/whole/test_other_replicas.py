"""Two replicas behind one address: a client is answered by either, in any order."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2

from tests.product import PASSWORD
from tests.whole.clustered import clustered

HELLO = {"user_code.py": "from fastapi import FastAPI\n\napp = FastAPI()\n"}


async def ok(asking: Any) -> Any:
    answer = await asking
    assert answer.is_success, f"{answer.request.url}: {answer.status_code} {answer.text}"
    return answer.json()


async def test_what_one_saved_the_other_knows_when_it_is_asked(tmp_path: Path, mongo_uri: str):
    never = {"GIT_POLL_SECONDS": "600"}
    async with clustered(tmp_path, mongo_uri, replicas=2, **never) as platform:
        one, other = (
            httpx2.AsyncClient(base_url=replica.origin, timeout=60, trust_env=False)
            for replica in platform.replicas
        )
        async with one, other:
            login = {"username": "ada", "password": PASSWORD}
            account = login | {"email": "ada@example.org"}
            await ok(one.post("/api/auth/signup", json=account))
            session = await ok(other.post("/api/auth/login", json=login))
            one.headers["Authorization"] = f"Bearer {session['access_token']}"
            other.headers["Authorization"] = f"Bearer {session['access_token']}"

            made = await ok(one.post("/api/apps", json={"name": "New", "files": HELLO}))
            app = f"/api/apps/{made['app_id']}"
            assert (await ok(other.get(app)))["files"] == HELLO
            for path in ("status", "deploy-status", "history", f"history/{made['commit']}"):
                await ok(other.get(f"{app}/{path}"))

            # Based on a commit that this replica has not seen.
            changed = {"name": "Renamed", "base_commit": made["commit"]}
            renamed = await ok(other.put(app, json=changed))
            again = {"name": "Twice", "base_commit": renamed["commit"]}
            assert (await ok(one.put(app, json=again)))["name"] == "Twice"
            stale = await other.put(app, json=changed)
            assert stale.status_code == 409
            assert stale.json()["error"]["details"]["current"]["name"] == "Twice"

            # What is nowhere is asked for once by all who miss it at the same time.
            before = platform.git.counts["fetch-refs"]
            missed = await asyncio.gather(*(other.get(f"/api/apps/none-{n}") for n in range(50)))
            assert {answer.status_code for answer in missed} == {404}
            assert platform.git.counts["fetch-refs"] - before <= 3

            # While the host is away, whether it is there cannot be told.
            platform.git.fault = lambda _: "busy"
            away = await other.get("/api/apps/none")
            assert (away.status_code, "Retry-After" in away.headers) == (503, True)
            assert (await other.get(app)).status_code == 200
