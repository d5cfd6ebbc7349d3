"""A remote repository as the doctor looks at it: its branches, their newest commits, who may push.

What is fetched goes into a folder that is thrown away, two commits deep; nothing of the remote
changes, and nothing of the platform's own copy.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.clients.git_clone import prepare_clone
from api.clients.git_program import Credentials, Done, GitProgram
from api.domain.repo_layout import MAIN
from api.errors import RepositoryUnavailable

_LIST_SECONDS: Final = 30.0
_FETCH_SECONDS: Final = 600.0
_MAX_WORDS: Final = 300
#: A push of a commit's child needs the commit itself.
_DEPTH: Final = 2


@dataclass(frozen=True)
class RemoteSurvey:
    """The branches of a remote; `publish_url` names a second one for those of the shards."""

    path: Path
    url: str
    publish_url: str | None
    credentials: Credentials

    @property
    def _git(self) -> GitProgram:
        return GitProgram(self.path, self.credentials)

    async def branches(self) -> Mapping[str, str]:
        """Every branch and its commit; raises RepositoryUnavailable."""
        await asyncio.to_thread(prepare_clone, self.path, self.url)
        found = await self._heads(self.url)
        if self.publish_url:
            published = await self._heads(self.publish_url)
            main = {MAIN: found[MAIN]} if MAIN in found else {}
            found = {name: tip for name, tip in published.items() if name != MAIN} | main
        return found

    async def fetch(self, branches: Mapping[str, str]) -> None:
        """Have the newest commits of `main` and `flux/*` here; raises RepositoryUnavailable."""
        main = "+refs/heads/main:refs/heads/main"
        shards = "+refs/heads/flux/*:refs/heads/flux/*"
        if MAIN in branches:
            await self._fetch(self.url, main)
        if any(branch.startswith("flux/") for branch in branches):
            await self._fetch(self.publish_url or self.url, shards)

    async def push_refusal(self, branches: Mapping[str, str]) -> str | None:
        """Why the host opens no push; None when it does. Nothing is sent but the wish for one."""
        for url in filter(None, (self.url, self.publish_url)):
            shard = next((b for b in sorted(branches) if b.startswith("flux/")), MAIN)
            branch = MAIN if url == self.url else shard
            tip = branches.get(branch)
            if tip is None:
                continue
            refspec = f"{tip}:refs/heads/{branch}"
            done = await self._git.run(
                url, _LIST_SECONDS, "push", "--dry-run", "--porcelain", "--no-verify", url, refspec
            )
            if done.status != 0:
                return _words(done)
        return None

    async def _heads(self, url: str) -> dict[str, str]:
        done = await self._git.run(url, _LIST_SECONDS, "ls-remote", "--heads", url)
        if done.status != 0:
            raise RepositoryUnavailable(_words(done))
        pairs = (line.split("\trefs/heads/", 1) for line in done.output.splitlines())
        return {name: commit for commit, name in pairs}

    async def _fetch(self, url: str, refspec: str) -> None:
        options = ("--quiet", "--no-tags", f"--depth={_DEPTH}", "--no-write-fetch-head")
        done = await self._git.run(url, _FETCH_SECONDS, "fetch", *options, url, refspec)
        if done.status != 0:
            raise RepositoryUnavailable(_words(done))


def _words(done: Done) -> str:
    """All that the host said: why it refuses stands before git's own last line."""
    lines = [line.strip() for line in done.errors.splitlines() if line.strip()]
    return " ".join(lines)[:_MAX_WORDS] or "git gave no reason"
