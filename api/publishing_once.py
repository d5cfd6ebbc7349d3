"""One look at the shard branches at an operator's word; the server's own looks go on beside it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from api.clients.gitops_repo import GitopsRepo
from api.domain.names import AppRef
from api.domain.quarantine import QUARANTINE_FILE, read_quarantine
from api.domain.repo_layout import is_shard_branch, shard_branch
from api.errors import InvalidRequest
from api.intents import Intents
from api.publishing import Publisher
from api.watching import Watcher

_COMMIT_DIGITS = 40


@dataclass(frozen=True)
class News:
    """What came of a shard, or of one app that is held."""

    shard: str
    state: Literal["published", "held", "waits"]
    app_id: str | None
    message: str


class PublishingOnce:
    """Made for one command; `moved` fills with the shards that were published."""

    def __init__(
        self,
        repo: GitopsRepo,
        intents: Intents,
        publisher: Publisher,
        watcher: Watcher,
        moved: Collection[str],
    ) -> None:
        self._repo = repo
        self._intents = intents
        self._publisher = publisher
        self._watcher = watcher
        self._moved = moved

    async def publish(self, accept: str | None = None, retry: str | None = None) -> list[News]:
        """Publish what differs; `accept`: a commit of `main` at which an operator looked.

        `retry`: the id of an app that the cluster refused, to be tried again. Shards in step with
        `main` are left out. Raises InvalidRequest, RepositoryUnavailable.
        """
        if accept is not None:
            self._publisher.accepted = await self._commit_of_main(accept)
        if retry is not None:
            self._publisher.retried = [await self._quarantined(retry)]
        await self._watcher.look()
        news = [
            News(shard, "published", None, await self._subject(shard))
            for shard in sorted(self._moved)
        ]
        for shard in sorted(self._publisher.unsettled):
            for ref, hold in sorted(self._publisher.holds(shard).items()):
                news.append(News(shard, "held", ref.app_id, hold.first.message))
            if reason := self._publisher.waiting(shard):
                news.append(News(shard, "waits", None, reason))
        return news

    async def _quarantined(self, app_id: str) -> AppRef:
        for branch, tip in (await self._repo.heads()).items():
            if is_shard_branch(branch):
                kept = read_quarantine(await self._repo.read(tip, QUARANTINE_FILE))
                if ref := next((ref for ref in kept if ref.app_id == app_id), None):
                    return ref
        raise InvalidRequest(
            f"There is no app {app_id[:60]!r} that the cluster refused.",
            hint="`python -m api publish` names those that are held, and why.",
        )

    async def _commit_of_main(self, commit: str) -> str:
        main = await self._intents.tip()
        whole = len(commit) == _COMMIT_DIGITS and set(commit) <= set("0123456789abcdef")
        if not whole or not await self._repo.is_ancestor(commit, main):
            raise InvalidRequest(
                f"{commit[:40]!r} is not a commit of main.",
                hint=f"Give all 40 digits of the commit at which you looked; main is at {main}.",
            )
        return commit

    async def _subject(self, shard: str) -> str:
        tip = await self._repo.head(shard_branch(shard))
        info = await self._repo.info(tip) if tip else None
        return info.message.partition("\n")[0] if info else ""
