"""One deploy on a cluster, timed stage by stage, and the CPU seconds that its parts spend."""

import contextlib
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import psutil

from bench.deploy import says
from tests.cluster.platform import APPS_HOST, Installed
from tests.product import ENDED, Person

#: A deploy that does not answer for so long never will, as far as a learner cares.
_GIVE_UP_SECONDS: Final = 120.0
_VISIT_SECONDS: Final = 0.05  # between two visits
_STAGES: Final = {"fetched": "fetched", "applied": "applied", "starting": "ready", "live": "told"}
PROGRAMS: Final = (
    *("kube-apiserver", "etcd", "source-controller", "kustomize-controller"),
    *("notification-controller", "kube-controller-manager", "kubelet", "containerd", "traefik"),
)
Send = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class Timing:
    """Seconds from the request until each of these; infinite for what never came.

    All but `committed` (the API's answer) and `answered` are when the app's events told of it.
    """

    committed: float
    fetched: float = math.inf
    applied: float = math.inf
    ready: float = math.inf
    answered: float = math.inf  # the first 200 with the new version's marker, through the router
    told: float = math.inf  # `live`


COLUMNS: Final = tuple(field.name for field in fields(Timing))


@dataclass(frozen=True)
class Visitor:
    """A stranger who asks for one app through the router until it says a word."""

    apps_url: str
    pause: float = _VISIT_SECONDS  # between two visits
    patience: float = _GIVE_UP_SECONDS

    def until(self, path: str, word: str, since: float) -> float:
        """Seconds since `since` (of the performance counter) at the first such answer."""
        headers = {"Host": APPS_HOST}
        with httpx2.Client(
            base_url=self.apps_url, headers=headers, timeout=5, trust_env=False
        ) as http:
            while time.perf_counter() - since < self.patience:
                with contextlib.suppress(httpx2.TransportError, ValueError):
                    answer = http.get(path)
                    if answer.is_success and answer.json() == {"word": word}:
                        return time.perf_counter() - since
                time.sleep(self.pause)
        return math.inf


def deploy(person: Person, visitor: Visitor, word: str, send: Send) -> Timing:
    """Send a deploy of an app that says a word, and see it through."""
    since = time.perf_counter()
    app = send()
    committed = time.perf_counter() - since
    told: dict[str, float] = {}
    end = since + visitor.patience
    follower = threading.Thread(target=_follow, args=(person, app["app_id"], since, end, told))
    follower.start()
    answered = visitor.until(urlsplit(app["url"]).path, word, since)
    follower.join(visitor.patience)
    return Timing(committed, answered=answered, **told)


def update(person: Person, visitor: Visitor, app_id: str, word: str) -> Timing:
    """Deploy another version of an app."""
    body = {"files": {"user_code.py": says(word)}}
    path = f"/api/apps/{app_id}"
    return deploy(person, visitor, word, lambda: dict(person.ok("PUT", path, json=body)))


def create(person: Person, visitor: Visitor, word: str) -> Timing:
    """Deploy a new app."""
    files = {"user_code.py": says(word)}
    return deploy(person, visitor, word, lambda: person.create(word, files))


def _follow(person: Person, app_id: str, since: float, end: float, told: dict[str, float]) -> None:
    """Note when each stage is told as done; until the deploy ended, or it is given up."""
    headers = {"Authorization": f"Bearer {person.token}"}
    with (
        contextlib.suppress(httpx2.TransportError),  # what was not told stays infinite
        httpx2.Client(base_url=person.http.base_url, timeout=30, trust_env=False) as http,
        http.stream("GET", f"/api/apps/{app_id}/events", headers=headers) as events,
    ):
        for line in events.iter_lines():
            took = time.perf_counter() - since
            if since + took > end:
                return
            if not line.startswith("data:"):
                continue
            progress = json.loads(line.removeprefix("data:"))
            for stage in progress["stages"]:
                if stage["name"] in _STAGES and stage["state"] == "done":
                    told.setdefault(_STAGES[stage["name"]], took)
            if progress["stage"] in ENDED:
                return


@dataclass
class Cost:
    """CPU seconds of each program while something was done, and how often that was."""

    seconds: dict[str, float] = field(default_factory=dict)
    times: int = 0

    def per_time(self) -> dict[str, float]:
        """CPU seconds of each program for doing it once."""
        return {name: spent / self.times for name, spent in self.seconds.items()}


class Meter:
    """Counts the CPU seconds of a plane's programs and of the platform."""

    def __init__(self, platform: Installed) -> None:
        self._platform = platform
        self._programs = {name: platform.cluster.process(name) for name in PROGRAMS}

    @contextlib.contextmanager
    def counting(self, cost: Cost) -> Iterator[None]:
        """Add to `cost` what is spent while the context lasts, as doing it once more."""
        before = self._now()
        yield
        after = self._now()
        for name in after:
            cost.seconds[name] = cost.seconds.get(name, 0.0) + after[name] - before[name]
        cost.times += 1

    def idle(self, seconds: float) -> dict[str, float]:
        """CPU seconds that are spent in each second in which nothing happens."""
        before = self._now()
        time.sleep(seconds)
        after = self._now()
        return {name: (after[name] - before[name]) / seconds for name in after}

    def _now(self) -> dict[str, float]:
        spent = {name: _seconds(process) for name, process in self._programs.items()}
        # Children first: what one spent that ends meanwhile is counted with its parent.
        processes = reversed(self._platform.product.processes())
        return spent | {"platform": sum(map(_seconds, processes))}


def _seconds(process: psutil.Process) -> float:
    """A process and those of its children that ended; 0 when it has ended itself."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
