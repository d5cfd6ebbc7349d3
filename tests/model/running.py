"""The replicas of the state machine, and what must hold after each of its steps."""

import itertools
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar, Final

from hypothesis.stateful import RuleBasedStateMachine, invariant

from api.domain.names import AppRef, shard_of
from api.domain.rollout import LiveVersion
from tests.history.people import Repository
from tests.model import people
from tests.model.answers import Op
from tests.model.bench import Bench
from tests.model.model import App
from tests.model.replica import Replica, replica
from tests.model.world import Effect, World

#: Ann and Bob share a shard; Cyd has another one.
ANN: Final = "u0"
BOB: Final = next(f"u{n}" for n in range(2, 9999) if shard_of(f"u{n}", 2) == shard_of(ANN, 2))
CYD: Final = "u1"
USERS: Final = (ANN, BOB, CYD)
SHARDS: Final = sorted({shard_of(user, 2) for user in USERS})
REPLICAS: Final = 3
_OPERATOR: Final = REPLICAS  # the place of the process that `publish --accept` is
_ROUNDS: Final = 8  # looks of everybody, after which nothing may move any more


class Running(RuleBasedStateMachine):
    """Three replicas on one repository, and what is judged; the rules are `Machine`'s."""

    bench: ClassVar[Bench]
    total: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.sound = True
        self.total["examples"] += 1
        self.bench.clock.seconds = 1_900_000_000
        self.place = Path(tempfile.mkdtemp(prefix="model-"))
        shutil.copytree(self.bench.template, self.place / "repo.git")
        self.world = World(Repository(self.place / "repo.git"), SHARDS)
        self.seen = self.world.seen
        self.processes: dict[int, tuple[Replica, AsyncExitStack]] = {}
        self.count = itertools.count(1)
        self.ops: list[Op] = []
        self.live: dict[AppRef, LiveVersion] = {}
        for place in range(REPLICAS):
            self._start(place, release=1)

    # What must hold -------------------------------------------------------------------------

    @invariant()
    def git_is_as_the_model_says(self):
        self.sound = False  # until all of this holds
        self.world.see()
        for op in self.ops:
            op.since.append(self.world.head)
        self.ops = [op for op in self.ops if not op.answered(self.world)]
        self.sound = True

    def teardown(self):
        try:
            if self.sound:
                self._ends_well()
        finally:
            self.total.update(self.seen)
            for place in [*self.processes]:
                self._stop(place)
            shutil.rmtree(self.place)

    def _ends_well(self):
        """Left alone, everything comes to rest; with an operator's word, all that waits goes on."""
        self._everybody_finishes()
        self._come_to_rest()
        for shard in SHARDS:
            self._require_rest(shard)
        self._accept(2, None)
        for place in range(REPLICAS):
            self._stop(place)
            self._start(place, release=2)
        self._come_to_rest()
        for shard in SHARDS:
            assert not self.world.rewound(shard)
            self._require_rest(shard, all_of_it=True)
        assert not self.world.repository.git("fsck", "--strict", "--no-dangling")

    def _everybody_finishes(self):
        for process, _ in [*self.processes.values()]:
            self._run(process.go_on(None))
            self.git_is_as_the_model_says()
        assert not self.ops, "somebody got no answer"

    def _come_to_rest(self):
        for _ in range(_ROUNDS):
            before = {shard: found.commit for shard, found in self.world.shards.items()}
            for at in range(REPLICAS):
                self._begin(at, self._replica(at).stack.look(), None)
                self.git_is_as_the_model_says()
            if before == {shard: found.commit for shard, found in self.world.shards.items()}:
                return
        raise AssertionError("the branches never come to rest")

    def _require_rest(self, shard: str, *, all_of_it: bool = False) -> None:
        """Published is what main says, or somebody is told why not."""
        published = self.world.shards[shard]
        told: set[AppRef] = set()
        for at in range(REPLICAS):
            process = self._replica(at)
            waiting = process.stack.publisher.waiting(shard) or ""
            if process.release < published.renderer:
                continue
            if self.world.rewound(shard):
                assert "rewound" in waiting or self.world.nothing_differs(shard)
                continue
            wanted = self.world.verdicts(shard, published, self.world.head)
            held = {ref for ref, want in wanted.items() if want.held}
            told |= set(process.stack.publisher.holds(shard))
            assert told <= held, f"replica {at} tells of {told}, held are {held}"
            assert self.world.up_to_date(shard, all_of_it=all_of_it)
            if at == REPLICAS - 1 or all_of_it:
                assert told == held, f"nobody tells of {held - told}"
            self.seen["held at rest"] += len(held)

    def _edit(self, ref: AppRef, what: str) -> None:
        number, now = next(self.count), self._now(ref)
        if now is not None:
            after = people.EDITS[what](now, ref, number)
            self.world.push(
                people.written(ref, after, number), lambda main, _: main.put(ref, after)
            )

    # Short ways -----------------------------------------------------------------------------

    def _run(self, work: Awaitable[Any]) -> Any:
        self.seen["steps"] += 1

        async def awaited() -> Any:
            return await work

        return self.bench.runner.run(awaited())

    def _replica(self, place: int) -> Replica:
        return self.processes[place][0]

    def _free(self, place: int) -> None:
        """See through to its end what stands, if anything does."""
        self._run(self._replica(place).go_on(None))
        self.git_is_as_the_model_says()

    def _begin(self, place: int, work: Awaitable[Any], how_far: int | None) -> None:
        self._run(self._replica(place).begin(work, how_far))

    def _start(self, place: int, release: int) -> None:
        def composed(tip: str, message: str, commit: str) -> None:
            accepted = self._replica(place).stack.publisher.accepted
            live = frozenset(self.live.items())
            self.world.composed(place, (tip, release, live, accepted), message, commit)

        stack = AsyncExitStack()
        database = self.place / f"{next(self.count)}.sqlite3"
        opened = replica(self.place / "repo.git", database, self.bench.sources, release, composed)
        process = self._run(stack.enter_async_context(opened))
        process.stack.live |= self.live
        self.processes[place] = process, stack

    def _stop(self, place: int) -> None:
        process, stack = self.processes.pop(place)
        process.crash()
        self.ops = [op for op in self.ops if op.by is not process]
        self._run(stack.aclose())

    def _accept(self, release: int, how_far: int | None) -> None:
        if _OPERATOR in self.processes:
            self._stop(_OPERATOR)
        self._start(_OPERATOR, release)
        self._replica(_OPERATOR).stack.publisher.accepted = self.world.head
        self.world.accepted.add(self.world.head)
        self._begin(_OPERATOR, self._replica(_OPERATOR).stack.look(), how_far)
        self.world.see()

    def _asks(
        self,
        place: int,
        ref: AppRef,
        effect: Effect,
        how_far: int | None,
        ask: Callable[[Replica, str], Awaitable[Any]],
    ) -> None:
        self._free(place)
        process, request = self._replica(place), f"r{next(self.count)}"
        self.world.effects[request] = effect
        op = Op(process, ref, effect, request, [self.world.head])
        self.ops.append(op)
        self._begin(place, ask(process, request), how_far)
        op.task = process.task

    def _apps(self) -> list[AppRef]:
        """Every app that there ever was, as far as main knows."""
        return sorted(
            {ref for c in self.world.line(self.world.head) for ref in self.world.mains[c].apps}
        )

    def _app(self, which: int) -> AppRef:
        apps = self._apps()
        return apps[which % len(apps)]

    def _now(self, ref: AppRef) -> App | None:
        return self.world.mains[self.world.head].apps.get(ref)
