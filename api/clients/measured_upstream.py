"""The shared repository, with its pushes timed."""

import time
from collections.abc import Sequence

from api.clients.git_upstream import Move, Result, Upstream
from api.clients.metrics import Metrics


class MeasuredUpstream(Upstream):
    """Says how long each push took, and what came of it; everything else is the inner one's."""

    def __init__(self, inner: Upstream, metrics: Metrics) -> None:
        self._inner = inner
        self._metrics = metrics

    @property
    def problem(self) -> str | None:
        """Why it cannot be reached."""
        return self._inner.problem

    async def open(self) -> None:
        """Make ready what is needed on this machine."""
        await self._inner.open()

    async def refresh(self) -> None:
        """Learn where its branches stand."""
        await self._inner.refresh()

    async def push(self, moves: Sequence[Move]) -> Result:
        """Move branches, timed also when it is cut off."""
        started, outcome = time.perf_counter(), "failed"
        try:
            result = await self._inner.push(moves)
            outcome = "moved" if result.moved else "refused" if result.of("refused") else "stale"
            return result
        finally:
            self._metrics.time_push(outcome, time.perf_counter() - started)
