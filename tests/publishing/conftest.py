"""A stack of use cases for each test, on a fresh copy of an initialised repository."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from api.clients import commit_index, sqlite_store
from api.clients.git_upstream import LocalUpstream
from api.clients.gitops_repo import GitopsRepo
from api.clients.source_checker import SourceChecker
from api.clients.sqlite import SqliteDatabase
from api.init_repo import init_repo
from tests.publishing.stack import Stack, running_stack


@pytest.fixture(scope="session")
def template_repo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("template") / "repo.git"
    init_repo(path)
    return path


@pytest.fixture
async def sources() -> AsyncIterator[SourceChecker]:
    checker = SourceChecker()
    await checker.start()
    yield checker
    await checker.close()


@asynccontextmanager
async def opened_stack(path: Path, template: Path, sources: SourceChecker) -> AsyncIterator[Stack]:
    """A stack on a copy of the template, with its database beside it."""
    await asyncio.to_thread(subprocess.run, ["cp", "-r", template, path], check=True)
    schema = (*sqlite_store.SCHEMA, *commit_index.SCHEMA)
    async with SqliteDatabase.open(path.with_name("db.sqlite3"), schema) as database:
        repo = GitopsRepo(path)
        async with running_stack(repo, database, sources, LocalUpstream(path)) as made:
            yield made
        await repo.close()


@pytest.fixture
async def stack(tmp_path, template_repo, sources) -> AsyncIterator[Stack]:
    """At the end, git finds every object in order."""
    path = tmp_path / "repo.git"
    async with opened_stack(path, template_repo, sources) as made:
        yield made
    done = await asyncio.to_thread(
        subprocess.run, ["git", "-C", path, "fsck", "--strict"], capture_output=True, check=True
    )
    assert b"error" not in done.stderr


@pytest.fixture
async def odd_stack(tmp_path, template_repo, sources) -> AsyncIterator[Stack]:
    """For a test that brings objects which git would not write."""
    async with opened_stack(tmp_path / "repo.git", template_repo, sources) as made:
        yield made
