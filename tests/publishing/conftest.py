"""A stack of use cases for each test, on a fresh copy of an initialised repository."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
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


@pytest.fixture
async def stack(tmp_path, template_repo, sources) -> AsyncIterator[Stack]:
    path = tmp_path / "repo.git"
    await asyncio.to_thread(subprocess.run, ["cp", "-r", template_repo, path], check=True)
    schema = (*sqlite_store.SCHEMA, *commit_index.SCHEMA)
    async with SqliteDatabase.open(tmp_path / "db.sqlite3", schema) as database:
        repo = GitopsRepo(path)
        async with running_stack(repo, database, sources, LocalUpstream(path)) as made:
            yield made
        await repo.close()
    done = await asyncio.to_thread(
        subprocess.run, ["git", "-C", path, "fsck", "--strict"], capture_output=True, check=True
    )
    assert b"error" not in done.stderr
