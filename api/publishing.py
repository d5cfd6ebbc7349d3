"""From what people want (`main`) to what Flux applies (`flux/<shard>`), one shard at a time.

Level-triggered: whatever differs between the two branches is composed anew (`api/composition.py`)
into one commit. A crash, a lost race or a commit by other hands is repaired by the next look
(`api/watching.py`). Nothing here moves a branch: that is the writer's.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from api.clients.git_tenants import apps_of
from api.clients.git_upstream import Move
from api.clients.gitops_repo import GitopsRepo
from api.composition import Composer
from api.domain.commit_message import (
    COMMITTER,
    RERENDER,
    newer_renderer,
    publish_message,
    trailers,
)
from api.domain.manifests import RENDERER_VERSION
from api.domain.names import AppRef
from api.domain.publication import Hold, too_many_removals
from api.domain.quarantine import Quarantine, Record, read_quarantine
from api.domain.repo_layout import shard_branch
from api.errors import RepositoryUnavailable
from api.intents import Intents
from api.rendering import Tips
from api.verdicts import Outcome, quarantine_edits

_log = logging.getLogger(__name__)

#: Actions of commits that take apps away.
_REMOVING: Final = frozenset({"delete", "cleanup", "delete-account"})
#: Tells whoever applies the shard branches that some of them moved.
Poke = Callable[[Collection[str]], Awaitable[None]]


@dataclass(frozen=True)
class Refusal:
    """The cluster refuses a commit of a shard branch for what one app is."""

    ref: AppRef
    commit: str
    record: Record


class Publisher:
    """Composes shards; holds and waits are kept in memory, for the next look finds them again."""

    def __init__(self, repo: GitopsRepo, intents: Intents, composer: Composer, poke: Poke) -> None:
        self._repo = repo
        self._intents = intents
        self._composer = composer
        self._poke = poke
        self._holds: dict[str, Mapping[AppRef, Hold]] = {}  # by shard; only shards with holds
        self._waiting: dict[str, str] = {}
        self._since: dict[str, float] = {}  # by waiting shard: since when
        self._quarantined: dict[str, int] = {}  # by shard: apps that were taken back
        self._looked_at: dict[str, str] = {}  # the tip of each shard at its last look
        self._told: dict[str, str | None] = {}  # the tip of each shard that was told of
        #: A commit of `main` at which an operator looked: what was rewound or removed up to it
        #: is meant so.
        self.accepted: str | None = None
        #: By shard: what the cluster refuses of its newest commit.
        self.refusals: dict[str, Refusal] = {}
        #: Apps that an operator wants to be tried again although the cluster refused them.
        self.retried: Collection[AppRef] = ()
        #: Shards whose apps are rendered anew where another release or setting made them.
        self.anew: Collection[str] = ()
        #: Whether an operator wants this release to follow a newer one on the shards rendered anew.
        self.accept_older = False

    @property
    def unsettled(self) -> Collection[str]:
        """Shards with something held or waiting: they are opened at every look."""
        return self._holds.keys() | self._waiting.keys()

    @property
    def held_apps(self) -> int:
        """How many apps are held, in all shards."""
        return sum(map(len, self._holds.values()))

    @property
    def quarantined_apps(self) -> int:
        """How many apps were taken back because the cluster refused them."""
        return sum(self._quarantined.values())

    @property
    def waiting_shards(self) -> int:
        """On how many shards something stands in the way."""
        return len(self._waiting)

    def lag(self) -> float:
        """For how many seconds the shard that waits longest has waited; 0 when none does."""
        return time.monotonic() - min(self._since.values()) if self._since else 0.0

    def holds(self, shard: str) -> Mapping[AppRef, Hold]:
        """The apps whose newest intent is held, and why, as of the last look at the shard."""
        return self._holds.get(shard, {})

    def has_seen(self, shard: str, tip: str) -> bool:
        """Whether holds are known as of this tip: not when another replica published it."""
        return self._looked_at.get(shard) == tip

    def waiting(self, shard: str) -> str | None:
        """Why nothing is published on the shard now; None when nothing stands in the way."""
        return self._waiting.get(shard)

    async def compose(self, shard: str, main: str) -> Move | None:
        """The move of the shard's branch for what `main` says; None when nothing is to be done.

        `main` may be a commit that is still to be pushed. Raises RepositoryUnavailable.
        """
        await self._intents.indexed_tip()
        stands = await self._repo.shard_tip(shard, main)
        if stands is None:
            raise RepositoryUnavailable(f"The repository has no branch {shard_branch(shard)}.")
        tip, rewound = stands.commit, not stands.follows
        kept = read_quarantine(stands.quarantine)
        platform = await self._intents.platform(main)
        tips = Tips(shard, main, tip, stands.source, platform, self._quarantine(kept, shard, tip))
        if rewound and await self._repo.is_ancestor(stands.source or "", await self._intents.tip()):
            return None  # not rewound: this attempt read main before somebody published a newer one
        accepted = await self._accepted_on(main)
        newer = newer_renderer(stands.message, RENDERER_VERSION)
        reason = self._obstacle(tips, newer, rewound=rewound and accepted is None)
        if reason:
            self._wait(shard, reason)
            return None
        self._waiting.pop(shard, None)
        outcomes = await self._composer.look(tips, anew=shard in self.anew)
        self._note_holds(shard, outcomes)
        self._looked_at[shard] = tip
        changed = await self._braked(tips, outcomes)
        edits = quarantine_edits(kept, outcomes)
        # What an operator accepted is noted also where it changes nothing: the next deploy goes on.
        if not changed and not edits and not rewound and not newer:
            self._in_step([shard])
            return None
        for outcome in changed:
            edits |= outcome.edits or {}
        reason = "accept a rewind of main" if rewound else "accept a downgrade" if newer else None
        subject = _subject(changed) or reason or "end a quarantine"
        more = {
            "Accepted-Rewind": accepted if rewound else None,
            "Accepted-Older": newer,
            "Action": RERENDER if any(outcome.anew for outcome in changed) else None,
        }
        message = publish_message(subject, main, RENDERER_VERSION, more)
        commit = await self._repo.compose(tip, edits, message)
        self._looked_at[shard] = commit
        return Move(shard_branch(shard), tip, commit)

    def _quarantine(self, kept: Mapping[AppRef, Record], shard: str, tip: str) -> Quarantine:
        records = {ref: record for ref, record in kept.items() if ref not in self.retried}
        refusal = self.refusals.get(shard)
        if refusal and refusal.commit == tip:
            records[refusal.ref] = refusal.record
        return Quarantine(records, news=records != kept)

    async def _braked(self, tips: Tips, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """What is written: removals that look like an accident are held back, and said."""
        changed = [outcome for outcome in outcomes if outcome.edits is not None]
        removed = {outcome.ref.app_id for outcome in changed if outcome.removes}
        standing = sum(outcome.stands for outcome in outcomes)
        if not too_many_removals(len(removed), standing):
            return changed
        unexplained = removed - await self._announced(tips)
        if unexplained and (accepted := await self._seen_removals(tips)):
            unexplained &= await self._apps(accepted, tips.shard)
        if not too_many_removals(len(unexplained), standing):
            return changed
        self._wait(
            tips.shard,
            f"{len(unexplained)} of {standing} apps vanished from main at once and not by the "
            "platform; they are kept until an operator has looked, and then "
            f"`python -m api publish --accept {tips.main}`",
        )
        return [outcome for outcome in changed if outcome.ref.app_id not in unexplained]

    async def _announced(self, tips: Tips) -> set[str]:
        """Apps that the platform's own commits since the last publish say they remove."""
        found: set[str] = set()
        if tips.source and not await self._repo.is_ancestor(tips.source, tips.main):
            return found  # main was rewound, and the source may be gone for good
        for commit in await self._repo.first_parents(tips.main, tips.source):
            told = trailers(commit.message)
            if commit.committer == COMMITTER and set(told.get("Action", ())) & _REMOVING:
                found.update(told.get("App-Id", ()))
        return found

    async def _accepted_on(self, main: str) -> str | None:
        if self.accepted and await self._repo.is_ancestor(self.accepted, main):
            return self.accepted
        return None

    async def _seen_removals(self, tips: Tips) -> str | None:
        """The accepted commit, unless it is older than what is published: it says nothing then."""
        accepted = await self._accepted_on(tips.main)
        if accepted is None or tips.source is None:
            return accepted
        rewound = not await self._repo.is_ancestor(tips.source, tips.main)
        newer = await self._repo.is_ancestor(tips.source, accepted)
        return accepted if rewound or newer else None

    async def _apps(self, commit: str, shard: str) -> set[str]:
        """The ids of a shard's apps on `main` at a commit."""
        tenants = await self._repo.outline(commit, f"apps/{shard}", depth=2)
        return {ref.app_id for ref in apps_of(tenants)}

    async def published(self, shards: Collection[str]) -> None:
        """These branches moved: whoever applies them is told, once for each commit."""
        tips = {shard: await self._repo.head(shard_branch(shard)) for shard in shards}
        self._in_step(shards)
        untold = [shard for shard, tip in tips.items() if self._told.get(shard) != tip]
        self._told |= tips
        if untold:
            await self._poke(untold)

    async def not_published(self, shards: Collection[str], reason: str) -> None:
        """These branches could not be moved; kept until a look succeeds."""
        for shard in shards:
            self._wait(shard, reason)

    def _in_step(self, shards: Collection[str]) -> None:
        """The clock of those that nothing stands in the way of is stopped."""
        for shard in shards:
            if shard not in self._waiting:
                self._since.pop(shard, None)

    def _wait(self, shard: str, reason: str) -> None:
        if self._waiting.get(shard) != reason:
            _log.error("publishing of shard %s waits: %s", shard, reason)
        self._waiting[shard] = reason
        self._since.setdefault(shard, time.monotonic())

    def _obstacle(self, tips: Tips, newer: str | None, *, rewound: bool) -> str | None:
        """Never backwards: neither behind the tip's source nor behind its renderer."""
        if newer and not (self.accept_older and tips.shard in self.anew):
            return f"it was published by a newer release (renderer {newer})"
        if rewound:
            return (
                "main was rewound behind what is published; an operator has to look, and then "
                f"`python -m api publish --accept {tips.main}`"
            )
        return None

    def _note_holds(self, shard: str, outcomes: Sequence[Outcome]) -> None:
        before = self.holds(shard)
        holds = {outcome.ref: outcome.hold for outcome in outcomes if outcome.hold}
        for ref, hold in holds.items():
            if before.get(ref) != hold:
                _log.warning("held: app %s: %s", ref.app_id, hold.first.message)
        self._quarantined[shard] = sum(o.quarantined is not None for o in outcomes)
        if holds:
            self._holds[shard] = holds
        else:
            self._holds.pop(shard, None)


def _subject(changed: Sequence[Outcome]) -> str:
    words = []
    for verb in ("publish", "withdraw", "rerender", "quarantine"):
        ids = [outcome.ref.app_id for outcome in changed if outcome.verb == verb]
        if ids:
            words.append(f"{verb} {ids[0] if len(ids) == 1 else f'{len(ids)} apps'}")
    return ", ".join(words)
