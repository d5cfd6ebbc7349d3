"""A remote with `main` and two shard branches, and a clone of it as the platform keeps one."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from api.clients import gitops_repo
from api.clients.git_program import Credentials
from api.clients.git_upstream import NOTHING, Move, RemoteUpstream
from api.clients.gitops_repo import Change, GitopsRepo
from api.domain.commit_message import person
from tests.remote.git_server import GitServer, bare

BRANCHES = ("main", "flux/00", "flux/01")


def git(path: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", path, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@dataclass
class Remote:
    """The bare repository behind the server, and the platform's clone with its upstream."""

    server: GitServer
    path: Path
    repo: GitopsRepo
    upstream: RemoteUpstream
    published: Path = field(default=Path())  # where the shard branches are

    def tips(self, path: Path | None = None) -> dict[str, str]:
        lines = git(
            path or self.path, "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)"
        ).splitlines()
        return dict(line.split() for line in lines)

    def commits(self, branch: str = "main") -> list[str]:
        """Subjects, oldest first."""
        return git(self.path, "log", "--reverse", "--format=%s", branch).splitlines()

    async def move(self, branch: str, content: bytes = b"new") -> Move:
        """A commit on what the clone knows of the branch, not pushed yet."""
        tip = await self.repo.head(branch)
        change = Change({"note": content}, f"note {branch}\n", person("bob", "u1"))
        [new] = await self.repo.build(tip, [change])
        return Move(branch, tip, new)

    async def by_hand(self, branch: str = "main", name: str = "by-hand") -> str:
        """A commit that a person pushed meanwhile."""

        def work() -> str:
            old = git(self.path, "rev-parse", branch)
            blob = git(self.path, "hash-object", "-w", "--stdin")
            tree = subprocess.run(
                ["git", "-C", self.path, "mktree"],
                input=git(self.path, "ls-tree", old) + f"\n100644 blob {blob}\t{name}\n",
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            person = ("-c", "user.name=Eve", "-c", "user.email=eve@example.org")
            new = git(self.path, *person, "commit-tree", tree, "-p", old, "-m", name)
            git(self.path, "update-ref", f"refs/heads/{branch}", new, old)
            return new

        return await asyncio.to_thread(work)

    def hook(self, name: str, script: str) -> None:
        path = self.path / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


@pytest.fixture
def server(tmp_path) -> Iterator[GitServer]:
    root = tmp_path / "served"
    root.mkdir()
    with GitServer(root).running() as running:
        yield running


@pytest.fixture
async def connect(tmp_path, server):
    """Makes a remote and a clone of it; options of the repository, of the upstream."""
    opened: list[GitopsRepo] = []
    checked: list[Path] = []

    async def make(
        *, second: bool = False, credentials: Credentials | None = None, **config: str
    ) -> Remote:
        number = len(opened)
        path = bare(server.root, f"repo{number}.git", **config)
        other = bare(server.root, f"publish{number}.git", **config) if second else path
        clone = bare(tmp_path, f"clone{number}.git")
        upstream = RemoteUpstream(
            clone, server.url(path.name), server.url(other.name) if second else None, credentials
        )
        content = {"README.md": b"hi\n"}
        shards = dict.fromkeys(BRANCHES[1:], content)
        gitops_repo.create(clone, {"platform.yaml": b"x\n"}, shards)
        repo = GitopsRepo(clone)
        opened.append(repo)
        checked.extend([path, other, clone])
        result = await upstream.push(
            [Move(branch, NOTHING, tip) for branch, tip in (await repo.heads()).items()]
        )
        assert result.moved
        return Remote(server, path, repo, upstream, other)

    yield make
    for repo in opened:
        await repo.close()
    for path in checked:
        assert git(path, "fsck", "--full", "--strict", "--no-dangling") == ""


@pytest.fixture
async def remote(connect: Callable) -> Remote:
    return await connect()
