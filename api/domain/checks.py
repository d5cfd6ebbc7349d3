"""The doctor's table: every check of an installation, in the order in which it is told."""

from collections.abc import Iterator
from typing import Final

from api.domain import (
    access_checks,
    database_checks,
    flux_checks,
    forge_checks,
    platform_checks,
    repository_checks,
    router_checks,
    settings_checks,
)
from api.domain.diagnosis import Check, NotHere, Problem
from api.domain.installation import Installation, Unseen


def _reachable(name: str, part: str, why: str, mend: str) -> Check:
    def look(seen: Installation) -> Iterator[Problem]:
        found = getattr(seen, part)
        if found is None:
            raise NotHere
        if isinstance(found, Unseen):
            yield Problem(found.why, mend)

    return Check(f"{part}.reachable", f"{name} answers.", why, look)


#: Every check, in the order in which it is told.
CHECKS: Final[tuple[Check, ...]] = (
    *settings_checks.CHECKS,
    _reachable(
        "The database",
        "database",
        "Nobody can log in without it.",
        "Start it, and check the address, the credential and the network.",
    ),
    *database_checks.CHECKS,
    _reachable(
        "The repository",
        "repository",
        "Every deploy is a commit there.",
        "Check GIT_REMOTE, the credential and the host's status; for a new repository: "
        "python -m api init-repo",
    ),
    *repository_checks.CHECKS,
    *forge_checks.CHECKS,
    _reachable(
        "The API server",
        "cluster",
        "What runs is observed there.",
        "Name an operator's kubeconfig: python -m api doctor --kubeconfig FILE",
    ),
    *flux_checks.CHECKS,
    *access_checks.CHECKS,
    *platform_checks.CHECKS,
    *router_checks.CHECKS,
)
