"""The embedded cluster: real kustomize, real processes, real Traefik, on one machine.

A stand-in for a laptop. It gives the same observations as Flux and Kubernetes would; it does not
isolate the apps from each other or from the person whose machine it is.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from typing import Final

from api.clients.cluster import LogLine
from api.clients.gitops_repo import GitopsRepo
from api.clients.kustomize import Kustomize
from api.domain.names import AppRef, shard_of
from api.domain.rollout import LiveVersion, Observation, Shard
from api.errors import ClusterUnavailable
from api.local import tasks
from api.local.apps import LocalApp
from api.local.node import Node
from api.local.observed import ObservedFile
from api.local.processes import Processes
from api.local.reconciler import Reconciler
from api.local.router import Router
from api.local.run_folder import RunFolder
from api.settings import Settings

_LOG: Final = logging.getLogger(__name__)


class LocalCluster:
    """Observed through the protocol of `api.clients.cluster`; started and closed by the api."""

    isolated: Final = False

    def __init__(self, settings: Settings, repo: GitopsRepo, kustomize: Kustomize) -> None:
        self._runner_python = settings.runner_python
        self._folder = RunFolder(settings.data_dir.absolute() / "run")
        self._processes = Processes(self._folder.records)
        self._node = Node(settings, self._processes)
        self._router = Router(settings, self._folder.router, self._processes)
        self._router.restarted = self._check_routes
        self._reconciler = Reconciler(repo, kustomize, make_app=self._make_app, changed=self._wake)
        self._observed = ObservedFile(self._folder.observed)
        self._writing: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._waiting: dict[AppRef, asyncio.Event] = {}

    async def start(self) -> None:
        """Bring back every app of the shard branches, in the background.

        Raises ClusterUnavailable (port in use, runner missing, folder in use by another platform)
        or RepositoryUnavailable.
        """
        if not self._runner_python.exists():
            raise ClusterUnavailable(
                f"There is no Python for the apps at {self._runner_python}.",
                hint="Run `make setup`, or set RUNNER_PYTHON.",
            )
        await asyncio.to_thread(self._folder.take)
        try:
            await self._processes.start()
            await asyncio.to_thread(self._folder.clear_pods)
            await self._router.start()
            await self._reconciler.look()
            await asyncio.to_thread(self._folder.forget_others, self._reconciler.apps.keys())
        except BaseException:
            await self.close()
            raise
        self._watching = tasks.start(self._reconciler.run(), "following the shard branches")
        self._writing = tasks.start(self._observed.keep(self._all), "writing down what runs")

    async def close(self) -> None:
        """Stop every app and the router; returns when nothing of them is left."""
        for task in filter(None, (self._watching, self._writing)):
            task.cancel()
            await asyncio.wait({task})
        await self._reconciler.close()
        await self._router.close()
        await self._processes.close()
        await asyncio.to_thread(self._folder.release)

    def metrics_urls(self) -> list[str]:
        """Where the router tells how often each app was asked for."""
        return [self._router.metrics_url]

    async def observe(self, ref: AppRef) -> Observation:
        """What is known of the app now; reads memory only."""
        return self._observation(ref)

    def _all(self) -> dict[AppRef, Observation]:
        return {ref: self._observation(ref) for ref in self._reconciler.apps}

    def _observation(self, ref: AppRef) -> Observation:
        app = self._reconciler.apps.get(ref)
        shard = self._reconciler.seen_of(ref)
        delay = self._reconciler.delay(ref)
        warnings = (delay,) if delay else ()
        if app is None:
            return Observation(shard=shard, warnings=warnings)
        return Observation(
            shard=shard,
            workload=app.workload,
            pods=app.pods,
            routed_intent=app.routed_intent,
            warnings=(*warnings, *app.warnings),
            times=app.times,
        )

    async def shard(self, name: str) -> Shard:
        """What Flux would report of a shard branch: one app that cannot be applied holds it up."""
        return self._reconciler.shard(name)

    async def changes(self, ref: AppRef) -> AsyncIterator[None]:
        """Yield at once, then whenever something of the app changed (bursts may be merged)."""
        while True:
            event = self._waiting.setdefault(ref, asyncio.Event())
            yield
            await event.wait()

    async def logs(
        self, ref: AppRef, *, follow: bool = False, previous: bool = False, tail: int = 200
    ) -> AsyncIterator[LogLine]:
        """The app's output, oldest first, of all its processes; nothing for an unknown app."""
        if app := self._reconciler.apps.get(ref):
            async for line in app.logs(follow=follow, previous=previous, tail=tail):
                yield line

    async def open_requests(self, ref: AppRef) -> int:
        """Requests, streams and WebSockets under way; raises ClusterUnavailable."""
        app = self._reconciler.apps.get(ref)
        return await app.open_requests() if app else 0

    async def poke(self, shards: Collection[str]) -> None:
        """Look at the branches now; all of them, which costs one listing."""
        if shards:
            self._reconciler.poke()

    async def live(self, ref: AppRef) -> LiveVersion | None:
        """The version that was last seen serving; None when nothing was."""
        app = self._reconciler.apps.get(ref)
        return app.live if app else None

    async def problem(self) -> str | None:
        """Why apps cannot be followed or reached now; None when they can."""
        if self._watching is None or self._watching.done():
            return "The embedded cluster does not follow the shard branches."
        return self._router.problem or self._reconciler.problem

    def _make_app(self, ref: AppRef) -> LocalApp:
        folder = self._folder.app(ref)
        return LocalApp(ref, folder, self._node, self._router, lambda: self._wake(ref))

    def _wake(self, what: AppRef | str) -> None:
        """Wake who waits for an app, or for any app of a shard."""
        self._observed.change()
        refs = (
            [ref for ref in self._waiting if shard_of(ref.user_id, len(what)) == what]
            if isinstance(what, str)
            else [what]
        )
        for ref in refs:
            if event := self._waiting.pop(ref, None):
                event.set()

    def _check_routes(self) -> None:
        for app in self._reconciler.apps.values():
            app.check_route()
