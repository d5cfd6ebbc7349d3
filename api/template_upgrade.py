"""Bring a repository up to its template, and what Flux applies beside the apps up to `main`.

Nothing that a person changed is overwritten: it is named, and left. `flux/clusters` decides what
holds in a cluster, so it follows `main` by itself only where nobody else changed `clusters/` since;
other changes wait until an operator says that they looked at them.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.clients.git_trees import Edit, Same
from api.clients.git_upstream import NOTHING, Move, Upstream
from api.clients.gitops_repo import Change, GitopsRepo, Overtaken
from api.domain.commit_message import COMMITTER, clusters_message, template_message
from api.domain.flux_objects import ClusterOptions, render_cluster
from api.domain.manifests import RenderError, RenderSettings
from api.domain.repo_layout import (
    CLUSTERS_BRANCH,
    MAIN,
    InvalidFile,
    PlatformFile,
    parse_platform,
)
from api.domain.template_record import RECORD, Record, RememberedCluster, compare
from api.errors import InvalidRequest, RepositoryUnavailable, Unavailable
from api.init_repo import TEMPLATE, main_files, read_folder

_TRIES: Final = 4  # deploys move `main` meanwhile
_CLUSTERS: Final = "clusters"


@dataclass(frozen=True)
class Wanted:
    """One cluster's folder, as an operator asks for it; None leaves what was said before."""

    name: str
    url: str | None
    git_secret: str | None
    images: tuple[str, ...] | None
    settings: RenderSettings


@dataclass(frozen=True)
class Upgraded:
    """What came of it, by path on `main`."""

    written: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()  # names in clusters/ that wait for an operator
    head: str = ""  # commit of `main` at which an operator would look


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
            platform = parse_platform(await self._repo.read(main, "platform.yaml") or b"")
        except InvalidFile as error:
            raise Unavailable(f"{error}", hint="Correct the file by a commit.") from error
        template, clusters = await self._template_files(platform, record, wanted, public_key)
        # Other clusters stand as they are: their settings are not this environment's.
        mine = {p: d for p, d in record.files.items() if not _of_other_cluster(p, wanted)}
        present = {path: await self._repo.read(main, path) for path in mine.keys() | template}
        todo = compare(mine, present, template)
        others = {p: d for p, d in record.files.items() if p not in mine}
        record_data = Record(files={**others, **todo.files}, clusters=clusters).dump()
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

    async def _template_files(
        self, platform: PlatformFile, record: Record, wanted: Wanted | None, public_key: str | None
    ) -> tuple[dict[str, bytes], dict[str, RememberedCluster]]:
        """All that the template would write on `main`, and the clusters known from now on."""
        files = await asyncio.to_thread(main_files, self._template, platform.shards)
        if wanted is None:
            return files, record.clusters
        known = record.clusters.get(wanted.name)
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
        files |= {f"{_CLUSTERS}/{wanted.name}/{path}": data for path, data in rendered.items()}
        remembered = RememberedCluster(
            url=options.url, git_secret=options.git_secret, images=options.images
        )
        return files, {**record.clusters, wanted.name: remembered}

    async def _clusters(
        self, before: str, new: str, accept: str | None
    ) -> tuple[list[Move], tuple[str, ...]]:
        """How `flux/clusters` moves, and the names in `clusters/` that wait for an operator."""
        wanted = await self._repo.children(new, _CLUSTERS)
        tip = await self._repo.head(CLUSTERS_BRANCH)
        if not wanted and tip is None:
            return [], ()
        edits: dict[str, Edit] = {
            name: Same(entry.id, entry.kind)
            for name, entry in wanted.items()
            if entry.kind != "other"
        }
        if tip is None:
            first = await self._repo.begin(edits, clusters_message(new))
            return [Move(CLUSTERS_BRANCH, NOTHING, first)], ()
        stands = await self._repo.children(tip)
        if stands == wanted:
            return [], ()
        differing = sorted(
            name for name in stands.keys() | wanted.keys() if stands.get(name) != wanted.get(name)
        )
        if accept is not None and await self._repo.info(accept) is None:
            raise InvalidRequest(
                f"{accept[:40]!r} is not a commit of main.",
                hint=f"Give all 40 digits of the commit at which you looked; main is at {before}.",
            )
        looked_at = await self._repo.children(before, _CLUSTERS)
        if stands != looked_at and (
            accept is None or await self._repo.children(accept, _CLUSTERS) != looked_at
        ):
            return [], tuple(f"{_CLUSTERS}/{name}" for name in differing)
        edits |= dict.fromkeys(stands.keys() - wanted.keys())
        return [
            Move(CLUSTERS_BRANCH, tip, await self._commit(tip, edits, clusters_message(new)))
        ], ()

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


def _options(
    wanted: Wanted, known: RememberedCluster | None, public_key: str | None
) -> ClusterOptions:
    url = wanted.url or (known.url if known else None)
    if url is None:
        raise InvalidRequest(
            "Where Flux fetches the branches flux/* from is not known.",
            hint="Give its address with --source-url.",
        )
    return ClusterOptions(
        name=wanted.name,
        url=url,
        git_secret=wanted.git_secret or (known.git_secret if known else None),
        publish_key=public_key,
        images=wanted.images or (known.images if known else ()),
    )
