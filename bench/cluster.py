"""From the request to the first 200 through the router, on a real control plane of this machine.

1. Stage by stage, in an empty repository and with 1,000 other apps in it (800 asleep, 200 with a
   route), and with 80 apps in the deployed app's own shard. Limits: p50 ≤ 4.5 s, and with
   1,000 apps ≤ 1.15 times the empty one.
2. CPU seconds of Flux, the API server and the rest, for each deploy.
3. 50 new apps of 50 people at once: all live. A node of two cores has room for 40 requests of
   50m; a policy of the bench's own has pods ask for less, and what they may use stays as it is.
4. Deploys in the shard of an app that crash-loops, is held by the check, or is refused by the API
   server alone. Limit: p95 ≤ 1.2 times that without a fault; a refused app is put back once, and
   the deploy which comes at that moment takes at most twice as long.
5. The peer, on the same cluster with the same apps: the usual layout, one source on the whole
   repository and one Kustomization.

Signatures, admission policies and the shards' service accounts are on everywhere. Exits with 1 when
a limit is broken. Needs what `make test-cluster` needs for a plane of its own.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from api.clients.commit_signing import Signer
from api.clients.git_trees import Edit
from api.clients.gitops_repo import GitopsRepo
from api.domain.manifests import RenderSettings
from api.domain.names import shard_of
from bench.cluster_crowd import Filler, crowd, lead_to_stub, stub_server
from bench.cluster_deploys import (
    Cost,
    Meter,
    Timing,
    Visitor,
    create,
    update,
)
from bench.cluster_faults import Culprit, neighbours
from bench.cluster_peer import Peer
from bench.cluster_room import small_requests
from bench.cluster_tables import heading, load, print_costs, quantile, stages, stages_heading
from bench.deploy import row, says
from tests.cluster.plane import starting
from tests.cluster.platform import APPS_HOST, REPOSITORY, Installed, installed
from tests.product import Person
from tests.remote.git_server import GitServer

PARTS: Final = ("stages", "faults", "crowd", "shard", "at-once", "peer")
P50_LIMIT, CROWD_LIMIT, FAULT_LIMIT, PUT_BACK_LIMIT = 4.5, 1.15, 1.2, 2.0
_IDLE_SECONDS: Final = 10.0
#: Until the old pod is gone and the machine has drawn breath.
_PAUSE_SECONDS: Final = 2.0
_SETTLE_SECONDS: Final = 15.0
#: The CPU seconds of fifty deploys, on two cores, and as much again.
_AT_ONCE_SECONDS: Final = 400.0


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    deploys: int = 15
    fault_deploys: int = 10
    apps: int = 1000
    shard_apps: int = 80
    at_once: int = 50
    peer_deploys: int = 3  # with all the apps; each may take minutes


SMALL: Final = Sizes(3, 2, 20, 8, 4, 1)


@dataclass
class Bench:
    """One run: the platform, whose app is deployed, and what was measured so far."""

    platform: Installed
    sizes: Sizes
    settings: RenderSettings
    repo: GitopsRepo
    signer: Signer
    token: bytes
    stub_port: int
    person: Person
    culprit: Person
    people: list[Person]
    app_id: str = ""
    number: int = 0
    kept: list[bool] = field(default_factory=list)  # of each limit
    empty: list[Timing] = field(default_factory=list)
    rendered: dict[str, Edit] = field(default_factory=dict)
    costs: dict[str, dict[str, float]] = field(default_factory=dict)
    peer: Peer | None = None
    peer_empty: list[float] = field(default_factory=list)

    def deploys(
        self, label: str, times: int, in_turn: Callable[[], None] | None = None
    ) -> list[Timing]:
        """So many versions of the one app, one after the other; prints the stages."""
        meter, visitor = Meter(self.platform), Visitor(self.platform.cluster.apps_url)
        found, cost = [], Cost()
        for _ in range(times):
            with meter.counting(cost):
                found.append(update(self.person, visitor, self.app_id, self.word()))
                time.sleep(_PAUSE_SECONDS)
            if in_turn:
                in_turn()
        self.costs[label] = cost.per_time()
        stages(label, found)
        return found

    def word(self) -> str:
        """What no version said before."""
        self.number += 1
        return f"version{self.number}"

    def limit(self, label: str, value: float, limit: float, unit: str = "times") -> None:
        """Print a promised figure."""
        self.kept.append(row(label, value, unit, limit))


def answered(timings: list[Timing]) -> list[float]:
    """The seconds until the first right answer."""
    return [timing.answered for timing in timings]


def empty_repository(bench: Bench) -> None:
    """Nobody else's apps; the peer deploys in turn, so that a busy minute falls on both."""
    bench.costs["idle, per second, empty"] = Meter(bench.platform).idle(_IDLE_SECONDS)
    peer_cost = Cost()

    def in_turn() -> None:
        if bench.peer:
            bench.peer_empty.append(peer_deploy(bench, bench.peer, peer_cost))

    bench.empty = bench.deploys("empty repository", bench.sizes.deploys, in_turn)
    if bench.peer:
        peer_row(bench, "empty repository", bench.peer_empty, peer_cost)
    bench.limit("empty repository, p50", quantile(answered(bench.empty), 50), P50_LIMIT, "s")


def faults(bench: Bench) -> None:
    """Each fault between two runs without one, so that a busy minute falls on all alike."""
    culprit = Culprit(bench.platform, bench.culprit)
    kinds: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "a crash loop": culprit.crash_loops,
        "held by the check": culprit.held_by_the_check,
    }
    times = bench.sizes.fault_deploys
    calm = answered(bench.deploys("no fault in the shard", times))
    with_fault = {}
    for label, fault in kinds.items():
        with fault():
            with_fault[label] = answered(bench.deploys(label, times))
    with culprit.refused_by_the_cluster() as until_put_back:
        [once] = answered(bench.deploys("while a refused app is put back", 1))
        until_put_back()
        label = "refused by the API server"
        with_fault[label] = answered(bench.deploys(label, times))
    calm += answered(bench.deploys("no fault in the shard, again", times))
    for label, seconds in with_fault.items():
        bench.limit(f"{label}, p95", quantile(seconds, 95) / quantile(calm, 95), FAULT_LIMIT)
    bench.limit("while it is put back, once", once / quantile(calm, 95), PUT_BACK_LIMIT)


def fill(bench: Bench, apps: int, shard: str | None = None) -> None:
    """Other people's apps."""
    filler = Filler(bench.platform, bench.repo, bench.settings)
    people, since = crowd(apps, shard), time.perf_counter()
    bench.rendered |= filler.fill(people)
    lead_to_stub(bench.platform, people, bench.stub_port)
    took = time.perf_counter() - since
    print(f"({apps} apps written, applied and routed in {took:.0f} s)", flush=True)
    time.sleep(_SETTLE_SECONDS)


def crowded(bench: Bench) -> None:
    """With 1,000 other apps."""
    apps = bench.sizes.apps
    fill(bench, apps)
    bench.costs[f"idle, per second, {apps} apps"] = Meter(bench.platform).idle(_IDLE_SECONDS)
    full = answered(bench.deploys(f"{apps} other apps", bench.sizes.deploys))
    bench.limit(f"{apps} other apps, p50", quantile(full, 50), P50_LIMIT, "s")
    if bench.empty:
        ratio = quantile(full, 50) / quantile(answered(bench.empty), 50)
        bench.limit(f"{apps} other apps, p50, to the empty one", ratio, CROWD_LIMIT)


def one_shard(bench: Bench) -> None:
    """With many apps in the shard itself."""
    apps = bench.sizes.shard_apps
    fill(bench, apps, shard_of(bench.person.user_id, 2))
    bench.deploys(f"{apps} other apps in the same shard", bench.sizes.deploys)


def at_once(bench: Bench) -> None:
    """Everybody deploys a first app in the same moment."""
    while len(bench.people) < bench.sizes.at_once:
        bench.people.append(bench.platform.product.sign_up())
    people = bench.people[: bench.sizes.at_once]
    words = [f"together{number}" for number in range(len(people))]
    # Fifty who ask twenty times a second would be the greater part of what is measured.
    visitor = Visitor(bench.platform.cluster.apps_url, pause=1, patience=_AT_ONCE_SECONDS)
    with small_requests(bench.platform.cluster), ThreadPoolExecutor(len(people)) as pool:
        found = list(pool.map(lambda p, w: create(p, visitor, w), people, words))
    stages(f"{len(found)} new apps at once", found)
    live = sum(timing.told < float("inf") and timing.answered < float("inf") for timing in found)
    bench.limit(f"not live, of {len(found)} at once", len(found) - live, 0, "apps")
    for person in people:
        for app in person.ok("GET", "/api/apps")["apps"]:
            if app["app_id"] != bench.app_id:
                person.ok("DELETE", f"/api/apps/{app['app_id']}")
    time.sleep(_SETTLE_SECONDS)


def peer_begins(bench: Bench) -> None:
    """The usual layout, with nothing but the one app."""
    bench.peer = peer = Peer.installed(bench.platform, bench.settings, bench.signer, bench.token)
    peer.answers("first", time.perf_counter())


def peer_crowded(bench: Bench, peer: Peer) -> None:
    """The usual layout, with all that the shards hold."""
    apps = len({path.split("/")[1] for path in bench.rendered if path.count("/") > 1})
    print(f"(peer: {apps} apps applied once in {peer.fill(bench.rendered):.0f} s)", flush=True)
    time.sleep(_SETTLE_SECONDS)
    cost = Cost()
    found = [peer_deploy(bench, peer, cost) for _ in range(bench.sizes.peer_deploys)]
    peer_row(bench, f"{apps} other apps", found, cost)
    if bench.peer_empty:
        ratio = quantile(found, 50) / quantile(bench.peer_empty, 50)
        row("peer, p50, to its empty one", ratio, "times")


def peer_deploy(bench: Bench, peer: Peer, cost: Cost) -> float:
    """Seconds of one deploy by the usual layout."""
    with Meter(bench.platform).counting(cost):
        seconds = peer.deploy(bench.word())
        time.sleep(_PAUSE_SECONDS)
    return seconds


def peer_row(bench: Bench, label: str, found: list[float], cost: Cost) -> None:
    """What came of its deploys."""
    bench.costs[f"peer, {label}"] = cost.per_time()
    for percent in (50, 95):
        words = f"peer, {label}, from the push"
        print(f"{words:<36} p{percent}{'':44}{quantile(found, percent):11.2f}   load {load()}")


def run(bench: Bench, parts: set[str]) -> int:
    """The chosen parts; the exit status."""
    if "peer" in parts:
        peer_begins(bench)
    stages_heading()
    if parts & {"stages", "crowd", "peer"}:
        empty_repository(bench)
    if "faults" in parts:
        faults(bench)
    if "crowd" in parts:
        crowded(bench)
    if "shard" in parts:
        one_shard(bench)
    if "at-once" in parts:
        at_once(bench)
    if bench.peer and bench.rendered:
        heading("The peer, with all that")
        peer_crowded(bench, bench.peer)
    print_costs(bench.costs)
    broken = bench.kept.count(False)
    print(f"\n{broken} of {len(bench.kept)} limits broken" if broken else "\nAll limits kept")
    return 1 if broken else 0


@contextmanager
def prepared(sizes: Sizes) -> Iterator[Bench]:
    """A plane with the platform installed, two people in one shard, and the first app live."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-cluster-")))
        cluster = stack.enter_context(starting.running())
        (folder / "git").mkdir()
        git = stack.enter_context(GitServer(folder / "git").running())
        platform = stack.enter_context(installed(cluster, git, folder))
        signer = Signer.load(folder / "signing")
        people: list[Person] = []
        person, culprit = neighbours(platform, people)
        repo = GitopsRepo(git.root / REPOSITORY, signer)
        bench = Bench(
            platform,
            sizes,
            RenderSettings(cluster.runner_image, apps_host=APPS_HOST),
            repo,
            signer,
            (folder / "receiver-token").read_bytes(),
            stack.enter_context(stub_server(str(cluster.node_address))),
            person,
            culprit,
            people,
        )
        app = person.create("bench", {"user_code.py": says("first")})
        bench.app_id = app["app_id"]
        person.live(bench.app_id, seconds=120)
        yield bench
        asyncio.run(repo.close())


def main() -> int:
    """Measure and print; 1 when a limit is broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.cluster", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", choices=PARTS, action="append", help="repeat for several parts")
    parser.add_argument("--small", action="store_true", help="few of everything: does it work?")
    arguments = parser.parse_args()
    parts = set(arguments.only or PARTS)

    with prepared(SMALL if arguments.small else Sizes()) as bench:
        return run(bench, parts)


if __name__ == "__main__":
    sys.exit(main())
