"""Checks of the repository: its branches, what they hold, and who may push them."""

from collections.abc import Iterator
from typing import Final

from api.domain.diagnosis import Check, NotSeen, OnlyByHand, Part, Problem, require
from api.domain.flux_objects import shard_names
from api.domain.installation import RepositorySeen
from api.domain.repo_layout import (
    CLUSTERS_BRANCH,
    MAIN,
    PlatformFile,
    shard_branch,
)

_part: Final = Part[RepositorySeen](lambda seen: seen.repository)
#: For what a laptop needs no more than anybody's copy does.
_shared: Final = Part[RepositorySeen](
    lambda seen: seen.repository if seen.settings.values.git_remote else None
)
_INIT: Final = "python -m api init-repo"
_TRY: Final = (
    "a trial push goes over https, with that credential (a person's: DOCTOR_PERSON_TOKEN_FILE); "
    "with {who}, git push origin HEAD:{branch} must be refused"
)


def _platform(seen: RepositorySeen) -> PlatformFile:
    if seen.platform is None:
        raise NotSeen("platform.yaml on main cannot be read")
    return seen.platform


@_part.check(
    "repository.main",
    "The branch `main` is there.",
    "It holds what everybody wants; nothing can be deployed without it.",
)
def main(seen: RepositorySeen) -> Iterator[Problem]:
    """It has a commit."""
    if MAIN not in seen.branches:
        yield Problem("The repository has no branch main.", _INIT)


@_part.check(
    "repository.platform-file",
    "`platform.yaml` on `main` is of a layout that this release knows.",
    "It says how many shards there are and what overlays may ask for.",
)
def platform_file(seen: RepositorySeen) -> Iterator[Problem]:
    """It can be read."""
    if MAIN in seen.branches and seen.platform is None:
        yield Problem(
            f"platform.yaml: {seen.platform_fault}",
            "Correct it by a commit on main; a newer layout needs the newer release.",
        )


@_part.check(
    "repository.shards",
    "Every shard that `platform.yaml` speaks of has its branch, and no other is there.",
    "A tenant of a shard without a branch cannot deploy.",
)
def shards(seen: RepositorySeen) -> Iterator[Problem]:
    """As many as told."""
    wanted = {shard_branch(name) for name in shard_names(_platform(seen))}
    there = set(seen.shards)
    for branch in sorted(wanted - there):
        yield Problem(f"The branch {branch} is missing.", _INIT)
    for branch in sorted(there - wanted):
        yield Problem(
            f"The branch {branch} is no shard's.", f"Look whose it is: git push origin :{branch}"
        )


@_part.check(
    "repository.branch-flux",
    "No branch is named `flux`.",
    "Git cannot keep it beside `flux/…`: no shard's branch could be made or moved.",
)
def branch_flux(seen: RepositorySeen) -> Iterator[Problem]:
    """The name is free."""
    if "flux" in seen.branches:
        yield Problem("There is a branch named flux.", "git push origin :flux")


@_shared.check(
    "repository.clusters",
    "`main` holds what Flux applies beside the apps, and `flux/clusters` its copy.",
    "Flux makes the sources and accounts of the shards from it; nothing is applied without.",
)
def clusters(seen: RepositorySeen) -> Iterator[Problem]:
    """Both are there."""
    mend = f"{_INIT} --cluster NAME --git-secret SECRET"
    if not seen.clusters:
        yield Problem("main has no folder clusters/<name>/ of init-repo's.", mend)
    if CLUSTERS_BRANCH not in seen.branches:
        yield Problem(f"The branch {CLUSTERS_BRANCH} is missing.", mend)


@_shared.check(
    "repository.clusters-waiting",
    "`flux/clusters` is what `main:clusters/` says.",
    "A change of clusters/ has no effect in the cluster before an operator takes it over.",
)
def waiting(seen: RepositorySeen) -> Iterator[Problem]:
    """Nothing waits for an operator."""
    tip = seen.branches.get(MAIN, "<commit>")
    for path in seen.waiting:
        yield Problem(
            f"{path} on main is not what {CLUSTERS_BRANCH} holds.",
            f"Look at it (git log -p -- {path}), then: {_INIT} --accept {tip}",
        )


@_shared.check(
    "repository.template",
    "`main:clusters/` is what this release's template and these settings give.",
    "What Flux applies would not fit what the platform renders: the admission policies refuse it.",
)
def template(seen: RepositorySeen) -> Iterator[Problem]:
    """No file is older, or made with other settings."""
    for path in seen.outdated:
        yield Problem(
            f"{path} on main is not what the template gives with these settings.",
            f"{_INIT} --cluster {path.split('/')[1]}; what people changed there it only names",
        )


@_shared.check(
    "repository.signed",
    "The newest commit of every `flux/<shard>` is signed with a key of the platform.",
    "Flux verifies it, and fetches nothing of a shard whose newest commit is not.",
)
def signed(seen: RepositorySeen) -> Iterator[Problem]:
    """Every tip."""
    for branch, fault in require(seen.signature_faults).items():
        yield Problem(
            f"The newest commit of {branch}: {fault}.",
            "Find out who pushed it (python -m api audit verify), unless the signing key was "
            "changed since; the next publication of that shard puts a signed commit on top",
        )


@_shared.check(
    "repository.credential",
    "The platform's credential may push to the repository.",
    "A deploy is a push: without the right to it nothing can be deployed.",
)
def credential(seen: RepositorySeen) -> Iterator[Problem]:
    """The host opens a push, and lets main and the shards through its rules."""
    words = require(seen.push_refusal)
    if words is not None:
        yield Problem(
            f"The host lets the platform's credential push nothing: {words}",
            "Give it write access (GitHub App: contents, read and write; deploy key: allow "
            "write access).",
        )
    for trial in seen.trials:
        if trial.who == "platform" and trial.branch != CLUSTERS_BRANCH:
            if trial.answer == "refused":
                yield Problem(
                    f"The host's rules refuse the platform's push to {trial.branch}: {trial.words}",
                    "Put the platform's credential on the bypass list of that branch's rule: "
                    "protection/README.md on main",
                )
            elif trial.answer == "unknown":
                raise NotSeen(f"the trial push to {trial.branch} was not answered: {trial.words}")


@_shared.check(
    "repository.clusters-protected",
    "The host refuses the platform's credential on `flux/clusters`.",
    "Whoever pushes there decides what Flux applies as cluster-admin: that is an operator's alone.",
)
def clusters_protected(seen: RepositorySeen) -> Iterator[Problem]:
    """A stolen credential of the platform does not open the cluster."""
    asked = ("platform", CLUSTERS_BRANCH)
    trials = [trial for trial in seen.trials if (trial.who, trial.branch) == asked]
    if not trials:
        raise OnlyByHand(_TRY.format(who="the platform's credential", branch=CLUSTERS_BRANCH))
    for trial in trials:
        yield from _must_be_refused(trial.answer, trial.branch, "the platform", trial.words)


@_shared.check(
    "repository.shards-protected",
    "The host refuses a person's credential on `flux/*`.",
    "Flux applies what stands there: everything else in the platform rests on this rule.",
)
def shards_protected(seen: RepositorySeen) -> Iterator[Problem]:
    """Tried where a person's credential was given; the answer must be a refusal."""
    by_hand = OnlyByHand(_TRY.format(who="a person's credential", branch="flux/00"))
    if not seen.person:
        raise by_hand
    trials = [trial for trial in seen.trials if trial.who == "person"]
    if not trials:
        raise by_hand
    for trial in trials:
        yield from _must_be_refused(trial.answer, trial.branch, "a person", trial.words)


def _must_be_refused(answer: str, branch: str, who: str, words: str) -> Iterator[Problem]:
    if answer == "unknown":
        raise NotSeen(f"the trial push to {branch} was not answered: {words}")
    if answer == "passes":
        yield Problem(
            f"The host lets {who} push to {branch}: it refused only because nothing was to be "
            f"moved ({words}).",
            "Set the rules of protection/README.md on main",
        )


CHECKS: Final[tuple[Check, ...]] = (
    *(main, platform_file, shards, branch_flux, clusters, waiting, template, signed),
    *(credential, clusters_protected, shards_protected),
)
