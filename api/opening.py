"""Opens the parts that the server and the operator's commands share: what is kept, what judges."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from api.accounts import Accounts
from api.audit import Audit, Known
from api.checking import IntentCheck
from api.clients import commit_index, sqlite_store
from api.clients.commit_index import CommitIndex
from api.clients.commit_signing import Signer
from api.clients.git_program import Credentials, TokenFile, TokenSource
from api.clients.git_upstream import LocalUpstream, RemoteUpstream, Upstream
from api.clients.github_app import GithubApp, InstallationTokens
from api.clients.gitops_repo import GitopsRepo
from api.clients.kustomize import Kustomize
from api.clients.measured_upstream import MeasuredUpstream
from api.clients.metrics import Metrics
from api.clients.passwords import Passwords
from api.clients.rate_limits import RateLimits
from api.clients.source_checker import SourceChecker
from api.clients.sqlite import SqliteDatabase
from api.clients.sqlite_store import SqliteStore
from api.clients.store import Account, Store
from api.clients.tokens import Tokens, signing_keys
from api.composition import Composer
from api.dependencies import Records
from api.domain.made_with import today
from api.domain.manifests import RenderSettings, Templates
from api.domain.names import AppRef
from api.domain.repo_layout import shard_branch
from api.domain.rollout import LiveVersion
from api.errors import NotFound
from api.history import History
from api.init_repo import init_repo, remote_repository
from api.intents import Intents
from api.local.observed import ObservedFile
from api.local.run_folder import RunFolder
from api.publishing import Poke, Publisher
from api.publishing_once import PublishingOnce
from api.recomposition import Recomposition
from api.rendering import FolderRenderer
from api.rerender import Observe, Rerender
from api.settings import Settings, split_list
from api.template_upgrade import Upgrade
from api.tenants import Tenants
from api.watching import Watcher
from api.writer import Writer

if TYPE_CHECKING:
    from api.clients.kubernetes_cluster import KubernetesCluster

DATABASE_FILE: Final = "platform.sqlite3"
#: In a cluster, where accounts are elsewhere.
INDEX_FILE: Final = "history.sqlite3"
REPOSITORY: Final = "repo.git"

_Live = Callable[[AppRef], Awaitable[LiveVersion | None]]


@dataclass(frozen=True)
class Judging:
    """What says whether an intent passes and what its manifests are."""

    check: IntentCheck
    kustomize: Kustomize
    templates: Templates
    rendering: RenderSettings


@asynccontextmanager
async def open_judging(settings: Settings) -> AsyncIterator[Judging]:
    """What checks and renders, with its helpers running while the context lasts."""
    sources, kustomize = SourceChecker(), Kustomize()
    await sources.start()
    try:
        templates = await asyncio.to_thread(Templates.load)
        rendering = rendering_settings(settings)
        check = IntentCheck(sources, kustomize, templates, rendering)
        yield Judging(check, kustomize, templates, rendering)
    finally:
        await sources.close()


def rendering_settings(settings: Settings) -> RenderSettings:
    """What this environment decides about every manifest."""
    if settings.mode == "cluster":
        return cluster_rendering(settings)
    # The router runs on this machine, under any name.
    return RenderSettings(
        settings.runner_image,
        max_apps=settings.max_apps_per_user,
        trusted_proxies="127.0.0.1,::1",
    )


def cluster_rendering(settings: Settings) -> RenderSettings:
    """The same for a cluster, also where an operator prepares one on another machine."""
    return RenderSettings(
        settings.runner_image,
        apps_host=urlsplit(settings.apps_origin).hostname,
        entry_points=tuple(split_list(settings.traefik_entry_points)),
        max_apps=settings.max_apps_per_user,
        traefik_namespace=settings.traefik_namespace,
        blocked_cidrs=tuple(split_list(settings.blocked_cidrs)),
        image_pull_secret=settings.image_pull_secret,
    )


def join_publishing(
    records: Records, judging: Judging, live: _Live, poke: Poke
) -> tuple[Publisher, Watcher]:
    """What composes the shard branches, and what has them looked at."""
    repo, intents, writer = records.repo, records.intents, records.writer
    renderer = FolderRenderer(repo, intents, live, judging.templates, judging.rendering)
    composer = Composer(repo, intents, records.history, judging.check, renderer)
    publisher = Publisher(repo, intents, composer, poke)
    writer.publisher = publisher
    return publisher, Watcher(repo, records.upstream, intents, publisher, writer)


async def connect(
    settings: Settings, stack: AsyncExitStack
) -> "Callable[[GitopsRepo], KubernetesCluster]":
    """The way to the cluster, before anything is made in the data folder for nothing."""
    # The client's modules cost half a second and 30 MB, which the embedded way need not pay.
    from api.clients.kubernetes_api import KubernetesApi  # noqa: PLC0415  (see above)
    from api.clients.kubernetes_cluster import KubernetesCluster  # noqa: PLC0415  (see above)

    kubernetes = await KubernetesApi.open(settings.kubeconfig)
    stack.push_async_callback(kubernetes.close)
    return lambda repo: KubernetesCluster(
        settings, kubernetes, tip=lambda shard: repo.head(shard_branch(shard))
    )


@asynccontextmanager
async def open_rerender(settings: Settings) -> AsyncIterator[Rerender]:
    """What renders apps anew, and watches them where a platform runs them."""
    async with AsyncExitStack() as stack:
        kubernetes = await connect(settings, stack) if settings.mode == "cluster" else None
        records = await stack.enter_async_context(open_records(settings))
        judging = await stack.enter_async_context(open_judging(settings))
        if kubernetes:
            cluster = kubernetes(records.repo)
            stack.push_async_callback(cluster.close)
            await cluster.start()
            publisher, _ = join_publishing(records, judging, cluster.live, cluster.poke)
            observe: Observe | None = cluster.observe_all
        else:
            # The code stays, so none is kept for older pods; who runs it follows the branches.
            publisher, _ = join_publishing(records, judging, _nothing_seen, _told_by_nobody)
            observed = ObservedFile(RunFolder(settings.data_dir.absolute() / "run").observed)
            observe = observed.observe if await observed.runs() else None
        await records.upstream.refresh()
        platform = await records.intents.platform(await records.intents.indexed_tip())
        made = today(replace(judging.rendering, ceilings=platform.ceilings))
        repo, upstream, writer = records.repo, records.upstream, records.writer
        yield Rerender(repo, upstream, publisher, writer, made, observe, records.store)


async def _nothing_seen(_: AppRef) -> None:
    return None


async def _told_by_nobody(_: Collection[str]) -> None:
    """Whoever follows the branches looks by itself."""


@asynccontextmanager
async def open_publishing(settings: Settings) -> AsyncIterator[PublishingOnce]:
    """One look at the shard branches without a cluster, also beside a server that runs.

    That server follows the branches by itself; what is live is not known here.
    """
    moved: set[str] = set()

    async def poke(shards: Collection[str]) -> None:
        moved.update(shards)

    async with open_records(settings) as records, open_judging(settings) as judging:
        publisher, watcher = join_publishing(records, judging, _nothing_seen, poke)
        await records.upstream.refresh()
        yield PublishingOnce(records.repo, records.intents, publisher, watcher, moved)


@asynccontextmanager
async def open_audit(settings: Settings, known: Known) -> AsyncIterator[Audit]:
    """What looks at the history again: all that composes a publish commit, and no cluster."""
    async with AsyncExitStack() as stack:
        records = await stack.enter_async_context(open_records(settings))
        await records.upstream.refresh()
        judging = await stack.enter_async_context(open_judging(settings))
        repo, intents = records.repo, records.intents
        again = Recomposition(
            repo, intents, records.history, judging.check, judging.templates, judging.rendering
        )
        if signer := await _signer(settings):
            known = replace(known, keys={*(known.keys or ()), signer.public})
        yield Audit(repo, intents, again, known)


async def make_repository(settings: Settings, shards: int | None = None) -> bool:
    """Make what is missing of the repository on this machine; whether anything was.

    Raises Unavailable.
    """
    signer = await _signer(settings)
    path = settings.data_dir / REPOSITORY
    return await asyncio.to_thread(init_repo, path, signer=signer, shards=shards)


@dataclass(frozen=True)
class Initialised:
    """A repository that has all of its branches, and what brings it up to its template."""

    created: bool
    upgrade: Upgrade
    public_key: str | None  # of the platform's signatures, in OpenSSH's form


@asynccontextmanager
async def open_repository(settings: Settings, shards: int | None) -> AsyncIterator[Initialised]:
    """Make what is missing of the repository, wherever it is; raises Unavailable."""
    signer = await _signer(settings)
    public_key = signer.public_key if signer else None
    if settings.git_remote is None:
        created = await make_repository(settings, shards)
        path = settings.data_dir / REPOSITORY
        repo = GitopsRepo(path, signer)
        try:
            yield Initialised(created, Upgrade(repo, LocalUpstream(path)), public_key)
        finally:
            await repo.close()
        return
    async with remote_repository(
        settings.git_remote, settings.publish_url, credentials(settings), signer, shards
    ) as (made, upstream):
        yield Initialised(made.created, Upgrade(made.repo, upstream), public_key)


async def _signer(settings: Settings) -> Signer | None:
    key = settings.git_signing_key_file
    return await asyncio.to_thread(Signer.load, key) if key else None


def credentials(settings: Settings) -> Credentials:
    """How the platform speaks to the host of its repository."""
    return Credentials(
        tokens=_tokens(settings),
        ssh_key=settings.git_ssh_key_file,
        known_hosts=settings.git_known_hosts_file,
    )


def _tokens(settings: Settings) -> TokenSource | None:
    app_id, installation = settings.github_app_id, settings.github_app_installation_id
    if app_id and installation and settings.github_app_key_file:
        key_file, api_url = settings.github_app_key_file, settings.github_api_url
        return InstallationTokens(GithubApp(app_id, installation, key_file, api_url))
    return TokenFile(settings.git_token_file) if settings.git_token_file else None


def _upstream(settings: Settings) -> Upstream:
    path = settings.data_dir / REPOSITORY
    if settings.git_remote is None:
        return LocalUpstream(path)
    return RemoteUpstream(path, settings.git_remote, settings.publish_url, credentials(settings))


@asynccontextmanager
async def open_migration(settings: Settings) -> AsyncIterator[tuple[SqliteStore, Store]]:
    """The store in the data folder, and the one at MONGO_URI; raises NotFound, Unavailable."""
    file = settings.data_dir / DATABASE_FILE
    if settings.mongo_uri is None or not await asyncio.to_thread(file.is_file):
        raise NotFound(f"There is no {file}.", hint="Name the folder that has it in DATA_DIR.")
    async with (
        SqliteDatabase.open(file, sqlite_store.SCHEMA) as database,
        open_mongo_store(settings.mongo_uri) as target,
    ):
        yield SqliteStore(database), target


async def _open_databases(settings: Settings, stack: AsyncExitStack) -> tuple[Store, CommitIndex]:
    """Where accounts are, and this replica's index of its own clone."""
    if settings.mode == "cluster" and settings.mongo_uri:
        store = await stack.enter_async_context(open_mongo_store(settings.mongo_uri))
        file, schema = INDEX_FILE, commit_index.SCHEMA
        opened = SqliteDatabase.open(settings.data_dir / file, schema)
        return store, CommitIndex(await stack.enter_async_context(opened))
    schema = (*sqlite_store.SCHEMA, *commit_index.SCHEMA)
    opened = SqliteDatabase.open(settings.data_dir / DATABASE_FILE, schema)
    database = await stack.enter_async_context(opened)
    return SqliteStore(database), CommitIndex(database)


@asynccontextmanager
async def open_mongo_store(uri: SecretStr) -> AsyncIterator[Store]:
    """The store at MONGO_URI; raises DatabaseUnavailable."""
    # The driver costs 0.2 s and 20 MB, which the embedded way need not pay.
    from api.clients import mongo, mongo_store  # noqa: PLC0415  (see above)

    async with mongo.MongoDatabase.open(uri.get_secret_value(), mongo_store.INDEXES) as database:
        yield mongo_store.MongoStore(database)


@asynccontextmanager
async def open_records(
    settings: Settings, metrics: Metrics | None = None
) -> AsyncIterator[Records]:
    """What is kept, for the server and for the operator's commands, also both at once."""
    async with AsyncExitStack() as stack:
        store, index = await _open_databases(settings, stack)
        upstream = _upstream(settings)
        upstream = MeasuredUpstream(upstream, metrics) if metrics else upstream
        await upstream.open()
        repo = GitopsRepo(settings.data_dir / REPOSITORY, await _signer(settings))
        stack.push_async_callback(repo.close)
        history = History(repo, index)
        intents = Intents(repo, history)
        writer = Writer(repo, upstream, min_interval=settings.git_min_push_interval)
        await stack.enter_async_context(writer.running())
        tenants = Tenants(repo, intents, writer)
        keys = await asyncio.to_thread(signing_keys, settings)
        passwords = await asyncio.to_thread(Passwords)
        stack.push_async_callback(asyncio.to_thread, passwords.close)

        async def stop_or_start(account: Account, by: str) -> None:
            if account.suspension is None:
                await tenants.unsuspend(account.user_id, by=by)
            else:
                reason = account.suspension.reason
                await tenants.suspend(account.user_id, by=by, reason=reason)

        accounts = Accounts(
            settings=settings,
            store=store,
            passwords=passwords,
            tokens=Tokens(keys, lifetime=timedelta(hours=settings.token_hours)),
            limits=RateLimits(),
            on_suspension=stop_or_start,
        )
        yield Records(store, accounts, repo, upstream, writer, history, intents, tenants)
