"""Does the repository say what it should? Every commit of both kinds of branches, looked at again.

Nothing here trusts what a process remembers: git is read, and every publish commit is composed
again from the commit before it and its `Source-Commit`.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from api.clients import git_inspection
from api.clients.git_inspection import Inspected
from api.clients.gitops_repo import CommitInfo, GitopsRepo
from api.domain.audit_rules import beyond_people, beyond_trailers
from api.domain.authorship import by_platform
from api.domain.commit_message import source_commit, trailers
from api.domain.names import AppRef
from api.domain.repo_layout import MAIN, is_shard_branch, shard_branch
from api.domain.safe_text import plain_line
from api.errors import InvalidRequest, RepositoryUnavailable
from api.intents import Intents
from api.recomposition import Publish, Recomposition

Rule = Literal[
    "signature",  # a commit of the platform is not signed by a known key
    "unnamed_folder",  # a commit of the platform touches what its trailers do not name
    "beyond_people",  # a commit by other hands touches what only the platform or operators may
    "not_by_platform",  # a commit on a shard branch that the platform did not make
    "source",  # a publish commit names no Source-Commit of main, or goes backwards
    "composition",  # a publish commit is not what its parent and its source give
    "runner_image",  # a publish commit names an image that no operator has set
]
#: Hears of which branch how many commits are done, and of how many.
Progress = Callable[[str, int, int], None]
_BATCH: Final = 200
_COMMIT_ID: Final = re.compile(r"[0-9a-f]{40}")
_SHOWN_PATHS: Final = 5


@dataclass(frozen=True)
class Finding:
    """One thing that should not be."""

    branch: str
    commit: str
    rule: Rule
    message: str


@dataclass(frozen=True)
class Report:
    """What was looked at, and what was found; oldest first per branch."""

    commits: int  # of main
    publish_commits: int
    #: Publish commits of other renderers or settings: their entries were compared, their
    #: manifests not.
    other_renderers: int
    #: Apps of which some publish commit could not be compared: their check could not be finished.
    unchecked: Sequence[AppRef]
    findings: Sequence[Finding]


@dataclass(frozen=True)
class Known:
    """Who may do more, and what counts as known."""

    operators: Collection[str] = ()  # e-mail addresses whose commits may touch anything
    runner_images: Collection[str] = ()
    #: Keys of the platform, as `commit_signing.allowed_signers` gives them; None: it signs nothing.
    keys: Collection[bytes] | None = None


class Audit:
    """Looks at every commit again, and changes nothing."""

    def __init__(
        self, repo: GitopsRepo, intents: Intents, recomposition: Recomposition, known: Known
    ) -> None:
        self._repo = repo
        self._intents = intents
        self._recomposition = recomposition
        self._known = known

    async def verify(self, since: str | datetime | None, progress: Progress) -> Report:
        """Look at what came onto `main` after a commit, or a time, and at what it published.

        Raises InvalidRequest for a commit that is not on `main`.
        """
        main = await self._intents.indexed_tip()
        edge = await self._edge(main, since)
        findings: list[Finding] = []
        commits = await self._repo.reading(git_inspection.reachable, main, edge)
        for start in range(0, len(commits), _BATCH):
            batch = commits[start : start + _BATCH]
            for commit in await self._inspect(batch):
                findings += [*self._intent(commit), *_signature(MAIN, commit)]
            progress(MAIN, start + len(batch), len(commits))
        published = other_renderers = 0
        unchecked: set[AppRef] = set()
        for branch, tip in sorted((await self._repo.heads()).items()):
            if not is_shard_branch(branch):
                continue
            line = await self._published_since(tip, edge)
            accepted = max((n for n, info in enumerate(line) if _accepts_rewind(info)), default=0)
            for number, info in enumerate(line):
                looked = await self._publish(branch, info, main, rewound=number < accepted)
                findings += looked.findings
                other_renderers += looked.other_renderers
                unchecked.update(looked.unchecked)
                progress(branch, number + 1, len(line))
            published += len(line)
        return Report(len(commits), published, other_renderers, sorted(unchecked), findings)

    async def _edge(self, main: str, since: str | datetime | None) -> str | None:
        """The commit behind which the audit begins; times are believed of the platform only."""
        if since is None:
            return None
        if isinstance(since, str):
            if not await self._contains(main, since):
                raise InvalidRequest(
                    f"{since[:40]!r} is not a commit of main.",
                    hint="Give all 40 digits of a commit, or a time such as 2026-01-31.",
                )
            return since
        older = (
            commit.id
            for commit in reversed(await self._repo.first_parents(main))
            if by_platform(commit.committer) and commit.at < since
        )
        return next(older, None)

    def _intent(self, commit: Inspected) -> Iterator[Finding]:
        """What is wrong with a commit that came onto `main`."""
        if by_platform(commit.committer):
            if len(commit.parents) > 1:
                yield Finding(MAIN, commit.id, "unnamed_folder", "The platform never merges.")
            elif commit.parents and (paths := list(beyond_trailers(commit.message, commit.paths))):
                message = f"Its trailers do not name {_some(paths)}."
                yield Finding(MAIN, commit.id, "unnamed_folder", message)
            return
        if {commit.author.email, commit.committer.email}.isdisjoint(self._known.operators):
            paths = list(beyond_people(commit.paths))
            if paths:
                message = plain_line(f"{commit.author.name} may not change {_some(paths)}.")
                yield Finding(MAIN, commit.id, "beyond_people", message)

    async def _published_since(self, tip: str, edge: str | None) -> list[CommitInfo]:
        """The commits of a shard branch from sources behind the edge, oldest first."""
        line: list[CommitInfo] = []
        at: str | None = tip
        while at is not None and (info := await self._repo.info(at)) and info.parent:
            source = source_commit(info.message)
            if edge and source and await self._contains(edge, source):
                break
            line.append(info)
            at = info.parent
        return line[::-1]

    async def _publish(self, branch: str, info: CommitInfo, main: str, *, rewound: bool) -> Report:
        """One commit of a shard branch; `rewound`: an operator accepted a rewind after it."""
        (commit,) = await self._inspect([info.id])
        if not by_platform(commit.committer) or len(commit.parents) != 1:
            message = f"Made by {commit.committer.name}, with {len(commit.parents)} parents."
            finding = Finding(branch, commit.id, "not_by_platform", plain_line(message))
            return Report(0, 1, 0, (), (finding,))
        findings = _signature(branch, commit)
        before = await self._repo.info(commit.parents[0])
        last = source_commit(before.message) if before else None
        source = source_commit(commit.message)
        if rewound:  # its source may be gone for good, and an operator has looked at it
            return Report(0, 1, 0, (), findings)
        wrong = await self._wrong_source(info, source, last, main)
        if source is None or wrong:
            findings.append(Finding(branch, commit.id, "source", wrong or ""))
            return Report(0, 1, 0, (), findings)
        shard = branch.removeprefix(shard_branch(""))
        try:
            again = await self._recomposition.compare(Publish(shard, commit, source, last))
        except RepositoryUnavailable as error:
            message = f"It cannot be composed again: {error.message}"
            return Report(0, 1, 0, (), [*findings, Finding(branch, commit.id, "source", message)])
        if again.differing:
            message = f"{_some(again.differing)} is not what main and the commit before give."
            findings.append(Finding(branch, commit.id, "composition", plain_line(message)))
        if again.runner_image and again.runner_image not in self._known.runner_images:
            message = f"The runner image {again.runner_image} is not one that is known."
            findings.append(Finding(branch, commit.id, "runner_image", plain_line(message)))
        return Report(0, 1, int(again.other_renderer), again.unchecked, findings)

    async def _wrong_source(
        self, info: CommitInfo, source: str | None, last: str | None, main: str
    ) -> str | None:
        if source is None or not await self._contains(main, source):
            return f"Its Source-Commit {(source or '')[:40]!r} is not on main."
        forward = last is None or await self._repo.is_ancestor(last, source)
        if forward or _accepts_rewind(info):
            return None
        return f"It goes back from {last} to {source}."

    async def _contains(self, newer: str, older: str) -> bool:
        """Whether `older`, any text, is the id of a commit that `newer` contains."""
        if _COMMIT_ID.fullmatch(older) is None or await self._repo.info(older) is None:
            return False
        return await self._repo.is_ancestor(older, newer)

    async def _inspect(self, commits: Sequence[str]) -> list[Inspected]:
        return await self._repo.reading(git_inspection.inspect, commits, self._known.keys)


def _signature(branch: str, commit: Inspected) -> list[Finding]:
    fault = commit.signature_fault
    if fault is None or not by_platform(commit.committer):
        return []
    return [Finding(branch, commit.id, "signature", f"The platform's commit: {fault}.")]


def _accepts_rewind(info: CommitInfo) -> bool:
    return "Accepted-Rewind" in trailers(info.message)


def _some(paths: Collection[str]) -> str:
    shown = ", ".join(list(paths)[:_SHOWN_PATHS])
    more = len(paths) - _SHOWN_PATHS
    return f"{shown} and {more} more" if more > 0 else shown
