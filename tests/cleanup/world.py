"""The whole back end on one machine, with the platform's clock under a test's control."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2

from api.activity import Activity
from api.cleanup import Cleaner, Outcome
from api.clients.store import Account
from api.dependencies import Records
from api.deployments import Deployments
from api.domain.drafts import AppDraft
from api.domain.names import AppRef, app_path
from api.domain.repo_layout import app_folder
from api.intents import StoredApp
from api.local.cluster import LocalCluster
from api.opening import join_publishing, make_repository, open_judging, open_records
from api.opening_cleanup import make_cleaner, open_activity
from api.settings import Settings
from tests.product import free_port

ROOT = Path(__file__).parents[2]
HOUR = timedelta(hours=1)
ADA = Account("u1", "ada", "ada@example.org", "", datetime.now(UTC))
CODE = """\
import asyncio

from fastapi import FastAPI, WebSocket

app = FastAPI()


@app.get("/")
def hello():
    return {"app": %r}


@app.websocket("/ws")
async def talk(socket: WebSocket):
    await socket.accept()
    await socket.receive_text()
"""


class Clock:
    """The time of day as the platform sees it."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(second=0, microsecond=0)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, time: timedelta) -> None:
        self.now += time


@dataclass
class World:
    settings: Settings
    clock: Clock
    records: Records
    deployments: Deployments
    cluster: LocalCluster
    activity: Activity
    cleaner: Cleaner
    http: httpx2.AsyncClient

    async def deploy(self, name: str) -> AppRef:
        """A new app that answers at its address."""
        draft = AppDraft(name=name, code=CODE % name)
        ref = (await self.deployments.create(ADA, draft, "r")).ref
        await self.until_live(ref)
        await self.activity.read()
        return ref

    async def until_live(self, ref: AppRef) -> None:
        async with asyncio.timeout(60):
            async for _ in self.cluster.changes(ref):
                if (await self.cluster.observe(ref)).routed_intent:
                    return

    async def until_gone(self, ref: AppRef) -> None:
        """Until its address leads to the platform, which no process is behind here: 502."""
        await self.until(ref, lambda answer: answer.status_code == 502)

    async def until(self, ref: AppRef, wanted: Callable[[httpx2.Response], bool]) -> None:
        """Until its address answers so; the router may be away meanwhile."""
        for _ in range(600):
            with suppress(httpx2.TransportError):
                if wanted(await self.get(ref)):
                    return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{ref}: not within 30 s")

    async def get(self, ref: AppRef) -> httpx2.Response:
        """A request through the router."""
        return await self.http.get(f"{app_path(ref)}/")

    async def app(self, ref: AppRef) -> StoredApp | None:
        """The app as main has it."""
        intents = self.records.intents
        tip = await intents.indexed_tip()
        return await intents.find(tip, await intents.platform(tip), ref)

    async def state(self, ref: AppRef) -> str:
        app = await self.app(ref)
        return app.file.state if app and app.file else "gone"

    async def actions(self, ref: AppRef) -> list[str]:
        """What the app's history tells, newest first."""
        await self.records.intents.indexed_tip()
        commits = await self.records.history.newest(ref, 20)
        return [commit.action for commit in commits]

    async def after(self, time: timedelta) -> Outcome:
        """The first look that is made when so much time has passed, with readings meanwhile."""
        end = self.clock.now + time
        while self.clock.now < end:
            self.clock.pass_by(min(0.9 * HOUR, end - self.clock.now))
            await self.activity.read()
        return await self.cleaner.run()

    def path(self, ref: AppRef) -> str:
        return app_folder(ref, 2)


@asynccontextmanager
async def running_world(data_dir: Path, **changed: object) -> AsyncIterator[World]:
    """Everything but the API itself, as main wires it; nothing happens by a timer."""
    settings = Settings(
        data_dir=data_dir,
        port=free_port(),
        apps_port=free_port(),
        runner_python=ROOT / "runner/.venv/bin/python",
        **changed,
    )
    clock = Clock()
    await make_repository(settings)
    async with AsyncExitStack() as stack:
        records = await stack.enter_async_context(open_records(settings))
        judging = await stack.enter_async_context(open_judging(settings))
        cluster = LocalCluster(settings, records.repo, judging.kustomize)
        await cluster.start()
        stack.push_async_callback(cluster.close)
        _, watcher = join_publishing(records, judging, cluster.live, cluster.poke)
        deployments = Deployments(
            records.repo, records.intents, judging.check, records.writer, records.store, 20
        )
        watching = asyncio.create_task(watcher.run(0.05))
        stack.push_async_callback(_cancelled, watching)
        activity = await stack.enter_async_context(
            open_activity(settings, records, cluster.metrics_urls, clock, HOUR)
        )
        await activity.read()
        cleaner = make_cleaner(settings, records, activity, cluster.open_requests, clock)
        http = await stack.enter_async_context(
            httpx2.AsyncClient(
                base_url=f"http://127.0.0.1:{settings.apps_port}", trust_env=False, timeout=10
            )
        )
        yield World(settings, clock, records, deployments, cluster, activity, cleaner, http)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
