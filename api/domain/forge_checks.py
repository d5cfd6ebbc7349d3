"""Checks of what a forge enforces on branches, where its API tells."""

from collections.abc import Iterator
from typing import Final

from api.domain.diagnosis import Check, Part, Problem
from api.domain.installation import ForgeSeen

_part: Final = Part[ForgeSeen](lambda seen: seen.forge)
_RULES: Final = "Set the rules of protection/README.md on main"


@_part.check(
    "forge.main-up-to-date",
    "`main` does not require pull requests to be up to date.",
    "The platform commits to main all day long: such a pull request can never be merged.",
)
def up_to_date(seen: ForgeSeen) -> Iterator[Problem]:
    """The rule is off."""
    if seen.main.up_to_date:
        yield Problem(
            "main requires branches to be up to date before merging.",
            "Switch that off in the rule of main (GitHub: required status checks, "
            "'Require branches to be up to date'; Gitea: 'Block merge if pull request is "
            "outdated')",
        )


@_part.check(
    "forge.main-signatures",
    "`main` does not require signatures.",
    "People commit there by the editor's pull requests and by hand; unsigned merges would be "
    "refused.",
)
def signatures(seen: ForgeSeen) -> Iterator[Problem]:
    """The rule is off."""
    if seen.main.signatures:
        yield Problem("main requires signed commits.", "Switch that off in the rule of main.")


@_part.check(
    "forge.main-history",
    "Nobody rewrites `main`.",
    "Its history is the audit log; after a rewind the platform publishes nothing until an "
    "operator has looked.",
)
def main_history(seen: ForgeSeen) -> Iterator[Problem]:
    """Force pushes are refused."""
    if not seen.main.no_force:
        yield Problem("main may be pushed to with force.", _RULES)


@_part.check(
    "forge.flux-rules",
    "A rule restricts who may push to `flux/*` and `flux/clusters`, and refuses force.",
    "Flux applies what stands there: everything else in the platform rests on this rule.",
)
def flux_rules(seen: ForgeSeen) -> Iterator[Problem]:
    """Both are covered."""
    for name, rules in (("flux/<shard>", seen.shards), ("flux/clusters", seen.clusters)):
        if not rules.protected:
            yield Problem(f"Everybody with write access may push to {name}.", _RULES)
        if not rules.no_force:
            yield Problem(f"{name} may be pushed to with force.", _RULES)


CHECKS: Final[tuple[Check, ...]] = (up_to_date, signatures, main_history, flux_rules)
