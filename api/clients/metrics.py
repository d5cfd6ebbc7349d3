"""What Prometheus reads at /metrics.

No label names a person, an app or a shard: there are as many series as routes, stages and parts.
"""

from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from api import __version__
from api.domain.rollout import STAGES

_PREFIX: Final = "fastapi_platform"
_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 13, 21, 34, 60, 120, 300)
#: How a deploy ends: `refused` by the check (nothing was saved), `not_saved` on main, `unknown`
#: (cut off: it may have been saved, and is sent again), `lost` from sight (nothing told its end
#: within a quarter of an hour).
OUTCOMES: Final = ("live", "failed", "superseded", "refused", "not_saved", "unknown", "lost")


class Metrics:
    """A registry of its own for each application, so that several can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter(
            "http_requests", "Answered requests.", "method", "route", "status"
        )
        self._seconds = Histogram(
            f"{_PREFIX}_http_response_start_seconds",
            "Seconds until a response began (event streams end much later).",
            ["method", "route"],
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )
        self._deploys = self._counter(
            "deploys", "Deploys by how they ended, and at which stage.", "stage", "outcome"
        )
        self._stages = self._histogram(
            "deploy_stage_seconds", "Seconds of each stage of deploys that went live.", "stage"
        )
        self._deploy_seconds = self._histogram(
            "deploy_seconds", "Seconds from the commit on main to the app's own answer."
        )
        self._writes = self._histogram(
            "write_seconds", "Seconds until a change was durable on main, its wait included."
        )
        self._pushes = self._histogram(
            "push_seconds", "Seconds of one push to the repository.", "outcome"
        )
        self._parts = Gauge(
            f"{_PREFIX}_part_ready",
            "Whether a part can be used (1) or not (0), as /readyz says.",
            ["part"],
            registry=self.registry,
        )
        self._info = Gauge(
            f"{_PREFIX}_info", "The release that serves.", ["version"], registry=self.registry
        )
        self._info.labels(__version__).set(1)
        # Series that are there from the start: an alert on one that is missing never fires.
        for stage in STAGES:
            self._stages.labels(stage)
            for outcome in OUTCOMES:
                self._deploys.labels(stage, outcome)
        for outcome in ("moved", "stale", "refused", "failed"):
            self._pushes.labels(outcome)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer; `route` is the template, never the path, which anybody can invent."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def count_deploy(self, stage: str, outcome: str) -> None:
        """Count how a deploy ended: one of OUTCOMES."""
        self._deploys.labels(stage, outcome).inc()

    def time_deploy(self, seconds: float, stages: Mapping[str, float]) -> None:
        """Note how long a deploy took that went live, and each of its stages."""
        self._deploy_seconds.observe(seconds)
        for stage, took in stages.items():
            self._stages.labels(stage).observe(took)

    def time_write(self, seconds: float) -> None:
        """Note how long somebody waited until a change was saved."""
        self._writes.observe(seconds)

    def time_push(self, outcome: str, seconds: float) -> None:
        """Note a push: `moved`, `stale`, `refused` or `failed`."""
        self._pushes.labels(outcome).observe(seconds)

    def note_part(self, name: str, *, ready: bool) -> None:
        """Note whether a part can be used."""
        self._parts.labels(name).set(ready)

    def watch(self, name: str, about: str, value: Callable[[], float]) -> None:
        """A figure that is read whenever Prometheus asks."""
        gauge = Gauge(f"{_PREFIX}_{name}", about, registry=self.registry)
        gauge.set_function(value)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, *labels: str) -> Histogram:
        return Histogram(
            f"{_PREFIX}_{name}", about, labels, registry=self.registry, buckets=_SECONDS
        )
