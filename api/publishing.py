"""From what people want (`main`) to what Flux applies (`flux/<shard>`).

Level-triggered: whatever differs between the two branches is composed anew (`api/composition.py`)
and committed. A crash, a lost race or a commit by other hands is repaired by the next look.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from api.clients.git_trees import Edit
from api.clients.gitops_repo import GitopsRepo, LostRaceError
from api.composition import Composer, Outcome, Tips
from api.domain.commit_message import publish_message, source_commit, trailers
from api.domain.manifests import RENDERER_VERSION
from api.domain.names import AppRef
from api.domain.publication import Hold
from api.domain.repo_layout import PlatformFile, shard_branch
from api.errors import PlatformError, RepositoryUnavailable
from api.intents import Intents

_log = logging.getLogger(__name__)
_MAX_ATTEMPTS: Final = 5
#: Seconds between looks at whether `main` moved by other hands (embedded: a local ref, 20 µs).
POLL_SECONDS: Final = 0.5
#: Tells whoever applies the shard branches that some of them moved.
Poke = Callable[[Sequence[str]], Awaitable[None]]


class Publisher:
    """Publishes shards; holds and waits are kept in memory, for the next look finds them again."""

    def __init__(self, repo: GitopsRepo, intents: Intents, composer: Composer, poke: Poke) -> None:
        self._repo = repo
        self._intents = intents
        self._composer = composer
        self._poke = poke
        self._holds: dict[str, Mapping[AppRef, Hold]] = {}  # by shard; only shards with holds
        self._waiting: dict[str, str] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._compared: PlatformFile | None = None  # under which every app was compared

    def holds(self, shard: str) -> Mapping[AppRef, Hold]:
        """The apps whose newest intent is held, and why, as of the last look at the shard."""
        return self._holds.get(shard, {})

    def waiting(self, shard: str) -> str | None:
        """Why nothing is published on the shard now; None when nothing stands in the way."""
        return self._waiting.get(shard)

    async def watch(self) -> None:
        """Look whenever `main` moved, and now and then at what is held; runs until cancelled."""
        seen: str | None = None
        while True:
            try:
                main = await self._intents.tip()
                if main != seen or self._holds or self._waiting:
                    await self.look()
                    seen = main
            except PlatformError as error:
                _log.error("nothing was published: %s", error.message)
            await asyncio.sleep(POLL_SECONDS)

    async def look(self) -> None:
        """Publish every shard in which something differs; the first look opens all of them."""
        main = await self._intents.tip()
        platform = await self._intents.platform(main)
        everything = platform != self._compared
        failed = False
        for shard, state in sorted((await self._repo.shard_states(main)).items()):
            compare = everything and state != "empty"
            if not compare and state != "behind" and shard not in self._holds:
                continue
            try:
                await self.publish(shard)
            except PlatformError as error:
                _log.error("shard %s was not published: %s", shard, error.message)
                failed = True
        if not failed:
            self._compared = platform

    async def publish(self, shard: str) -> None:
        """Bring one shard branch in step with `main`; nothing is written when it is."""
        async with self._locks.setdefault(shard, asyncio.Lock()):
            for _ in range(_MAX_ATTEMPTS):
                try:
                    moved = await self._attempt(shard)
                except LostRaceError:
                    continue
                if moved:
                    await self._poke([shard])
                return
        raise RepositoryUnavailable(f"The branch {shard_branch(shard)} moved all the time.")

    async def _attempt(self, shard: str) -> bool:
        tips = await self._tips(shard)
        reason = await self._obstacle(tips)
        if reason:
            if self._waiting.get(shard) != reason:
                _log.error("publishing of shard %s waits: %s", shard, reason)
            self._waiting[shard] = reason
            return False
        self._waiting.pop(shard, None)
        outcomes = await self._composer.look(tips)
        self._note_holds(shard, outcomes)
        changed = [outcome for outcome in outcomes if outcome.edits is not None]
        if not changed:
            return False
        edits: dict[str, Edit] = {}
        for outcome in changed:
            edits |= outcome.edits or {}
        message = publish_message(_subject(changed), tips.main, RENDERER_VERSION)
        await self._repo.advance(shard_branch(shard), tips.tip, edits, message)
        return True

    async def _tips(self, shard: str) -> Tips:
        tip = await self._repo.head(shard_branch(shard))  # the shard first: main is never behind it
        if tip is None:
            raise RepositoryUnavailable(f"The repository has no branch {shard_branch(shard)}.")
        main = await self._intents.indexed_tip()
        return Tips(shard, main, tip, await self._source(tip), await self._intents.platform(main))

    async def _source(self, tip: str) -> str | None:
        info = await self._repo.info(tip)
        return source_commit(info.message) if info else None

    async def _obstacle(self, tips: Tips) -> str | None:
        """Never backwards: neither behind the tip's source nor behind its renderer."""
        info = await self._repo.info(tips.tip)
        version = trailers(info.message if info else "").get("Renderer-Version", ["0"])[0]
        if not version.isdecimal() or int(version) > RENDERER_VERSION:
            return f"it was published by a newer release (renderer {version})"
        if tips.source and not await self._repo.is_ancestor(tips.source, tips.main):
            return "main was rewound behind what is published; an operator has to look at it"
        return None

    def _note_holds(self, shard: str, outcomes: Sequence[Outcome]) -> None:
        before = self.holds(shard)
        holds = {outcome.ref: outcome.hold for outcome in outcomes if outcome.hold}
        for ref, hold in holds.items():
            if before.get(ref) != hold:
                _log.warning("held: app %s: %s", ref.app_id, hold.first.message)
        if holds:
            self._holds[shard] = holds
        else:
            self._holds.pop(shard, None)


def _subject(changed: Sequence[Outcome]) -> str:
    words = []
    for verb, removes in (("publish", False), ("withdraw", True)):
        ids = [outcome.ref.app_id for outcome in changed if outcome.removes is removes]
        if ids:
            words.append(f"{verb} {ids[0] if len(ids) == 1 else f'{len(ids)} apps'}")
    return ", ".join(words)
