"""What people push into the platform's own repository is looked at by git itself."""

import subprocess
from pathlib import Path

import pytest

from api.init_repo import init_repo
from tests.guarding.changes import BOB, app_files
from tests.guarding.hostile import HOSTILE
from tests.history.people import Repository

BY_GIT = ["file-twice", "folder-twice-in-code", "code-twice", "app-twice", "names-in-no-order",
          "unheard-of-mode", "dot-dot", "dot-git", "slash-in-a-name"]  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("served") / "repo.git"
    init_repo(path)
    return path


@pytest.fixture
def clone(served: Path, tmp_path: Path) -> Repository:
    """A person's clone, on a branch of its own with their app."""
    command = ["git", "clone", "-q", "--bare", "--single-branch", served, tmp_path / "clone.git"]
    subprocess.run(command, check=True)
    repository = Repository(tmp_path / "clone.git")
    repository.push(app_files(BOB))
    return repository


def push(clone: Repository, branch: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", clone.path, "push", "-q", "origin", f"main:refs/heads/{branch}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_git_wrote_is_taken(clone):
    assert push(clone, "fine").returncode == 0


@pytest.mark.parametrize("name", BY_GIT)
def test_what_git_would_not_write_is_refused_at_the_push(clone, served, name):
    HOSTILE[name].make(clone, BOB)
    done = push(clone, name)
    assert done.returncode != 0
    assert "fsck" in done.stderr
    assert f"refs/heads/{name}" not in Repository(served).git2.references


def test_a_repository_of_before_is_looked_after_at_the_next_start(served):
    repository = Repository(served)
    repository.git("config", "--unset", "receive.fsckObjects")
    init_repo(served)
    assert repository.git("config", "receive.fsckObjects") == ["true"]
