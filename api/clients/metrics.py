"""What Prometheus reads at /metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """A registry of its own for each application, so that several can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "fastapi_platform_http_requests",
            "Answered requests.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "fastapi_platform_http_response_start_seconds",
            "Seconds until a response began (event streams end much later).",
            ["method", "route"],
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )

        self.alarms = Gauge(
            "fastapi_platform_shards_not_applied",
            "Shards that the cluster cannot apply, for a reason that an operator must look at.",
            registry=self.registry,
        )

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer; `route` is the template, never the path, which anybody can invent."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
