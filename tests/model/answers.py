"""What a person hears from a replica must be true."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from api.domain.names import AppRef
from api.errors import Conflict, InvalidRequest, NotFound, PlatformError, SourceRefused
from tests.model.model import Main, passes
from tests.model.replica import Replica
from tests.model.world import Effect, World


@dataclass
class Op:
    """Something that a person asked a replica for."""

    by: Replica
    ref: AppRef
    effect: Effect
    request: str
    since: list[str]  # where main stood while it was under way
    task: asyncio.Task[Any] | None = None

    def answered(self, world: World) -> bool:
        """Whether there is an answer; it is held against what happened."""
        if self.task is None or not self.task.done():
            return False
        saved = self.request in world.requests.values()
        error = self.task.exception()
        if error is None:
            world.seen["acknowledged"] += 1
            nothing = any(after == world.mains[tip] for tip, after in self._met(world))
            assert saved or nothing, f"{self.request} was acknowledged and is not on main"
            return True
        assert isinstance(error, PlatformError), error
        world.seen[f"refused: {type(error).__name__}"] += 1
        if saved:
            assert (error.status, error.code) == (409, "app_deleted"), f"{self.request}: {error}"
            assert any(self.ref not in world.mains[tip].apps for tip in self.since)
            return True
        if isinstance(error, SourceRefused | InvalidRequest):
            assert any(self._refusable(after) for _, after in self._met(world)), error.message
        else:
            assert isinstance(error, NotFound | Conflict), error
            assert self._impossible(world, error), error.message
        return True

    def _met(self, world: World) -> Iterator[tuple[str, Main | None]]:
        for tip in self.since:
            try:
                yield tip, self.effect(world.mains[tip], tip)
            except (KeyError, AssertionError):
                yield tip, None

    def _refusable(self, after: Main | None) -> bool:
        app = after.apps.get(self.ref) if after else None
        wrong = after is not None and after.tenants.get(self.ref.user_id) == "wrong"
        return app is None or wrong or not passes(self.ref, app)

    def _impossible(self, world: World, error: PlatformError) -> bool:
        """No such app, too many of them, or an id that is somebody else's."""
        if error.code == "app_limit":
            return any(
                sum(ref.user_id == self.ref.user_id for ref in world.mains[tip].apps) >= 3
                for tip in self.since
            )
        if error.code == "foreign_id":
            return any(world.owner(self.ref.app_id, tip) != self.ref.user_id for tip in self.since)
        return any(self.ref not in world.mains[tip].apps for tip in self.since)
