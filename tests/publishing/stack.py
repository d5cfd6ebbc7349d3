"""All between a request and the shard branch, for real: git, the check, kustomize, SQLite."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from api.checking import IntentCheck
from api.clients.commit_index import CommitIndex
from api.clients.git_trees import Edit
from api.clients.git_upstream import Upstream
from api.clients.gitops_repo import Change, GitopsRepo
from api.clients.kustomize import Kustomize
from api.clients.source_checker import SourceChecker
from api.clients.sqlite import SqliteDatabase
from api.clients.sqlite_store import SqliteStore
from api.clients.store import Account
from api.composition import Composer
from api.deployments import Deployments
from api.domain.commit_message import Person
from api.domain.drafts import AppDraft
from api.domain.manifests import RenderSettings, Templates
from api.domain.names import AppRef, shard_of
from api.domain.publication import Hold
from api.domain.repo_layout import app_folder
from api.domain.rollout import LiveVersion
from api.history import History
from api.intents import Intents, StoredApp
from api.lifecycle import Lifecycle
from api.publishing import Publisher
from api.rendering import FolderRenderer
from api.resting import Resting
from api.rollback import Rollbacks
from api.watching import Watcher
from api.writer import Writer

HELLO = "from fastapi import FastAPI\n\napp = FastAPI()\n"
FORBIDDEN = "import os\n" + HELLO


@dataclass
class Stack:
    """The use cases on a repository of their own, and short ways to ask git."""

    repo: GitopsRepo
    history: History
    intents: Intents
    check: IntentCheck
    publisher: Publisher
    writer: Writer
    watcher: Watcher
    deployments: Deployments
    rollbacks: Rollbacks
    resting: Resting
    lifecycle: Lifecycle
    live: dict[AppRef, LiveVersion]
    poked: list[str] = field(default_factory=list)

    async def deploy(self, user: Account, name: str = "One", code: str = HELLO) -> StoredApp:
        return await self.deployments.create(user, AppDraft(name=name, code=code), "r")

    async def by_hand(self, edits: Mapping[str, Edit]) -> str:
        """A commit by a person, as their push would leave it."""
        change = Change(dict(edits), "By hand\n", Person("Eve", "eve@example.org"))
        return await self.writer.write(change)

    async def published(self, ref: AppRef) -> dict[str, bytes]:
        return await self.repo.files(await self.tip(ref), f"{ref.user_id}/{ref.app_id}")

    async def tip(self, ref: AppRef) -> str:
        tip = await self.repo.head(f"flux/{shard_of(ref.user_id, 2)}")
        assert tip
        return tip

    def hold(self, ref: AppRef) -> Hold | None:
        return self.publisher.holds(shard_of(ref.user_id, 2)).get(ref)

    async def look(self) -> None:
        await self.watcher.look()


def folder(ref: AppRef) -> str:
    """The app's folder on main."""
    return app_folder(ref, 2)


def account(user_id: str) -> Account:
    return Account(user_id, f"name-{user_id}", f"{user_id}@example.org", "", datetime.now(UTC))


@asynccontextmanager
async def running_stack(  # noqa: PLR0913, PLR0917  (what replicas may differ in)
    repo: GitopsRepo,
    database: SqliteDatabase,
    sources: SourceChecker,
    upstream: Upstream,
    max_apps: int = 3,
    runner_image: str = "registry.example.org/runner:1",
) -> AsyncIterator[Stack]:
    """A replica of the api, so to speak."""
    live: dict[AppRef, LiveVersion] = {}
    poked: list[str] = []
    templates = Templates.load()
    settings = RenderSettings(runner_image=runner_image)
    history = History(repo, CommitIndex(database))
    intents = Intents(repo, history)
    check = IntentCheck(sources, Kustomize(), templates, settings)

    async def seen_live(ref: AppRef) -> LiveVersion | None:
        return live.get(ref)

    async def poke(shards: Collection[str]) -> None:
        poked.extend(shards)

    renderer = FolderRenderer(repo, intents, seen_live, templates, settings)
    composer = Composer(repo, intents, history, check, renderer)
    publisher = Publisher(repo, intents, composer, poke)
    writer = Writer(repo, upstream)
    deployments = Deployments(repo, intents, check, writer, SqliteStore(database), max_apps)
    rollbacks = Rollbacks(repo, intents, history, deployments)
    resting = Resting(repo, intents, history)
    lifecycle = Lifecycle(repo, intents, resting, deployments, rollbacks, max_pinned=1)
    watcher = Watcher(repo, upstream, intents, publisher, writer)
    async with writer.running(publisher):
        yield Stack(
            repo,
            history,
            intents,
            check,
            publisher,
            writer,
            watcher,
            deployments,
            rollbacks,
            resting,
            lifecycle,
            live,
            poked,
        )
