"""Whoever applies the shard branches is told of each commit, once, whoever made it."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from api import watching
from api.clients import commit_index, sqlite_store
from api.clients.git_upstream import LocalUpstream
from api.clients.gitops_repo import GitopsRepo
from api.clients.sqlite import SqliteDatabase
from api.domain.drafts import AppDraft
from api.domain.names import shard_of
from tests.publishing.stack import HELLO, Stack, account, running_stack

BOB = account("ubob")
SHARD = shard_of("ubob", 2)
SCHEMA = (*sqlite_store.SCHEMA, *commit_index.SCHEMA)


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(watching, "_TELL_SECONDS", 0.0)


@asynccontextmanager
async def watching_of(stack: Stack):
    """The watcher runs, and has listed the branches a few times at the end."""
    task = asyncio.create_task(stack.watcher.run(0.01))
    yield
    for _ in range(3):
        await lists_once(stack)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def lists_once(stack: Stack) -> None:
    before = stack.watcher._heads
    async with asyncio.timeout(10):
        while stack.watcher._heads is before:  # noqa: ASYNC110  (it is a poll)
            await asyncio.sleep(0.01)


async def test_a_deploy_of_ones_own_is_told_once(stack):
    async with watching_of(stack):
        for _ in range(2):  # the first told of every branch
            await lists_once(stack)
        stack.poked.clear()
        app = await stack.deploy(BOB)
        await lists_once(stack)
    assert stack.poked == [SHARD]
    stack.poked.clear()
    async with watching_of(stack):
        await stack.deployments.update(BOB, app.ref, AppDraft(code=HELLO + "# 2\n"), None, "r")
        await stack.deployments.update(BOB, app.ref, AppDraft(code=HELLO + "# 3\n"), None, "r")
    assert stack.poked == [SHARD, SHARD]


async def test_what_moved_while_nobody_ran_is_told_at_the_start(stack, sources, tmp_path):
    path = stack.repo.path
    repo = GitopsRepo(path)
    await stack.deploy(BOB)
    async with (
        SqliteDatabase.open(tmp_path / "other.sqlite3", SCHEMA) as database,
        running_stack(repo, database, sources, LocalUpstream(path)) as later,
    ):
        async with watching_of(later):
            await lists_once(later)
        assert later.poked.count(SHARD) == 1
        assert len(later.poked) == len(set(later.poked))
        later.poked.clear()
        async with watching_of(later):
            await stack.deploy(BOB, "Two")  # by somebody else
        assert later.poked == [SHARD]
    await repo.close()
