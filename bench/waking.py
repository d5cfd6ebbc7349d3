"""From the first request to a sleeping app until its answer, through the router.

The request is a plain GET that follows no redirect; each is the first after the app was asleep and
its route gone. Peer, in turn with each wake: a restart of the same app by its owner, until the new
version is live. Limits: p50 ≤ 1.5 s embedded; with `--cluster`, on a real control plane of this
machine, p50 ≤ 5 s. Every request must be answered by the app. Exits with 1 when a limit is broken.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx2

from bench.deploy import quantile, row, says
from tests.cluster.plane import starting
from tests.cluster.platform import APPS_HOST, installed
from tests.cluster.waker_route import waker_route
from tests.product import Person, Product, eventually
from tests.remote.git_server import GitServer

ROUNDS: Final = 15
_EMBEDDED_LIMIT, _CLUSTER_LIMIT = 1.5, 5.0  # seconds, p50
#: An app may be woken six times in ten minutes by visitors.
_WAKES_OF_ONE_APP: Final = 5
_ROBOT: Final = {"User-Agent": "Googlebot/2.1"}

Ask = Callable[..., httpx2.Response]


def main() -> int:
    """Measure and print; 1 when a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cluster", action="store_true", help="on a real control plane")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    where = _on_a_cluster if options.cluster else _embedded
    with where() as (product, ask):
        wakes, restarts, answered = _measure(product, ask, options.rounds)
    wake50, restart50 = quantile(wakes, 50), quantile(restarts, 50)
    row("owner's restart, request to live, p50", restart50)
    kept = [
        row(
            f"{len(wakes)} wakes, request to answer, p50",
            wake50,
            limit=_CLUSTER_LIMIT if options.cluster else _EMBEDDED_LIMIT,
        ),
        row("answered by the app", 100 * answered / len(wakes), "%"),
    ]
    row(f"{len(wakes)} wakes, request to answer, p95", quantile(wakes, 95))
    row("ratio of the p50s", wake50 / restart50, "times")
    return 0 if all(kept) and answered == len(wakes) else 1


def _measure(product: Product, ask: Ask, rounds: int) -> tuple[list[float], list[float], int]:
    wakes: list[float] = []
    restarts: list[float] = []
    answered = 0
    person = product.sign_up()
    app: dict[str, Any] = {}
    for number in range(rounds):
        if number % _WAKES_OF_ONE_APP == 0:
            app = person.create(f"bench{number}", {"user_code.py": says("awake")})
            person.live(app["app_id"], seconds=120)
        restarts.append(_timed(partial(_restart, person, app)))
        _sleep(person, app, ask)
        since = time.perf_counter()
        answer = ask(app["url"])
        wakes.append(time.perf_counter() - since)
        answered += answer.status_code == httpx2.codes.OK and answer.json()["word"] == "awake"
        person.live(app["app_id"], seconds=120)
    return wakes, restarts, answered


def _restart(person: Person, app: dict[str, Any]) -> None:
    commit = person.ok("POST", f"/api/apps/{app['app_id']}/restart")["commit"]
    person.live(app["app_id"], commit, 120)


def _sleep(person: Person, app: dict[str, Any], ask: Ask) -> None:
    commit = person.ok("POST", f"/api/apps/{app['app_id']}/hibernate")["commit"]
    person.live(app["app_id"], commit, 120)

    def waits() -> bool:
        # Not the router's own 503 for a route whose pod is gone already.
        return "fastapi-platform-app" in ask(app["url"], headers=_ROBOT).headers

    eventually("its route is gone", waits, 60)


def _timed(work: Callable[[], None]) -> float:
    since = time.perf_counter()
    work()
    return time.perf_counter() - since


@contextmanager
def _embedded() -> Iterator[tuple[Product, Ask]]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-waking-") as folder,
        Product(Path(folder) / "data") as product,
        httpx2.Client(timeout=60, trust_env=False) as http,
    ):
        yield product, http.get


@contextmanager
def _on_a_cluster() -> Iterator[tuple[Product, Ask]]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-waking-") as served,
        tempfile.TemporaryDirectory(prefix="bench-waking-") as folder,
        starting.running() as cluster,
        GitServer(Path(served), host="127.0.0.1").running() as git,
        installed(cluster, git, Path(folder)) as platform,
        httpx2.Client(timeout=60, trust_env=False, headers={"Host": APPS_HOST}) as http,
    ):

        def ask(url: str, **arguments: Any) -> httpx2.Response:
            return http.get(url.replace(f"https://{APPS_HOST}", cluster.apps_url, 1), **arguments)

        with waker_route(platform, ask):
            yield platform.product, ask


if __name__ == "__main__":
    sys.exit(main())
