"""The stack of use cases, and ways around it: a person's git, a second index."""

from collections.abc import AsyncIterator

import pytest

from api.clients import commit_index
from api.clients.commit_index import CommitIndex
from api.clients.git_upstream import LocalUpstream
from api.clients.gitops_repo import GitopsRepo
from api.clients.sqlite import SqliteDatabase
from api.history import History
from tests.history.people import Repository
from tests.publishing.conftest import sources, stack, template_repo

__all__ = ["sources", "stack", "template_repo"]


@pytest.fixture
def people(stack) -> Repository:
    """The stack's repository, as people with push access have it."""
    return Repository(stack.repo.path)


@pytest.fixture
async def replica(stack, tmp_path) -> AsyncIterator[History]:
    """History with an index of its own, on the same repository."""
    repo = GitopsRepo(stack.repo.path)
    async with SqliteDatabase.open(tmp_path / "replica.sqlite3", commit_index.SCHEMA) as database:
        yield History(repo, CommitIndex(database))
    await repo.close()


@pytest.fixture
def upstream(stack) -> LocalUpstream:
    return LocalUpstream(stack.repo.path)
