"""Checks of what a forge enforces on branches, where its API tells."""

from collections.abc import Iterator
from typing import Final

from api.domain.diagnosis import Check, OnlyByHand, Part, Problem, require
from api.domain.installation import ALL_DEPLOY_KEYS, BranchRules, ForgeSeen
from api.domain.repo_layout import CLUSTERS_BRANCH, MAIN

_part: Final = Part[ForgeSeen](lambda seen: seen.forge)
_RULES: Final = "Set the rules of protection/README.md on main"
_SHARDS: Final = "flux/<shard>"


@_part.check(
    "forge.default-branch",
    "`main` is the repository's default branch.",
    "People's pull requests go to the default branch, and code owners are read there; a forge "
    "takes the first branch that it is sent.",
)
def default_branch(seen: ForgeSeen) -> Iterator[Problem]:
    """As the forge says."""
    name = require(seen.default_branch)
    if name != MAIN:
        yield Problem(
            f"The default branch is {name}.",
            "Make main the default branch in the repository's settings.",
        )


@_part.check(
    "forge.main-up-to-date",
    "`main` does not require pull requests to be up to date.",
    "The platform commits to main all day long: such a pull request can never be merged.",
)
def up_to_date(seen: ForgeSeen) -> Iterator[Problem]:
    """The rule is off."""
    if require(seen.main).up_to_date:
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
    if require(seen.main).signatures:
        yield Problem("main requires signed commits.", "Switch that off in the rule of main.")


@_part.check(
    "forge.main-history",
    "Nobody rewrites `main`.",
    "Its history is the audit log; after a rewind the platform publishes nothing until an "
    "operator has looked.",
)
def main_history(seen: ForgeSeen) -> Iterator[Problem]:
    """Force pushes are refused."""
    if not require(seen.main).no_force:
        yield Problem("main may be pushed to with force.", _RULES)


@_part.check(
    "forge.flux-rules",
    "A rule restricts who may push to `flux/*` and `flux/clusters`, and refuses force.",
    "Flux applies what stands there: everything else in the platform rests on this rule.",
)
def flux_rules(seen: ForgeSeen) -> Iterator[Problem]:
    """Both are covered."""
    for name, seen_rules in ((_SHARDS, seen.shards), (CLUSTERS_BRANCH, seen.clusters)):
        rules = require(seen_rules)
        if not rules.protected:
            yield Problem(f"Everybody with write access may push to {name}.", _RULES)
        if not rules.no_force:
            yield Problem(f"{name} may be pushed to with force.", _RULES)


@_part.check(
    "forge.flux-pushers",
    "One alone may push to `flux/<shard>`, the platform, and it may not push to `flux/clusters`.",
    "Everybody else who may has learners' code replaced, or Flux apply objects of their own.",
)
def pushers(seen: ForgeSeen) -> Iterator[Problem]:
    """Whom the rules name."""
    shards, clusters = _named(require(seen.shards)), _named(require(seen.clusters))
    if len(shards) > 1:
        yield Problem(
            f"These may push to {_SHARDS}: {', '.join(shards)}.",
            f"Leave the platform's credential alone in the rule of {_SHARDS}.",
        )
    for both in sorted({*shards} & {*clusters}):
        yield Problem(
            f"{both} may push to {_SHARDS} and to {CLUSTERS_BRANCH}.",
            f"Take the platform's credential out of the rule of {CLUSTERS_BRANCH}.",
        )


def _named(rules: BranchRules) -> tuple[str, ...]:
    """Nobody where everybody may: `forge.flux-rules` tells that."""
    if rules.protected and rules.pushers is None:
        raise OnlyByHand(
            "who may pass the rules of flux/* by is told to those only who administer the "
            "repository: name their token in DOCTOR_FORGE_TOKEN_FILE, or look at the bypass lists"
        )
    return rules.pushers or ()


@_part.check(
    "forge.deploy-keys",
    "The deploy key of `GIT_SSH_KEY_FILE` may push, and no other one to `flux/<shard>`.",
    "A deploy key reads only unless it was told otherwise when it was added; and some rules let "
    "every key push that may write at all.",
)
def deploy_keys(seen: ForgeSeen) -> Iterator[Problem]:
    """Only looked at where one plays a part."""
    all_of_them = ALL_DEPLOY_KEYS in (require(seen.shards).pushers or ())
    if seen.own_key is None and not all_of_them:
        return
    for key in require(seen.deploy_keys):
        if key.public == seen.own_key:
            if not key.may_push:
                yield Problem(
                    f"The deploy key {key.title!r}, GIT_SSH_KEY_FILE's, may only read.",
                    "Delete it on the forge and add it again with write access allowed.",
                )
        elif all_of_them and key.may_push:
            yield Problem(
                f"The deploy key {key.title!r} may push to {_SHARDS}.",
                "Delete it on the forge, and add it again to read only if it is needed.",
            )


CHECKS: Final[tuple[Check, ...]] = (
    *(default_branch, up_to_date, signatures, main_history, flux_rules, pushers, deploy_keys),
)
