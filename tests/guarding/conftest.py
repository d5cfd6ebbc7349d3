"""The real check on repositories of a test's own; its helpers are started once."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api.branch_check import BranchCheck, Report
from api.checking import IntentCheck
from api.clients.gitops_repo import GitopsRepo
from api.clients.kustomize import Kustomize
from api.clients.source_checker import SourceChecker
from api.domain.manifests import RenderSettings, Templates
from api.init_repo import init_repo
from tests.guarding.changes import BOB, app_files
from tests.history.people import Repository

Guard = Callable[..., Report]


@pytest.fixture(scope="session")
def guard() -> Iterator[Guard]:
    sources = SourceChecker()
    settings = RenderSettings(runner_image="registry.example.org/runner:1")
    with asyncio.Runner() as runner:
        runner.run(sources.start())
        check = IntentCheck(sources, Kustomize(), Templates.load(), settings)

        async def work(path: Path, head: str, base: str | None, author: str | None) -> Report:
            repo = GitopsRepo(path)
            try:
                guarding = BranchCheck(repo, check, 2)
                return await guarding.run(head, base, author, lambda *_: None)
            finally:
                await repo.close()

        def run(
            repository: Repository,
            head: str = "main",
            base: str | None = None,
            author: str | None = None,
        ) -> Report:
            return runner.run(work(repository.path, head, base, author))

        yield run
        runner.run(sources.close())


@pytest.fixture(scope="session")
def with_an_app(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("guarded") / "repo.git"
    init_repo(path)
    Repository(path).push(app_files(BOB))
    return path


@pytest.fixture
def repository(tmp_path: Path, with_an_app: Path) -> Repository:
    """A repository in which bob has one app, and nothing is wrong."""
    subprocess.run(["cp", "-r", with_an_app, tmp_path / "repo.git"], check=True)
    return Repository(tmp_path / "repo.git")
