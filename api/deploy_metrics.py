"""Counts deploys by how they end, each once: by the replica that accepted it.

How a deploy ends is told to whoever looks, and nobody has to: so the deploys that were accepted
here are looked at, seldom, until they have ended. One that was live for a moment, unseen, and then
replaced, counts as superseded. The times of their stages are those that were
observed, not those of the looks. What was not over when the process stopped is not counted.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from api.clients.metrics import Metrics
from api.domain.names import AppRef
from api.domain.progress import Progress
from api.errors import AppNotFound, OutcomeUnknown, PlatformError

_log = logging.getLogger(__name__)
#: Seconds between two looks at the deploys that have not ended; those who wait look themselves.
LOOK_SECONDS: Final = 5.0
#: Seconds after which a deploy that nothing tells the end of is given up.
_LOST_SECONDS: Final = 900.0
#: Seconds after which an answer about another commit is no older look that ended late.
_SURE_SECONDS: Final = 1.0
_MANY: Final = 5000
_ENDED: Final = frozenset({"live", "failed", "superseded"})


class DeployMetrics:
    """Told of every deploy when it is made; `run` finds out how it ended."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self._metrics = metrics or Metrics()
        self._open: dict[tuple[AppRef, str], float] = {}  # app and commit → when accepted

    def refused(self) -> None:
        """The check refuses a deploy: nothing is saved."""
        self._metrics.count_deploy("validated", "refused")

    @contextmanager
    def saving(self, ref: AppRef) -> Iterator[Callable[[str], None]]:
        """Times until a change is durable, whose commit it is told; counts what was not saved."""
        started = time.perf_counter()
        try:
            yield lambda commit: self._accepted(ref, commit)
        except OutcomeUnknown:
            self._metrics.count_deploy("committed", "unknown")
            raise
        except PlatformError:
            self._metrics.count_deploy("committed", "not_saved")
            raise
        self._metrics.time_write(time.perf_counter() - started)

    def _accepted(self, ref: AppRef, commit: str) -> None:
        if len(self._open) < _MANY:
            self._open.setdefault((ref, commit), time.monotonic())

    def saw(self, ref: AppRef, shown: Progress) -> None:
        """Somebody looked at the app: this is how far its newest deploy has come."""
        for (of, commit), since in [*self._open.items()]:
            if of == ref and self._is_over(commit, shown, time.monotonic() - since):
                del self._open[of, commit]

    async def run(self, progress: Callable[[AppRef], Awaitable[Progress]]) -> None:
        """Look at what nobody else looked at, until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for (ref, commit), since in [*self._open.items()]:
                try:
                    shown = await progress(ref)
                    self.saw(ref, shown)
                    if time.monotonic() - since > _LOST_SECONDS and self._forgets(ref, commit):
                        self._metrics.count_deploy(shown.stage, "lost")
                except AppNotFound:
                    self._forgets(ref, commit)
                except PlatformError as error:
                    _log.debug("how %s goes on is not known: %s", ref.app_id, error.message)
                except Exception:  # noqa: BLE001  (reported; a figure is lost, and nothing else)
                    _log.exception("a deploy could not be counted")
                    self._forgets(ref, commit)

    def _forgets(self, ref: AppRef, commit: str) -> bool:
        """Whether the deploy was still open."""
        return self._open.pop((ref, commit), None) is not None

    def _is_over(self, commit: str, shown: Progress, seconds: float) -> bool:
        """Whether the deploy has ended, and is counted."""
        if shown.commit != commit:
            if seconds < _SURE_SECONDS:
                return False
            self._metrics.count_deploy("live", "superseded")
        elif shown.stage in _ENDED:
            stage = shown.error.stage if shown.error else "live"
            self._metrics.count_deploy(stage, shown.stage)
            if shown.stage == "live":
                self._time(shown)
        else:
            return False
        return True

    def _time(self, shown: Progress) -> None:
        took: dict[str, float] = {
            stage.name: (stage.finished_at - stage.started_at).total_seconds()
            for stage in shown.stages
            if stage.state == "done" and stage.started_at and stage.finished_at
        }
        self._metrics.time_deploy(sum(took.values()), took)
