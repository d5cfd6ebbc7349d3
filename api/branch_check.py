"""The check that guards the branch: whether the platform would publish what `main` would say.

A clone is enough: no work tree, no key, no cluster. What it says of apps is what publishing says
(`api/checking.py`); the layout around them, and whose change it is, is judged here alone, for what
stands outside of apps is never published.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from api.checking import IntentCheck
from api.clients import git_history, git_places, git_revisions
from api.clients.git_places import Places
from api.clients.git_revisions import Revisions
from api.clients.git_trees import MAX_FILE_BYTES
from api.clients.gitops_repo import GitopsRepo
from api.clients.kustomize import Kustomize
from api.clients.source_checker import SourceChecker
from api.domain.intent_check import AppFolder, check_owner, check_tenant, problem
from api.domain.manifests import RenderSettings, Templates
from api.domain.names import AppRef
from api.domain.ownership import check_author
from api.domain.repo_layout import (
    InvalidFile,
    PeopleFile,
    PlatformFile,
    app_folder,
    parse_people,
    parse_platform,
    tenant_folder,
)
from api.domain.sops_shape import check_secret
from api.domain.source_check import Diagnostic
from api.errors import CheckUnavailable, RepositoryUnavailable

#: Hears what is being done, how much of it is done, and of how much.
Progress = Callable[[str, int, int], None]
_STRIDE: Final = 1000
_TRIES: Final = 3  # a check may run out of time on a busy machine


@dataclass(frozen=True)
class Report:
    """What was looked at, and what was found, by path and line."""

    revisions: Revisions
    apps: int  # that were checked
    findings: Sequence[Diagnostic]
    not_judged: Sequence[str] = field(default_factory=tuple)  # rules, and why

    @property
    def passed(self) -> bool:
        """Whether nothing stands in the way of publishing it."""
        return not any(found.severity == "error" for found in self.findings)


class BranchCheck:
    """Checks revisions of one repository; paths of what it finds begin at the root."""

    def __init__(self, repo: GitopsRepo, check: IntentCheck, at_once: int) -> None:
        self._repo = repo
        self._check = check
        self._at_once = at_once

    async def run(
        self, head: str, base: str | None, author: str | None, progress: Progress
    ) -> Report:
        """What is wrong at `head`, or with what it changes since it left `base`.

        `author`, a login of the forge, is who wants the change. Raises InvalidRequest for
        revisions that are not here, and RepositoryUnavailable.
        """
        revisions = await self._repo.reading(git_revisions.resolve, head, base)
        platform, findings = await self._settings(revisions)
        places = await self._repo.reading(
            git_places.places, revisions.fork, revisions.head, platform.shard_digits
        )
        findings += places.refused
        findings += await self._files(places)
        findings += await self._tenants(revisions, places, platform)
        findings += await self._authors(revisions, places, author)
        findings += await self._owners(revisions, places, platform, progress)
        findings += await self._apps(revisions, sorted(places.apps), platform, progress)
        findings.sort(key=lambda d: (d.path, d.line, d.column, d.code))
        return Report(
            revisions, len(places.apps), findings, tuple(_not_judged(revisions, places, author))
        )

    async def _settings(self, revisions: Revisions) -> tuple[PlatformFile, list[Diagnostic]]:
        """`platform.yaml` as it will be, or else as it is: apps are judged in any case."""
        data = await self._after(revisions, "platform.yaml")
        before = None
        if revisions.base is not None:
            before = _parsed(await self._repo.read(revisions.base, "platform.yaml"))
        try:
            platform = parse_platform(data or b"")
        except InvalidFile as error:
            message = error.message if data is not None else "this file is missing"
            found = problem("platform.yaml", "platform", f"{message}.", _PLATFORM)
            return before or PlatformFile(), [found]
        if before is not None and before.shards != platform.shards:
            message = f"The number of shards is {before.shards}, and fixed."
            return before, [problem("platform.yaml", "platform", message, _PLATFORM)]
        return platform, []

    async def _after(self, revisions: Revisions, path: str) -> bytes | None:
        """A file as a merge would leave it: the change's, unless the change left it alone."""
        if revisions.base is None or revisions.fork is None:
            return await self._repo.read(revisions.head, path)
        head = await self._repo.entry(revisions.head, path)
        fork = await self._repo.entry(revisions.fork, path)
        same = (head and (head.id, head.kind)) == (fork and (fork.id, fork.kind))
        return await self._repo.read(revisions.base if same else revisions.head, path)

    async def _files(self, places: Places) -> list[Diagnostic]:
        """What stands outside of apps: sizes, who is who, and that secrets are encrypted."""
        found: list[Diagnostic] = []
        sizes = await self._repo.reading(git_places.blob_sizes, places.files.values())
        for path, object_id in places.files.items():
            size = sizes[object_id]
            if size is None:
                found.append(problem(path, "unreadable", "This file is not in the clone.", _FETCH))
            elif size > MAX_FILE_BYTES:
                message = f"{size:,} bytes; at most {MAX_FILE_BYTES:,} are possible."
                found.append(problem(path, "file_too_large", message, "Keep it elsewhere."))
            elif path == "people.yaml":
                found += _check_people(await self._repo.blob(object_id))
            elif path.startswith("apps/") and path.endswith(".sops.yaml"):
                found += check_secret(path, await self._repo.blob(object_id))
        return found

    async def _tenants(
        self, revisions: Revisions, places: Places, platform: PlatformFile
    ) -> list[Diagnostic]:
        found = []
        for (shard, user_id), has_apps in places.tenants.items():
            folder = tenant_folder(user_id, platform.shard_digits)
            data = await self._after(revisions, f"{folder}/tenant.yaml")
            if data is None and not has_apps:
                continue
            tenant = check_tenant(shard, user_id, data)
            if isinstance(tenant, Diagnostic):
                found.append(replace(tenant, path=f"{folder}/{tenant.path}"))
        return found

    async def _authors(
        self, revisions: Revisions, places: Places, author: str | None
    ) -> list[Diagnostic]:
        if author is None:
            return []
        data = await self._repo.read(revisions.base or revisions.head, "people.yaml")
        try:
            people = parse_people(data) if data is not None else PeopleFile()
        except InvalidFile as error:
            return [problem("people.yaml", "people", f"{error.message}.", _PEOPLE)]
        return list(check_author(author, people, places.changed))

    async def _owners(
        self, revisions: Revisions, places: Places, platform: PlatformFile, progress: Progress
    ) -> list[Diagnostic]:
        """Ids of apps that the change brings, and that another tenant had first.

        Where an app's folder stood already, it is for the change that put it there to be refused:
        a change of its code need not wait for all of history.
        """
        brought = {ref for ref, was_there in places.apps.items() if not was_there}
        if not brought:
            return []
        wanted = {ref.app_id for ref in brought}
        owners: dict[str, str] = {}
        for tip, until in ((revisions.base, None), (revisions.head, revisions.fork)):
            if tip is not None and (missing := wanted - owners.keys()):
                owners |= await self._first_owners(tip, until, missing, progress)
        return [
            _placed(foreign, app_folder(ref, platform.shard_digits))
            for ref in sorted(brought)
            if (foreign := check_owner(ref, owners.get(ref.app_id)))
        ]

    async def _first_owners(
        self, tip: str, until: str | None, app_ids: Collection[str], progress: Progress
    ) -> dict[str, str]:
        """The tenant who had each id first, as `History.owners` tells it from its index.

        Only what came after `until` is looked at, where that is one of the tips of the line.
        """
        links: list[git_history.Link] = []
        at: str | None = tip
        while at is not None and at != until:
            for link in await self._repo.reading(git_history.line, at, _STRIDE):
                if link.id == until:
                    break
                links.append(link)
                at = link.before
            else:
                continue
            break
        links.reverse()
        found: dict[str, str] = {}
        for start in range(0, len(links), _STRIDE):
            landed = await self._repo.reading(git_history.landed, links[start : start + _STRIDE])
            for commit in landed:
                for ref in sorted(commit.touched.apps):
                    if ref.app_id in app_ids:
                        found.setdefault(ref.app_id, ref.user_id)
            progress("history", min(start + _STRIDE, len(links)), len(links))
            if found.keys() == set(app_ids):
                break
        return found

    async def _apps(
        self,
        revisions: Revisions,
        refs: Sequence[AppRef],
        platform: PlatformFile,
        progress: Progress,
    ) -> list[Diagnostic]:
        found: list[Diagnostic] = []
        waiting = iter(refs)
        done = 0

        async def work() -> None:
            nonlocal done
            for ref in waiting:
                found.extend(await self._app(revisions.head, ref, platform))
                done += 1
                progress("apps", done, len(refs))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._at_once, len(refs))):
                group.create_task(work())
        return found

    async def _app(self, head: str, ref: AppRef, platform: PlatformFile) -> list[Diagnostic]:
        path = app_folder(ref, platform.shard_digits)
        try:
            opened = await self._repo.open_folder(head, path)
        except (RepositoryUnavailable, KeyError) as error:
            return [problem(path, "unreadable", f"This app cannot be read: {error}", _FETCH)]
        folder = AppFolder(opened.files, tuple(opened.odd)) if opened else AppFolder({})
        words = ""
        for _ in range(_TRIES):
            try:
                found = await self._check.look(ref, folder, platform)
            except CheckUnavailable as error:
                words = error.message
                continue
            return [
                *(_placed(each, path) for each in (*found.folder, *found.overlay)),
                *(_placed(each, f"{path}/code") for each in found.code),
            ]
        return [problem(f"{path}/app.yaml", "check_unfinished", words, _AGAIN)]


@asynccontextmanager
async def open_branch_check(repository: Path) -> AsyncIterator[BranchCheck]:
    """The check of a clone, for as long as the block lasts; raises InvalidRequest for no clone."""
    at_once = os.cpu_count() or 1
    git_folder = await asyncio.to_thread(git_revisions.git_folder, repository)
    templates = await asyncio.to_thread(Templates.load)
    sources = SourceChecker(at_once)
    repo = GitopsRepo(git_folder)
    # An overlay may not touch what is rendered from these, so no operator's setting is needed.
    settings = RenderSettings(runner_image="runner")
    await sources.start()
    try:
        yield BranchCheck(repo, IntentCheck(sources, Kustomize(), templates, settings), 2 * at_once)
    finally:
        await sources.close()
        await repo.close()


def _placed(diagnostic: Diagnostic, folder: str) -> Diagnostic:
    return replace(diagnostic, path=f"{folder}/{diagnostic.path}")


def _parsed(data: bytes | None) -> PlatformFile | None:
    try:
        return parse_platform(data or b"")
    except InvalidFile:
        return None


def _check_people(data: bytes) -> list[Diagnostic]:
    try:
        parse_people(data)
    except InvalidFile as error:
        return [problem("people.yaml", "people", f"{error.message}.", _PEOPLE)]
    return []


def _not_judged(revisions: Revisions, places: Places, author: str | None) -> Iterator[str]:
    if author is None:
        yield "whose folders the change touches (--author says whose change it is)"
    if revisions.base is not None and "platform.yaml" in places.changed:
        yield "what platform.yaml means for the apps that stand there (leave out --base)"


_PLATFORM: Final = "Put it back as it was: `git log -- platform.yaml` shows the last version."
_PEOPLE: Final = "It lists `operators: [login]` and `people: {login: user id}`, each login once."
_FETCH: Final = "Fetch all of it again: git fetch --no-filter origin; git fsck names what is wrong."
_AGAIN: Final = "Run the check again; a file that takes this long is held by the platform as well."
