"""Bring a repository up to its template, and what Flux applies beside the apps up to `main`.

Nothing that a person changed is overwritten: it is named, and left. `flux/clusters` decides what
holds in a cluster, so it follows `main` by itself only where nobody else changed `clusters/` or
`platform.yaml` since; other changes wait until an operator says that they looked at them. What
need not be said again is read from `flux/clusters` itself, which only operators can push.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.clients.git_trees import Edit, Entry, Same
from api.clients.git_upstream import NOTHING, Move, Upstream
from api.clients.gitops_repo import Change, GitopsRepo, Overtaken
from api.domain.commit_message import (
    COMMITTER,
    clusters_message,
    source_commit,
    template_message,
)
from api.domain.flux_objects import (
    STANDING_IN,
    ClusterOptions,
    Standing,
    render_cluster,
    standing,
)
from api.domain.manifests import RenderError, RenderSettings
from api.domain.repo_layout import (
    CLUSTERS_BRANCH,
    MAIN,
    InvalidFile,
    PlatformFile,
    parse_platform,
)
from api.domain.template_record import RECORD, Record, compare
from api.errors import InvalidRequest, RepositoryUnavailable, Unavailable
from api.init_repo import TEMPLATE, main_files, read_folder

_TRIES: Final = 4  # deploys move `main` meanwhile
_CLUSTERS: Final = "clusters"
_PLATFORM: Final = "platform.yaml"


@dataclass(frozen=True)
class Wanted:
    """One cluster's folder, as an operator asks for it; None leaves what was said before."""

    name: str
    url: str | None
    git_secret: str | None
    images: tuple[str, ...] | None
    settings: RenderSettings
    publish_keys: tuple[str, ...] | None = None  # that may sign beside the platform's own


@dataclass(frozen=True)
class Upgraded:
    """What came of it, by path on `main`."""

    written: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()  # what flux/clusters would follow, and an operator must see
    head: str = ""  # commit of `main` at which an operator would look


@dataclass(frozen=True)
class _Decided:
    """What decides about a cluster's objects beside the template and an operator's command."""

    clusters: Mapping[str, Entry]
    platform: Entry | None  # of platform.yaml: its ceilings are the admission policies' too

    def differing(self, other: "_Decided") -> tuple[str, ...]:
        """The paths on `main` in which another differs."""
        names = sorted(self.clusters.keys() | other.clusters.keys())
        found = [name for name in names if self.clusters.get(name) != other.clusters.get(name)]
        more = (_PLATFORM,) if self.platform != other.platform else ()
        return (*(f"{_CLUSTERS}/{name}" for name in found), *more)


class Upgrade:
    """One run over a repository that has all of its branches."""

    def __init__(self, repo: GitopsRepo, upstream: Upstream, template: Path = TEMPLATE) -> None:
        self._repo = repo
        self._upstream = upstream
        self._template = template

    async def run(
        self,
        wanted: Wanted | None = None,
        public_key: str | None = None,
        accept: str | None = None,
    ) -> Upgraded:
        """Write what is the template's, then let `flux/clusters` follow.

        Raises InvalidRequest, RepositoryUnavailable, and Unavailable for files of the platform
        that cannot be read.
        """
        for _ in range(_TRIES):
            await self._upstream.refresh()
            if (done := await self._attempt(wanted, public_key, accept)) is not None:
                return done
        raise RepositoryUnavailable(
            "Other commits came in between each time.", hint="Run the command again."
        )

    async def _attempt(
        self, wanted: Wanted | None, public_key: str | None, accept: str | None
    ) -> Upgraded | None:
        main = await self._head(MAIN)
        try:
            record = Record.parse(await self._repo.read(main, RECORD))
            platform = parse_platform(await self._repo.read(main, _PLATFORM) or b"")
            known = await self._standing(wanted)
        except InvalidFile as error:
            raise Unavailable(f"{error}", hint="Correct the file by a commit.") from error
        template = await self._template_files(platform, known, wanted, public_key)
        # Other clusters stand as they are: their settings are not this environment's.
        mine = {p: d for p, d in record.files.items() if not _of_other_cluster(p, wanted)}
        present = {path: await self._repo.read(main, path) for path in mine.keys() | template}
        todo = compare(mine, present, template)
        others = {p: d for p, d in record.files.items() if p not in mine}
        record_data = Record(files={**others, **todo.files}).dump()
        edits: dict[str, Edit] = dict(todo.write)
        if record_data != await self._repo.read(main, RECORD):
            edits[RECORD] = record_data
        new, moves = main, []
        if edits:
            message = template_message(sorted(edits.keys() - {RECORD}))
            new = await self._commit(main, edits, message)
            moves.append(Move(MAIN, main, new))
        follow, waiting = await self._clusters(main, new, accept)
        moves += follow
        if moves and not (result := await self._upstream.push(moves)).moved:
            if result.of("refused"):
                raise RepositoryUnavailable(
                    f"The repository refused it: {result.words}",
                    hint=f"An operator's credential may push {MAIN} and {CLUSTERS_BRANCH}.",
                )
            return None
        return Upgraded(tuple(sorted(todo.write)), todo.keep, waiting, new)

    async def _standing(self, wanted: Wanted | None) -> Standing:
        """What was decided about the cluster before; raises InvalidFile."""
        tip = await self._repo.head(CLUSTERS_BRANCH)
        if wanted is None or tip is None:
            return Standing()
        return standing(
            {path: await self._repo.read(tip, f"{wanted.name}/{path}") for path in STANDING_IN}
        )

    async def _template_files(
        self, platform: PlatformFile, known: Standing, wanted: Wanted | None, public_key: str | None
    ) -> dict[str, bytes]:
        """All that the template would write on `main`."""
        files = await asyncio.to_thread(main_files, self._template, platform.shards)
        if wanted is None:
            return files
        options = _options(wanted, known, public_key)
        texts = {
            path: data.decode()
            for path, data in (
                await asyncio.to_thread(read_folder, self._template / "cluster")
            ).items()
        }
        try:
            rendered = await asyncio.to_thread(
                render_cluster, texts, platform, wanted.settings, options
            )
        except RenderError as error:
            raise InvalidRequest(
                f"{error}", hint="Correct the option or setting that it came from."
            ) from error
        return files | {
            f"{_CLUSTERS}/{wanted.name}/{path}": data for path, data in rendered.items()
        }

    async def _clusters(
        self, before: str, new: str, accept: str | None
    ) -> tuple[list[Move], tuple[str, ...]]:
        """How `flux/clusters` moves, and the paths on `main` that wait for an operator."""
        wanted = await self._repo.children(new, _CLUSTERS)
        tip = await self._repo.head(CLUSTERS_BRANCH)
        if not wanted and tip is None:
            return [], ()
        edits: dict[str, Edit] = {
            name: Same(entry.id, entry.kind)
            for name, entry in wanted.items()
            if entry.kind != "other"
        }
        stands = await self._repo.children(tip) if tip else {}
        if stands == wanted:
            return [], ()
        if accept is not None and await self._repo.info(accept) is None:
            raise InvalidRequest(
                f"{accept[:40]!r} is not a commit of main.",
                hint=f"Give all 40 digits of the commit at which you looked; main is at {before}.",
            )
        now = await self._decided(before)
        then = _Decided(stands, await self._platform_at(tip) if tip else now.platform)
        if then != now and (accept is None or await self._decided(accept) != now):
            return [], then.differing(_Decided(wanted, now.platform))
        if tip is None:
            first = await self._repo.begin(edits, clusters_message(new))
            return [Move(CLUSTERS_BRANCH, NOTHING, first)], ()
        edits |= dict.fromkeys(stands.keys() - wanted.keys())
        return [
            Move(CLUSTERS_BRANCH, tip, await self._commit(tip, edits, clusters_message(new)))
        ], ()

    async def _decided(self, commit: str) -> _Decided:
        """What a commit of `main` says about clusters."""
        folder = await self._repo.children(commit, _CLUSTERS)
        return _Decided(folder, await self._repo.entry(commit, _PLATFORM))

    async def _platform_at(self, tip: str) -> Entry | None:
        """The platform.yaml from which `flux/clusters` was last made; None: it is not known."""
        info = await self._repo.info(tip)
        source = source_commit(info.message) if info else None
        if source is None or await self._repo.info(source) is None:
            return None
        return await self._repo.entry(source, _PLATFORM)

    async def _commit(self, tip: str, edits: Mapping[str, Edit], message: str) -> str:
        [commit] = await self._repo.build(tip, [Change(edits, message, COMMITTER)])
        assert not isinstance(commit, Overtaken)  # noqa: S101  (it expects nothing)
        return commit

    async def _head(self, branch: str) -> str:
        if (tip := await self._repo.head(branch)) is None:
            raise RepositoryUnavailable(f"The repository has no branch {branch}.")
        return tip


def _of_other_cluster(path: str, wanted: Wanted | None) -> bool:
    own = wanted and path.startswith(f"{_CLUSTERS}/{wanted.name}/")
    return path.startswith(f"{_CLUSTERS}/") and not own


def _options(wanted: Wanted, known: Standing, public_key: str | None) -> ClusterOptions:
    url = wanted.url or known.url
    if url is None:
        raise InvalidRequest(
            "Where Flux fetches the branches flux/* from is not known.",
            hint="Give its address with --source-url.",
        )
    return ClusterOptions(
        name=wanted.name,
        url=url,
        git_secret=wanted.git_secret or known.git_secret,
        # A run that forgets the signing key must not switch off that Flux verifies.
        publish_keys=known.with_keys(public_key, wanted.publish_keys),
        images=wanted.images or known.images,
    )
