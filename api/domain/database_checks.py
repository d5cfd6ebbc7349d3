"""Checks of the database of accounts."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from api.domain.diagnosis import Check, Part, Problem
from api.domain.installation import DatabaseSeen

_part: Final = Part[DatabaseSeen](lambda seen: seen.database)
#: Locks of replicas and the ends of log-ins compare times of several machines.
_SKEW: Final = timedelta(seconds=10)


@_part.check(
    "database.indexes",
    "Usernames and e-mail addresses are unique by an index.",
    "Two sign-ups at one moment could otherwise take the same name.",
)
def indexes(seen: DatabaseSeen) -> Iterator[Problem]:
    """Every one that the platform relies on."""
    for name in seen.missing_indexes:
        yield Problem(
            f"{name} is missing in the {seen.kind} database.",
            "Restart the backend, which makes it; where two records stand in the way it names them",
        )


@_part.check(
    "database.clock",
    "The database's clock is this machine's.",
    "Whose turn it is among replicas, and until when a log-in holds, is decided by clocks.",
)
def clock(seen: DatabaseSeen) -> Iterator[Problem]:
    """Within seconds."""
    if seen.skew is not None and abs(seen.skew) > _SKEW:
        yield Problem(
            f"The database's clock is {seen.skew.total_seconds():+.0f} s from this machine's.",
            "Have both follow NTP (timedatectl set-ntp true)",
        )


CHECKS: Final[tuple[Check, ...]] = (indexes, clock)
