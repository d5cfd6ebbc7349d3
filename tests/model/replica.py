"""A replica of the api whose attempts can be left standing wherever they read or move a branch."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from api import publishing
from api.clients import commit_index, sqlite_store
from api.clients.git_tenants import ShardTip
from api.clients.git_trees import Edit, Entry
from api.clients.git_upstream import LocalUpstream, Move, Result
from api.clients.gitops_repo import Change, GitopsRepo, Overtaken
from api.clients.source_checker import SourceChecker
from api.clients.sqlite import SqliteDatabase
from api.domain import manifests
from api.rollback import Rollbacks
from tests.publishing.stack import Stack, running_stack

_LONGEST = 120.0  # seconds until an attempt that does not come to rest is a fault


class Crashed(BaseException):
    """The process is gone; nothing after this line ever happens."""


class Steps:
    """The places at which an attempt stands until it is told to go on."""

    def __init__(self) -> None:
        self.standing: str | None = None
        self.crashed = False
        self._go = asyncio.Event()

    async def at(self, place: str) -> None:
        if self.crashed:
            raise Crashed
        self.standing = place
        await self._go.wait()
        self._go.clear()
        if self.crashed:
            raise Crashed

    def go(self) -> None:
        self.standing = None
        self._go.set()


class SteppedRepo(GitopsRepo):
    """Stands after a check, after `main` was read, before a shard's tip is, and once composed."""

    def __init__(self, path: Path, steps: Steps, composed: Callable[..., None]) -> None:
        super().__init__(path)
        self._steps = steps
        self._composed = composed

    async def preview(self, base: str, edits: Mapping[str, Edit], path: str) -> Mapping[str, Entry]:
        await self._steps.at("checked")
        return await super().preview(base, edits, path)

    async def build(self, tip: str, changes: Sequence[Change]) -> list[str | Overtaken]:
        await self._steps.at("main read")
        return await super().build(tip, changes)

    async def shard_tip(self, shard: str, main: str) -> ShardTip | None:
        task = asyncio.current_task()
        if task and task.get_name() == "writer":
            await self._steps.at("index read")
        return await super().shard_tip(shard, main)

    async def compose(self, tip: str, edits: Mapping[str, Edit], message: str) -> str:
        commit = await super().compose(tip, edits, message)
        self._composed(tip, message, commit)
        await self._steps.at("composed")
        return commit


class SteppedUpstream(LocalUpstream):
    """Stands before each branch moves, and before anybody hears of it."""

    def __init__(self, path: Path, steps: Steps) -> None:
        super().__init__(path)
        self._steps = steps

    async def push(self, moves: Sequence[Move]) -> Result:
        fates: dict[str, Any] = dict.fromkeys((move.branch for move in moves), "dropped")
        for move in moves:
            await self._steps.at(f"before {move.branch.partition('/')[0]}")
            fates |= (await super().push([move])).fates
            if fates[move.branch] != "moved":
                break
        await self._steps.at("pushed")
        return Result(fates)


class Replica:
    """One process, so to speak: its release, what it does now, and where that stands."""

    def __init__(self, stack: Stack, steps: Steps, release: int) -> None:
        self.stack = stack
        self.steps = steps
        self.release = release
        self.rollbacks = Rollbacks(stack.repo, stack.intents, stack.history, stack.deployments)
        self.task: asyncio.Task[object] | None = None
        self._settling = 0
        self._settle = stack.writer._settle
        stack.writer._settle = self._counted  # type: ignore[method-assign]

    @property
    def idle(self) -> bool:
        writer = self.stack.writer
        busy = writer._wishes or writer._background or self._settling
        return not busy and (self.task is None or self.task.done())

    async def begin(self, work: Awaitable[object], stops: int | None) -> None:
        """Start something and let it pass so many stops; None: to its end."""
        self.task = asyncio.ensure_future(work)
        await self.go_on(stops)

    async def go_on(self, stops: int | None) -> None:
        """Let what stands pass so many stops more; None: to its end."""
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(publishing, "RENDERER_VERSION", self.release)
            patched.setattr(manifests, "RENDERER_VERSION", self.release)
            async with asyncio.timeout(_LONGEST):
                await self._rest()
                while not self.idle and (stops is None or stops > 0):
                    stops = None if stops is None else stops - 1
                    self.steps.go()
                    await self._rest()

    async def _rest(self) -> None:
        while self.steps.standing is None and not self.idle:  # noqa: ASYNC110  (tells of both)
            await asyncio.sleep(0.0003)

    async def _counted(self, *arguments: Any) -> None:
        self._settling += 1
        try:
            with suppress(Crashed):
                await self._settle(*arguments)
        finally:
            self._settling -= 1

    def crash(self) -> None:
        """Whatever stands never goes on."""
        self.steps.crashed = True
        self.steps.go()
        if self.task:
            self.task.cancel()


@asynccontextmanager
async def replica(
    path: Path, database: Path, sources: SourceChecker, release: int, composed: Callable[..., None]
) -> AsyncIterator[Replica]:
    """A replica on the shared repository, with a database of its own."""
    steps = Steps()
    schema = (*sqlite_store.SCHEMA, *commit_index.SCHEMA)
    image = f"registry.example.org/runner:{release}"
    async with AsyncExitStack() as made:
        opened = await made.enter_async_context(SqliteDatabase.open(database, schema))
        repo = SteppedRepo(path, steps, composed)
        made.push_async_callback(repo.close)
        upstream = SteppedUpstream(path, steps)
        stack = await made.enter_async_context(
            running_stack(repo, opened, sources, upstream, runner_image=image)
        )
        found = Replica(stack, steps, release)
        made.callback(found.crash)
        yield found
