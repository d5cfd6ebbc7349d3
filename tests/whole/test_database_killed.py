"""The database is killed and comes back while people sign up, log in and deploy."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.mongodb import FerretDB, database, ferretdb
from tests.product import PASSWORD
from tests.whole.clustered import clustered

WORKERS = 4
PATIENCE = 120.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FerretDB]:
    with ferretdb(tmp_path / "ferretdb") as running:
        yield running


def says(word: str) -> dict[str, str]:
    return {"user_code.py": f"from fastapi import FastAPI\n\napp = FastAPI(title={word!r})\n"}


@dataclass
class Person:
    """What was acknowledged to somebody; `words` are those that their app may say."""

    name: str
    user_id: str
    app_id: str | None = None
    words: set[str] = field(default_factory=set)


@dataclass
class Load:
    """People who sign up, log in, deploy and deploy again, without a pause."""

    http: httpx2.AsyncClient
    people: list[Person] = field(default_factory=list)
    refused: int = 0
    stopped: bool = False
    deploys: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def send(
        self, method: str, path: str, headers: dict[str, str], body: dict[str, Any] | None = None
    ) -> Any:
        """The answer's JSON; None where it says that the database is away, and when to return."""
        answer = await self.http.request(method, path, json=body, headers=headers)
        if answer.status_code == 503:
            error = answer.json()["error"]
            assert error["code"] == "database_unavailable", error
            assert error["message"]
            assert error["hint"]
            assert 1 <= int(answer.headers["Retry-After"]) <= 60
            self.refused += 1
            await asyncio.sleep(0.2)
            return None
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def insist(self, *request: Any) -> Any:
        """The same, sent again until it is done."""
        while (found := await self.send(*request)) is None:
            pass
        return found

    async def worker(self, number: int) -> None:
        for turn in itertools.count():
            if self.stopped:
                return
            await self.live(f"w{number}-{turn}", {"X-Forwarded-For": f"10.0.{number}.{turn}"})

    async def live(self, name: str, address: dict[str, str]) -> None:
        account = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
        made = await self.send("POST", "/api/auth/signup", address, account)
        if made is None:
            return  # it may be there, and the name is taken then
        person = Person(name, made["user_id"])
        self.people.append(person)
        login = {"username": name, "password": PASSWORD}
        session = await self.insist("POST", "/api/auth/login", address, login)
        mine = address | {"Authorization": f"Bearer {session['access_token']}"}
        once = mine | {"Idempotency-Key": name}
        new = {"name": name, "files": says("first")}
        app = await self.insist("POST", "/api/apps", once, new)
        person.app_id, person.words = app["app_id"], {"first"}
        self.deploys.release()
        changed = await self.send(
            "PUT", f"/api/apps/{app['app_id']}", mine, {"files": says("second")}
        )
        person.words = {"second"} if changed else {"first", "second"}
        self.deploys.release()

    async def more(self, count: int) -> None:
        """Wait until so many more deploys were answered."""
        for _ in range(count):
            await self.deploys.acquire()


async def test_nothing_acknowledged_is_lost_and_nobody_restarts_it(tmp_path: Path, server):
    uri = database(server.uri, "platform")
    async with (
        clustered(tmp_path, uri) as platform,
        httpx2.AsyncClient(
            base_url=platform.replicas[0].origin, timeout=60, trust_env=False
        ) as http,
    ):
        load = Load(http)
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as workers:
            for number in range(WORKERS):
                workers.create_task(load.worker(number))
            await load.more(4)
            for pause in (0.0, 1.0, 6.0):  # shorter and longer than a request waits
                await asyncio.to_thread(server.kill)
                await asyncio.sleep(pause)
                if pause > 1:
                    away = await http.get("/readyz")
                    assert away.status_code == 503
                    assert away.json()["error"]["message"].startswith("database: ")
                await asyncio.to_thread(server.start)
                await load.more(4)
            load.stopped = True
        assert load.refused
        assert (await http.get("/readyz")).status_code == 200
        for number, person in enumerate(load.people):
            await assert_all_is_there(load, person, {"X-Forwarded-For": f"10.1.0.{number}"})


async def assert_all_is_there(load: Load, person: Person, address: dict[str, str]) -> None:
    login = {"username": person.name, "password": PASSWORD}
    session = await load.send("POST", "/api/auth/login", address, login)
    mine = address | {"Authorization": f"Bearer {session['access_token']}"}
    assert (await load.send("GET", "/api/auth/me", mine))["user_id"] == person.user_id
    [app] = (await load.send("GET", "/api/apps", mine))["apps"]
    assert app["app_id"] == person.app_id
    files = (await load.send("GET", f"/api/apps/{person.app_id}", mine))["files"]
    assert files in [says(word) for word in person.words]
