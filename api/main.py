"""The wiring: every part is made here, once, and handed to those who use it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api import __version__
from api.accounts import Accounts
from api.audit import Audit, Known
from api.checking import IntentCheck
from api.clients import commit_index, sqlite_store
from api.clients.cluster import Cluster
from api.clients.commit_index import CommitIndex
from api.clients.commit_signing import Signer
from api.clients.git_maintenance import Housekeeping
from api.clients.git_program import Credentials, TokenFile, TokenSource
from api.clients.git_upstream import LocalUpstream, RemoteUpstream, Upstream
from api.clients.github_app import GithubApp, InstallationTokens
from api.clients.gitops_repo import GitopsRepo
from api.clients.kustomize import Kustomize
from api.clients.metrics import Metrics
from api.clients.passwords import Passwords
from api.clients.rate_limits import RateLimits
from api.clients.source_checker import SourceChecker
from api.clients.sqlite import SqliteDatabase
from api.clients.sqlite_store import SqliteStore
from api.clients.store import Account
from api.clients.tokens import Tokens, signing_keys
from api.composition import Composer
from api.dependencies import Check, Platform, Records
from api.deployments import Deployments
from api.domain.manifests import RenderSettings, Templates
from api.domain.names import AppRef
from api.domain.rollout import LiveVersion
from api.errors import ClusterUnavailable, RepositoryUnavailable, Unavailable
from api.history import History
from api.init_repo import init_remote, init_repo
from api.intents import Intents
from api.local.cluster import LocalCluster
from api.publishing import Poke, Publisher
from api.publishing_once import PublishingOnce
from api.recomposition import Recomposition
from api.rendering import FolderRenderer
from api.rollback import Rollbacks
from api.rollouts import Rollouts
from api.routes import apps, auth, packages, pages, platform
from api.routes import history as past
from api.routes.errors import ANY_ROUTE, add_error_handlers
from api.routes.middleware import BodyLimit, RequestLog, SecurityHeaders
from api.settings import Settings
from api.tenants import Tenants
from api.turns import Turns
from api.watching import Watcher
from api.writer import Writer

_log = logging.getLogger(__name__)
DATABASE_FILE: Final = "platform.sqlite3"
REPOSITORY: Final = "repo.git"
#: Checks under way at once for one person who types: the editor sends one at a time.
MAX_VALIDATIONS: Final = 4
#: Seconds between looks at whether `main` moved by other hands (a local ref costs 20 µs).
POLL_SECONDS: Final = 0.5
#: Seconds between looks at whether the repository should be packed.
HOUSEKEEPING_SECONDS: Final = 60.0


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; nothing is opened, read or started before its lifespan begins."""
    settings = settings or Settings()
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.platform = await open_platform(settings, metrics, stack)
            yield

    app = FastAPI(
        title="FastAPI Platform",
        summary="Write a FastAPI app in the browser, deploy it by a commit, open its address.",
        version=__version__,
        lifespan=lifespan,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=ANY_ROUTE,
    )
    for module in (auth, apps, past, packages, platform, pages):
        app.include_router(module.router)
    # Only files that are the same for everybody are compressed: nothing can be guessed from it.
    app.router.default = GZipMiddleware(pages.Editor(settings.frontend_dist), compresslevel=6)
    add_error_handlers(app)
    # The last one added is the first that a request meets.
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestLog, metrics=metrics)
    app.add_middleware(SecurityHeaders)
    if proxies := [part.strip() for part in settings.trusted_proxies.split(",") if part.strip()]:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=proxies)
    return app


async def open_platform(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> Platform:
    """Open every part, in the order in which they need each other; `stack` closes them again.

    Raises Unavailable for what cannot be opened, and for MODE=cluster: nothing would isolate.
    """
    if settings.mode == "cluster":
        raise Unavailable(
            "MODE=cluster: running on a cluster is not built yet.",
            hint="Leave MODE away: everything then runs on this machine, without isolation.",
        )
    if settings.git_remote is None:
        await make_repository(settings)
    records = await stack.enter_async_context(open_records(settings))
    judging = await stack.enter_async_context(_open_judging(settings))
    cluster = LocalCluster(settings, records.repo, judging.kustomize)
    await cluster.start()
    stack.push_async_callback(cluster.close)
    repo, intents, history = records.repo, records.intents, records.history
    publisher, watcher = _publishing(records, judging, cluster.live, cluster.poke)
    store, origin, writer = records.store, settings.apps_origin, records.writer
    max_apps = settings.max_apps_per_user
    deployments = Deployments(repo, intents, judging.check, writer, store, max_apps)
    rollouts = Rollouts(repo, intents, history, publisher, cluster, store, origin)
    poll = POLL_SECONDS if settings.git_remote is None else settings.git_poll_seconds
    watching = await stack.enter_async_context(_running(watcher.run(poll)))
    await stack.enter_async_context(_running(Housekeeping(repo.path).run(HOUSEKEEPING_SECONDS)))
    checks: dict[str, Check] = {
        "database": store.check,
        "repository": lambda: _reachable(intents, records.upstream),
        "cluster": lambda: _no_problem(cluster),
        "publishing": lambda: _goes_on(watching, watcher),
    }
    return Platform(
        settings=settings,
        records=records,
        deployments=deployments,
        rollbacks=Rollbacks(repo, intents, history, deployments),
        publisher=publisher,
        rollouts=rollouts,
        cluster=cluster,
        metrics=metrics,
        validations=Turns(MAX_VALIDATIONS),
        checks=checks,
    )


_Live = Callable[[AppRef], Awaitable[LiveVersion | None]]


@dataclass(frozen=True)
class _Judging:
    """What says whether an intent passes and what its manifests are."""

    check: IntentCheck
    kustomize: Kustomize
    templates: Templates
    rendering: RenderSettings


@asynccontextmanager
async def _open_judging(settings: Settings) -> AsyncIterator[_Judging]:
    sources, kustomize = SourceChecker(), Kustomize()
    await sources.start()
    try:
        templates = await asyncio.to_thread(Templates.load)
        rendering = RenderSettings(
            runner_image=settings.runner_image,
            max_apps=settings.max_apps_per_user,
            trusted_proxies="127.0.0.1,::1",  # the router runs on this machine
        )
        check = IntentCheck(sources, kustomize, templates, rendering)
        yield _Judging(check, kustomize, templates, rendering)
    finally:
        await sources.close()


def _publishing(
    records: Records, judging: _Judging, live: _Live, poke: Poke
) -> tuple[Publisher, Watcher]:
    """What composes the shard branches, and what has them looked at."""
    repo, intents, writer = records.repo, records.intents, records.writer
    renderer = FolderRenderer(repo, intents, live, judging.templates, judging.rendering)
    composer = Composer(repo, intents, records.history, judging.check, renderer)
    publisher = Publisher(repo, intents, composer, poke)
    writer.publisher = publisher
    return publisher, Watcher(repo, records.upstream, intents, publisher, writer)


@asynccontextmanager
async def open_publishing(settings: Settings) -> AsyncIterator[PublishingOnce]:
    """One look at the shard branches without a cluster, also beside a server that runs.

    That server follows the branches by itself; what is live is not known here.
    """
    moved: set[str] = set()

    async def live(_: AppRef) -> None:
        return None

    async def poke(shards: Collection[str]) -> None:
        moved.update(shards)

    async with open_records(settings) as records, _open_judging(settings) as judging:
        publisher, watcher = _publishing(records, judging, live, poke)
        await records.upstream.refresh()
        yield PublishingOnce(records.repo, records.intents, publisher, watcher, moved)


@asynccontextmanager
async def open_audit(settings: Settings, known: Known) -> AsyncIterator[Audit]:
    """What looks at the history again: all that composes a publish commit, and no cluster."""
    async with AsyncExitStack() as stack:
        records = await stack.enter_async_context(open_records(settings))
        await records.upstream.refresh()
        judging = await stack.enter_async_context(_open_judging(settings))
        repo, intents = records.repo, records.intents
        again = Recomposition(
            repo, intents, records.history, judging.check, judging.templates, judging.rendering
        )
        if signer := await _signer(settings):
            known = replace(known, keys={*(known.keys or ()), signer.public})
        yield Audit(repo, intents, again, known)


@asynccontextmanager
async def _running(work: Coroutine[None, None, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Work that goes on beside the requests until the platform closes; `readyz` watches it."""
    task = asyncio.create_task(work)
    task.add_done_callback(_log_end)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


def _log_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        _log.critical("%s ended", task.get_coro(), exc_info=task.exception())


async def _goes_on(task: asyncio.Task[None], watcher: Watcher) -> None:
    if task.done():
        raise Unavailable("It ended by an error, which the log tells; restart the platform.")
    if watcher.problem:
        raise Unavailable(watcher.problem)


async def _no_problem(cluster: Cluster) -> None:
    if problem := await cluster.problem():
        raise ClusterUnavailable(problem)


async def make_repository(settings: Settings) -> bool:
    """Make what is missing of the repository; whether anything was. Raises Unavailable."""
    signer = await _signer(settings)
    if settings.git_remote is None:
        path = settings.data_dir / REPOSITORY
        return await asyncio.to_thread(init_repo, path, signer=signer)
    return await init_remote(
        settings.git_remote, settings.publish_url, _credentials(settings), signer
    )


async def _signer(settings: Settings) -> Signer | None:
    key = settings.git_signing_key_file
    return await asyncio.to_thread(Signer.load, key) if key else None


def _credentials(settings: Settings) -> Credentials:
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
    return RemoteUpstream(path, settings.git_remote, settings.publish_url, _credentials(settings))


@asynccontextmanager
async def open_records(settings: Settings) -> AsyncIterator[Records]:
    """What is kept, for the server and for the operator's commands, also both at once."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            SqliteDatabase.open(
                settings.data_dir / DATABASE_FILE, (*sqlite_store.SCHEMA, *commit_index.SCHEMA)
            )
        )
        upstream = _upstream(settings)
        await upstream.open()
        repo = GitopsRepo(settings.data_dir / REPOSITORY, await _signer(settings))
        stack.push_async_callback(repo.close)
        history = History(repo, CommitIndex(database))
        intents = Intents(repo, history)
        writer = Writer(repo, upstream, min_interval=settings.git_min_push_interval)
        await stack.enter_async_context(writer.running())
        tenants = Tenants(repo, intents, writer)
        store = SqliteStore(database)
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


async def _reachable(intents: Intents, upstream: Upstream) -> None:
    await intents.tip()
    if upstream.problem:
        raise RepositoryUnavailable(upstream.problem)
