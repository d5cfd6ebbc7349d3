"""A real embedded cluster over a repository whose shard branches the tests write."""

import asyncio
import contextlib
import hashlib
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pygit2
import pytest
import pytest_asyncio

from api.clients import git_trees
from api.clients.git_trees import Edit, Folder
from api.clients.gitops_repo import GitopsRepo, create
from api.clients.kustomize import Kustomize
from api.domain.manifests import AppSource, RenderSettings, Templates, render_app
from api.domain.names import AppRef, app_path, shard_of
from api.domain.repo_layout import EMPTY_OVERLAY, AppFile, dump
from api.domain.rollout import Observation
from api.local.cluster import LocalCluster
from api.settings import Settings

ROOT = Path(__file__).parents[2]
TEMPLATES = Templates.load()
# Below those that systems give to outgoing connections, and not where the node looks for its own.
_PORTS = itertools.count(15000 + hash(str(ROOT)) % 500)

HELLO = """\
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def hello():
    return {"version": %r}
"""


def free_port() -> int:
    """A port that nobody listens on now."""
    for port in _PORTS:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                listener.bind(("127.0.0.1", port))
                return port
    raise AssertionError("no port is free")


def hello(version: str) -> dict[str, str]:
    """The smallest app."""
    return {"user_code.py": HELLO % version}


#: What the router says for an app that does not run, where no platform is behind it to tell why.
NO_APP = 502


class World:
    """A repository, and at times a cluster that follows it; both survive each other."""

    def __init__(self, data_dir: Path, **settings: Any) -> None:
        self.data_dir = data_dir
        self.settings = Settings(
            data_dir=data_dir,
            port=free_port(),
            apps_port=free_port(),
            runner_python=ROOT / "runner/.venv/bin/python",
            **settings,
        )
        create(data_dir / "repo.git", {}, {f"flux/{n:02x}": {} for n in range(256)})
        self.repo = GitopsRepo(data_dir / "repo.git")
        self.http = httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{self.settings.apps_port}", trust_env=False, timeout=10
        )
        self._cluster: LocalCluster | None = None

    @property
    def cluster(self) -> LocalCluster:
        assert self._cluster is not None
        return self._cluster

    async def start(self) -> LocalCluster:
        self._cluster = LocalCluster(self.settings, self.repo, Kustomize())
        await self._cluster.start()
        return self._cluster

    async def stop(self) -> None:
        if self._cluster:
            await self._cluster.close()
            self._cluster = None

    async def close(self) -> None:
        await self.stop()
        await self.http.aclose()
        await self.repo.close()

    def run_folder(self, ref: AppRef) -> Path:
        """What the cluster keeps of an app."""
        return self.data_dir / "run/apps" / ref.user_id / ref.app_id

    async def publish(
        self,
        ref: AppRef,
        code: Mapping[str, str],
        *,
        env: Mapping[str, str] | None = None,
        running: bool = True,
        extra: Mapping[str, bytes] | None = None,
    ) -> str:
        """Commit the app's rendered folder on its shard branch; the intent."""
        edits, intent = folder(ref, code, env=env, running=running, extra=extra)
        await self.commit(ref.user_id, {f"{ref.user_id}/{ref.app_id}": Folder(edits)})
        return intent

    async def commit(self, user_id: str, edits: Mapping[str, Edit]) -> str:
        shard = shard_of(user_id, 2)
        commit = await asyncio.to_thread(self._commit, f"refs/heads/flux/{shard}", edits)
        if self._cluster:
            await self._cluster.poke([shard])
        return commit

    def _commit(self, branch: str, edits: Mapping[str, Edit]) -> str:
        repository = pygit2.Repository(str(self.repo.path))
        tip = repository.references[branch].target
        tree = pygit2.Oid(hex=git_trees.store(repository, edits, str(tip)))
        person = pygit2.Signature("test", "test@example.org")
        return str(repository.create_commit(branch, person, person, "publish", tree, [tip]))

    async def until(
        self, ref: AppRef, wanted: Callable[[Observation], Any], seconds: float = 60
    ) -> Observation:
        """The first observation that fits; AssertionError with the last one."""
        seen = await self.cluster.observe(ref)
        try:
            async with asyncio.timeout(seconds):
                async for _ in self.cluster.changes(ref):
                    seen = await self.cluster.observe(ref)
                    if wanted(seen):
                        return seen
        except TimeoutError:
            pass
        raise AssertionError(f"not within {seconds} s; last seen: {seen}")

    async def until_live(self, ref: AppRef, intent: str, seconds: float = 60) -> Observation:
        """This version answers at the app's address, alone."""
        return await self.until(
            ref,
            lambda seen: seen.routed_intent == intent and [p.phase for p in seen.pods] == ["ready"],
            seconds,
        )

    async def get(self, ref: AppRef, path: str = "/", **arguments: Any) -> httpx2.Response:
        """Ask the app at its address."""
        return await self.http.get(f"{app_path(ref)}{path}", **arguments)


def folder(
    ref: AppRef,
    code: Mapping[str, str],
    *,
    env: Mapping[str, str] | None = None,
    running: bool = True,
    extra: Mapping[str, bytes] | None = None,
) -> tuple[dict[str, bytes | Folder], str]:
    """What publishing puts into an app's folder, and its intent."""
    app = AppFile(id=ref.app_id, user=ref.user_id, name="A test", env=dict(env or {}))
    intent = hashlib.sha256(repr((sorted(code.items()), app)).encode()).hexdigest()
    source = AppSource(app, tuple(code), (), intent)
    files = {
        "app.yaml": dump(app),
        "overlay/kustomization.yaml": EMPTY_OVERLAY,
        **{f"code/{name}": text.encode() for name, text in code.items()},
        **render_app(
            TEMPLATES, source, RenderSettings("runner:test"), running=running, serving=None
        ),
        **(extra or {}),
    }
    return _nested(files), intent


def _nested(files: Mapping[str, bytes]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for name, data in files.items():
        head, _, rest = name.partition("/")
        if rest:
            content.setdefault(head, {})[rest] = data
        else:
            content[head] = data
    return {k: Folder(_nested(v)) if isinstance(v, dict) else v for k, v in content.items()}


MakeWorld = Callable[..., Awaitable[World]]


@pytest_asyncio.fixture(loop_scope="module")
async def make_world(tmp_path: Path) -> AsyncIterator[MakeWorld]:
    """A world with settings of one's own, its cluster running."""
    worlds: list[World] = []

    async def make(**settings: Any) -> World:
        world = World(tmp_path / f"data{len(worlds)}", **settings)
        worlds.append(world)
        await world.start()
        return world

    yield make
    for world in worlds:
        await world.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A running embedded cluster; the tests of a module share it, each with an app of its own."""
    world = World(tmp_path_factory.mktemp("world"))
    await world.start()
    yield world
    await world.close()


@pytest.fixture
def ref(request: pytest.FixtureRequest) -> Iterator[AppRef]:
    """An app that no other test has."""
    name = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:6]
    return AppRef(f"u{name}", f"shop-{name}")


async def eventually(look: Callable[[], Awaitable[Any]], seconds: float = 60) -> None:
    """Until `look` gives something true; TimeoutError when it never does."""
    async with asyncio.timeout(seconds):
        while not await look():  # noqa: ASYNC110  (processes and ports give no event)
            await asyncio.sleep(0.03)
