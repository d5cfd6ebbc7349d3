"""From the shard branches to the apps on this machine: Flux's part.

A shard is looked at when its branch moved, and of it only the apps whose folder has another tree.
Each app is built and applied by itself, so one that does not build holds up nobody.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from api.clients.gitops_repo import GitopsRepo
from api.clients.kustomize import Kustomize
from api.domain.names import AppRef, is_id, namespace_of, shard_of
from api.domain.rollout import Shard
from api.errors import InvalidRequest, PlatformError, Unavailable
from api.local import tasks
from api.local.apps import LocalApp
from api.local.objects import AppObjects, NotUnderstood, read_objects
from api.local.routes import check_routes

_LOG: Final = logging.getLogger(__name__)
_BRANCH: Final = re.compile(r"flux/([0-9a-f]{2,3})")
_LOOK_SECONDS: Final = 1.0
_FIRST_RETRY: Final = 1.0
_LONGEST_RETRY: Final = 5.0


@dataclass
class _Folder:
    """An app's folder on its shard branch, and how far it was followed."""

    tree: str | None  # None: gone
    commit: str  # of the shard: where it was last seen to differ
    fetched: datetime
    urgent: bool  # somebody waits for it; otherwise it only comes back after a restart
    done: str | None = None  # the `commit` last dealt with
    worker: "asyncio.Task[None] | None" = None
    attempted: str | None = None  # what Flux would report of the shard for this app,
    applied: str | None = None  # while there is work or an error
    error: str | None = None
    delay: str | None = None  # why the work could not be done yet


class Reconciler:
    """Watches the shard branches and hands each changed app what its folder builds."""

    def __init__(
        self,
        repo: GitopsRepo,
        kustomize: Kustomize,
        *,
        make_app: Callable[[AppRef], LocalApp],
        changed: Callable[[AppRef | str], None],
    ) -> None:
        self._repo = repo
        self._kustomize = kustomize
        self._make_app = make_app
        self._changed = changed  # told an app, or a shard whose branch moved
        self._heads: dict[str, str] = {}
        self._folders: dict[AppRef, _Folder] = {}
        self._poked = asyncio.Event()
        # After a restart, one build at a time: a deploy need not queue behind all of them.
        self._unhurried = asyncio.Semaphore(1)
        self.apps: dict[AppRef, LocalApp] = {}
        self.problem: str | None = None

    def poke(self) -> None:
        """Look now."""
        self._poked.set()

    async def run(self) -> None:
        """Look whenever poked, and every second."""
        while True:
            try:
                await self.look()
                self.problem = None
            except PlatformError as error:
                self.problem = error.message
                _LOG.warning("the shard branches cannot be read: %s", error.message)
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._poked.wait()
            except TimeoutError:
                continue
            self._poked.clear()

    async def look(self) -> None:
        """Compare every shard branch with what was seen of it; start the work that follows."""
        shards = {
            match[1]: commit
            for branch, commit in (await self._repo.heads()).items()
            if (match := _BRANCH.fullmatch(branch))
        }
        moved = {s: commit for s, commit in shards.items() if self._heads.get(s) != commit}
        for shard, commit in moved.items():
            await self._note_changes(shard, commit)
            self._heads[shard] = commit
            self._changed(shard)
        work = [ref for ref, folder in self._folders.items() if folder.done != folder.commit]
        # After a restart the apps that went live last come back first.
        for ref in sorted(work, key=self._last_live, reverse=True):
            self._start(ref)

    async def close(self) -> None:
        """Stop the work under way, then every app."""
        workers = [folder.worker for folder in self._folders.values() if folder.worker]
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        await asyncio.gather(*(app.close() for app in self.apps.values()))

    def shard(self, name: str) -> Shard:
        """How far a branch was followed: as far as every app of it, and what the first one met."""
        head = self._heads.get(name)
        unlike = [ref for ref, f in self._folders.items() if f.error or f.done != f.commit]
        seen = [
            self.seen_of(ref) for ref in sorted(unlike) if shard_of(ref.user_id, len(name)) == name
        ]
        behind = next((s for s in seen if s.attempted != head), None)
        if behind:
            return replace(behind, apply_error=None)
        return next((s for s in seen if s.apply_error), Shard(head, head, head))

    def seen_of(self, ref: AppRef) -> Shard:
        """How far the branch of this app's shard was followed, as far as it concerns this app."""
        digits = len(next(iter(self._heads), ""))
        head = self._heads.get(shard_of(ref.user_id, digits))
        folder = self._folders.get(ref)
        if folder is None or (folder.done == folder.commit and not folder.error):
            return Shard(fetched=head, attempted=head, applied=head)
        if folder.done != folder.commit:
            return Shard(fetched=head, attempted=folder.attempted, applied=folder.applied)
        # As Flux says it: whoever reads it knows that it is this app's own.
        error = f"Deployment/{namespace_of(ref.user_id)}/{ref.app_id} dry-run failed {folder.error}"
        return Shard(fetched=head, attempted=head, applied=folder.applied, apply_error=error)

    def delay(self, ref: AppRef) -> str | None:
        """Why this app's newest folder could not be dealt with yet, if so."""
        folder = self._folders.get(ref)
        return folder.delay if folder else None

    def _last_live(self, ref: AppRef) -> float:
        app = self.apps.get(ref)
        return app.record.at if app and app.record else 0.0

    async def _note_changes(self, shard: str, commit: str) -> None:
        """Note which apps of a shard have another folder than what was seen."""
        found: dict[AppRef, str] = {}
        for user_id, tenant in (await self._repo.outline(commit, "", 3)).items():
            for app_id, entry in tenant.children.items():
                is_app = "kustomization.yaml" in entry.children and "app.yaml" in entry.children
                if is_app and is_id(user_id) and is_id(app_id):
                    found[AppRef(user_id, app_id)] = entry.id
        known = {
            ref: folder
            for ref, folder in self._folders.items()
            if shard_of(ref.user_id, len(shard)) == shard
        }
        for ref in known.keys() | found.keys():
            if ref not in known or known[ref].tree != found.get(ref):
                self._note(ref, found.get(ref), commit, self._heads.get(shard))

    def _note(self, ref: AppRef, tree: str | None, commit: str, before: str | None) -> None:
        now = datetime.now(UTC)
        folder = self._folders.get(ref)
        if folder is None:
            app = self.apps[ref] = self._make_app(ref)
            applied = app.record.commit if app.record and before is None else before
            self._folders[ref] = _Folder(
                tree, commit, now, urgent=before is not None, attempted=before, applied=applied
            )
            return
        if folder.done == folder.commit:
            folder.attempted = before
            folder.applied = folder.applied if folder.error else before
        folder.tree, folder.commit, folder.fetched = tree, commit, now
        folder.urgent, folder.error = True, None

    def _start(self, ref: AppRef) -> None:
        folder = self._folders[ref]
        if folder.worker is None or folder.worker.done():
            folder.worker = tasks.start(self._follow(ref, folder), f"following {ref}")
            folder.worker.add_done_callback(lambda task: self._ended(ref, folder, task))

    def _ended(self, ref: AppRef, folder: _Folder, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()):
            folder.error = f"(InternalError): The embedded cluster failed: {error!r}"
            folder.done = folder.commit  # not again before the folder changes
            self._changed(ref)

    async def _follow(self, ref: AppRef, folder: _Folder) -> None:
        """Bring the app to the newest commit of its folder, however often that moves."""
        delay = _FIRST_RETRY
        while folder.done != folder.commit:
            commit = folder.commit
            try:
                await self._do(ref, folder, commit)
            except (InvalidRequest, NotUnderstood) as error:
                folder.error = f"(Invalid): {error}"
            except Unavailable as error:
                _LOG.warning("%s cannot be applied yet: %s", ref, error.message)
                folder.delay = error.message
                self._changed(ref)
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LONGEST_RETRY)
                continue
            folder.done, folder.delay = commit, None
            self._changed(ref)
        if folder.tree is None:
            del self._folders[ref]

    async def _do(self, ref: AppRef, folder: _Folder, commit: str) -> None:
        if folder.tree is None:
            if app := self.apps.get(ref):
                await app.remove()
                del self.apps[ref]
            return
        app = self.apps.get(ref)
        if app is None:  # it was removed, and is there again
            app = self.apps[ref] = self._make_app(ref)
        try:
            objects = await self._build(ref, commit, urgent=folder.urgent)
        except (InvalidRequest, NotUnderstood):
            await self._bring_back(app, None)
            raise
        await self._bring_back(app, objects)
        if folder.commit == commit:
            app.apply(objects, commit, folder.fetched, urgent=folder.urgent)

    async def _build(self, ref: AppRef, commit: str, *, urgent: bool) -> AppObjects:
        files = await self._repo.files(commit, f"{ref.user_id}/{ref.app_id}")
        async with contextlib.nullcontext() if urgent else self._unhurried:
            objects = read_objects(await self._kustomize.build(files))
        check_routes(objects)
        return objects

    async def _bring_back(self, app: LocalApp, wanted: AppObjects | None) -> None:
        """After a restart, start the version last seen live too, if another is wanted by now."""
        record = app.record
        if app.workload or record is None:
            return
        if wanted and (not wanted.runs or wanted.template.intent == record.intent):
            return
        try:
            objects = await self._build(app.ref, record.commit, urgent=False)
        except (InvalidRequest, NotUnderstood, Unavailable) as error:
            _LOG.warning("the last live version of %s cannot come back: %s", app.ref, error)
            return
        app.apply(objects, record.commit, datetime.now(UTC), urgent=False)
