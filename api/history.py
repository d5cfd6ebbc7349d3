"""The index of history, kept in step with `main`: as commits are written or seen."""

import asyncio
import logging

from api.clients.commit_index import AppCommit, CommitIndex
from api.clients.gitops_repo import CommitInfo, GitopsRepo
from api.domain.commit_message import trailers
from api.domain.names import AppRef, is_id

_log = logging.getLogger(__name__)
#: Commits indexed in one transaction, so that a long catch-up survives an interruption.
_BATCH = 500


class History:
    """Answers about the past of apps; `follow` makes it complete up to a commit."""

    def __init__(self, repo: GitopsRepo, index: CommitIndex) -> None:
        self._repo = repo
        self._index = index
        self._following = asyncio.Lock()

    async def owner(self, app_id: str) -> str | None:
        """The tenant who had the app id first; None for an id that was never used."""
        return await self._index.owner(app_id)

    async def first(self, ref: AppRef) -> AppCommit | None:
        """The commit that created the app."""
        return await self._index.first(ref)

    async def newest(self, ref: AppRef, limit: int = 1) -> list[AppCommit]:
        """The newest commits that touch the app, newest first."""
        return await self._index.newest(ref, limit)

    async def follow(self, head: str) -> None:
        """Index what `main` gained up to `head`; builds anew when it was rewound."""
        async with self._following:
            known = await self._index.head()
            if known == head or (known and await self._repo.is_ancestor(head, known)):
                return
            if known and not await self._repo.is_ancestor(known, head):
                _log.warning("main was rewound: %s is not before %s; indexing anew", known, head)
                await self._index.clear()
                known = None
            commits = await self._repo.first_parents(head, known)
            for start in range(0, len(commits), _BATCH):
                batch = commits[start : start + _BATCH]
                rows = [
                    (place, row)
                    for place, commit in enumerate(batch)
                    for row in await self._rows(commit)
                ]
                await self._index.append(known, batch[-1].id, len(batch), rows)
                known = batch[-1].id

    async def _rows(self, commit: CommitInfo) -> list[AppCommit]:
        action = next(iter(trailers(commit.message).get("Action", ())), "edit")
        return [
            AppCommit(AppRef(user_id, app_id), commit.id, action, commit.author.name, commit.at)
            for user_id, app_id in sorted(await self._repo.changed_apps(commit.id))
            if is_id(user_id) and is_id(app_id)
        ]
