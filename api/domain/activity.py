"""Which apps were used, from the counters of the routers in front of them.

A counter that moved is use. A router that ended, or whose counters began anew, takes with it what
it counted since its last reading: a hole, in which any app may have been used.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from api.domain.names import AppRef, is_id

#: After so long without a complete reading nothing is judged, and what went on is a hole.
STALE: Final = timedelta(hours=1)
#: What is a browser's or the platform's question before a request, and no use of an app.
NO_USE: Final = frozenset({"OPTIONS"})
#: Between complete readings that are further apart, a router may have begun and ended unseen.
GAP: Final = timedelta(minutes=5)
_KEPT_HOLES: Final = 50
_NAMESPACE: Final = "user-"


@dataclass(frozen=True)
class Reading:
    """The counters of one router's process: requests that ended, by app."""

    address: str
    process: str  # another one whenever the counters began anew
    counts: Mapping[AppRef, int]
    asked: Mapping[AppRef, int] = field(default_factory=dict)  # what is no use


@dataclass(frozen=True)
class Counters:
    """What a router counted when it was last read."""

    process: str
    read_at: datetime
    counts: Mapping[AppRef, int]
    stopped: bool = False  # after this reading, so that it has counted nothing since


@dataclass(frozen=True)
class Hole:
    """A time in which any app may have been used, and why that is not known."""

    since: datetime
    until: datetime
    why: str


@dataclass(frozen=True)
class Knowledge:
    """What is known of use beside when each app was last used."""

    complete_at: datetime | None = None  # when every router was last read
    holes: tuple[Hole, ...] = ()
    main: str | None = None  # commits up to here are counted
    missing: str | None = None  # what the last reading lacks; it is not kept
    routers: Mapping[str, Counters] = field(default_factory=dict)

    @property
    def blind(self) -> Hole | None:
        """The hole that ended last."""
        return max(self.holes, key=lambda hole: hole.until, default=None)

    @property
    def at_rest(self) -> bool:
        """Whether every router was stopped after it was read for the last time."""
        return bool(self.routers) and all(each.stopped for each in self.routers.values())

    def unreliable(self, now: datetime) -> str | None:
        """Why nobody may be judged idle now; None when they may."""
        if self.missing:
            return self.missing
        if self.complete_at is None:
            return "requests to apps are not counted (TRAEFIK_METRICS_URL)"
        if now - self.complete_at > STALE:
            return (
                f"requests to apps were last counted at {self.complete_at:%Y-%m-%d %H:%M} UTC,"
                " more than an hour ago"
            )
        return None


def app_of(service: str) -> AppRef | None:
    """The app that a router's service leads to; None for any other service.

    `user-<user>_<app>_<route>_lb@kubernetescrd` with the safe naming of Traefik's provider (its
    name_builder.go), `<user>_<app>_<route>@file` embedded. No id has an underscore.
    """
    name, _, provider = service.rpartition("@")
    parts = name.split("_")
    if provider == "kubernetescrd" and len(parts) == 4 and parts[0].startswith(_NAMESPACE):  # noqa: PLR2004  (see above)
        user_id, app_id = parts[0].removeprefix(_NAMESPACE), parts[1]
    elif provider == "file" and len(parts) == 3:  # noqa: PLR2004  (see above)
        user_id, app_id = parts[0], parts[1]
    else:
        return None
    return AppRef(user_id, app_id) if is_id(user_id) and is_id(app_id) else None


def is_tenants(service: str) -> bool:
    """Whether a router's service stands in a tenant's namespace, so that it must tell its app."""
    return service.startswith(_NAMESPACE) and service.endswith("@kubernetescrd")


def learn(
    known: Knowledge,
    readings: Sequence[Reading],
    silent: Mapping[str, str],
    now: datetime,
    gap: timedelta = GAP,
) -> tuple[Knowledge, frozenset[AppRef]]:
    """What is known after these readings, and the apps that were used since the ones before.

    `silent`: routers that are there and gave no reading, and why. They may give the next one, so
    they leave no hole, but the reading is not complete without them. After a longer time than `gap`
    without a complete one, others may have come and gone.
    """
    used: set[AppRef] = set()
    holes: list[Hole] = []
    # A name that cannot be looked up hides any of them.
    routers = dict(known.routers) if silent else {}
    for reading in readings:
        before = known.routers.get(reading.address)
        if before and before.process != reading.process:
            before = None  # its end is noted below
        counted: Mapping[AppRef, int] = before.counts if before else {}
        used |= {ref for ref, n in reading.counts.items() if n and n != counted.get(ref)}
        routers[reading.address] = Counters(reading.process, now, reading.counts)
    for address, counters in known.routers.items():
        ended = address not in routers or routers[address].process != counters.process
        if ended and not counters.stopped:
            why = f"the router at {address} ended, or began to count anew, before it was read again"
            holes.append(Hole(counters.read_at, now, why))
    missing = next((f"the router at {a} tells no counters: {w}" for a, w in silent.items()), None)
    if not readings and not missing:
        missing = "no router was found"
    complete = not missing
    if complete and known.complete_at is None:
        holes.append(Hole(now, now, "requests to apps are counted since then"))
    elif complete and known.complete_at and now - known.complete_at > gap and not known.at_rest:
        holes.append(Hole(known.complete_at, now, "requests to apps were not counted before"))
    return (
        replace(
            known,
            complete_at=now if complete else known.complete_at,
            holes=(*known.holes, *holes)[-_KEPT_HOLES:],
            routers=routers,
            missing=missing,
        ),
        frozenset(used),
    )


def stopped(known: Knowledge, addresses: Collection[str]) -> Knowledge:
    """The same when these routers were stopped right after they were read."""
    return replace(
        known,
        routers={
            address: replace(counters, stopped=counters.stopped or address in addresses)
            for address, counters in known.routers.items()
        },
    )


def dump_knowledge(known: Knowledge) -> str:
    """As the database keeps it, without the counters: one step, so that no hole is lost."""
    return json.dumps(
        {
            "complete_at": known.complete_at.isoformat() if known.complete_at else None,
            "main": known.main,
            "holes": [
                {"since": h.since.isoformat(), "until": h.until.isoformat(), "why": h.why}
                for h in known.holes
            ],
            "routers": {
                address: {
                    "process": counters.process,
                    "read_at": counters.read_at.isoformat(),
                    "stopped": counters.stopped,
                }
                for address, counters in known.routers.items()
            },
        }
    )


def dump_counters(routers: Mapping[str, Counters]) -> str:
    """The counters, as the database keeps them; older ones only make use count once more."""
    return json.dumps(
        {
            address: {
                "process": counters.process,
                "counts": {f"{r.user_id}/{r.app_id}": n for r, n in counters.counts.items()},
            }
            for address, counters in routers.items()
        }
    )


def load_knowledge(text: str | None, counters: str | None) -> Knowledge:
    """What was kept; texts that cannot be read are as good as none, for they only save time."""
    try:
        kept: dict[str, Any] = json.loads(text or "{}")
        counted: dict[str, Any] = json.loads(counters or "{}")
        complete_at = kept.get("complete_at")
        return Knowledge(
            datetime.fromisoformat(complete_at) if complete_at else None,
            tuple(
                Hole(_time(hole["since"]), _time(hole["until"]), str(hole["why"]))
                for hole in kept.get("holes", ())
            ),
            kept.get("main"),
            routers={
                address: Counters(
                    one["process"],
                    _time(one["read_at"]),
                    _counts(counted.get(address), one["process"]),
                    bool(one["stopped"]),
                )
                for address, one in kept.get("routers", {}).items()
            },
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return Knowledge()


def _counts(counted: dict[str, Any] | None, process: str) -> dict[AppRef, int]:
    if counted is None or counted["process"] != process:
        return {}
    return {_ref(name): int(n) for name, n in counted["counts"].items()}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _ref(name: str) -> AppRef:
    user_id, _, app_id = name.partition("/")
    return AppRef(user_id, app_id)
