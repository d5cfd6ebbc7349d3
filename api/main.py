"""The wiring of the server: every part is made here, once, and handed to those who use it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api import __version__
from api.activity import Activity
from api.catching_up import CatchingUp
from api.clients.app_requests import AppRequests
from api.clients.cluster import Cluster
from api.clients.git_maintenance import Housekeeping
from api.clients.git_upstream import Upstream
from api.clients.metrics import Metrics
from api.clients.rate_limits import RateLimits
from api.dependencies import Check, Platform
from api.deploy_metrics import DeployMetrics
from api.deployments import Deployments
from api.errors import ClusterUnavailable, RepositoryUnavailable, Unavailable
from api.intents import Intents
from api.lifecycle import Lifecycle
from api.local.cluster import LocalCluster
from api.opening import connect, join_publishing, make_repository, open_judging, open_records
from api.opening_cleanup import make_cleaner, open_activity, told_limits
from api.opening_webhooks import open_webhooks
from api.publishing import Publisher
from api.refusals import Refusals
from api.resting import Resting
from api.rollback import Rollbacks
from api.rollouts import Rollouts
from api.routes import activity, apps, auth, hooks, lifecycle, packages, pages, platform
from api.routes import history as past
from api.routes.errors import ANY_ROUTE, add_error_handlers
from api.routes.middleware import BodyLimit, RequestLog, SecurityHeaders
from api.routes.waker import AppsOrigin
from api.settings import Settings
from api.turns import Turns
from api.waker import Waker
from api.watching import Watcher
from api.writer import Writer

_log = logging.getLogger(__name__)
#: Checks under way at once for one person who types: the editor sends one at a time.
MAX_VALIDATIONS: Final = 4
#: Logs that one person follows at once: a page shows one, and may be open a few times.
MAX_FOLLOWED_LOGS: Final = 4
#: Seconds between looks at whether `main` moved by other hands (a local ref costs 20 µs).
POLL_SECONDS: Final = 0.5
#: Seconds between looks at what the cluster refuses, which is in memory.
REFUSAL_SECONDS: Final = 2.0
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
    for module in (auth, apps, activity, lifecycle, past, hooks, packages, platform, pages):
        app.include_router(module.router)
    # Only files that are the same for everybody are compressed: nothing can be guessed from it.
    app.router.default = GZipMiddleware(pages.Editor(settings.frontend_dist), compresslevel=6)
    add_error_handlers(app)
    # The last one added is the first that a request meets.
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestLog, metrics=metrics)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(AppsOrigin, settings=settings, metrics=metrics)
    if proxies := [part.strip() for part in settings.trusted_proxies.split(",") if part.strip()]:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=proxies)
    return app


async def open_platform(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> Platform:
    """Open every part, in the order in which they need each other; `stack` closes them again.

    Raises Unavailable for what cannot be opened.
    """
    kubernetes = await connect(settings, stack) if settings.mode == "cluster" else None
    if settings.git_remote is None:
        await make_repository(settings)
    records = await stack.enter_async_context(open_records(settings, metrics))
    judging = await stack.enter_async_context(open_judging(settings))
    cluster = (
        kubernetes(records.repo)
        if kubernetes
        else LocalCluster(settings, records.repo, judging.kustomize)
    )
    await cluster.start()
    stack.push_async_callback(cluster.close)
    repo, intents, history = records.repo, records.intents, records.history
    publisher, watcher = join_publishing(records, judging, cluster.live, cluster.poke)
    store, origin, writer = records.store, settings.apps_origin, records.writer
    max_apps = settings.max_apps_per_user
    counted = DeployMetrics(metrics)
    resting = Resting(repo, intents, history)
    deployments = Deployments(repo, intents, judging.check, writer, store, max_apps, counted)
    limits = told_limits(settings)
    rollouts = Rollouts(
        repo, intents, history, publisher, cluster, store, origin, counted.saw, limits
    )
    rollbacks = Rollbacks(repo, intents, history, deployments)
    max_pinned = settings.max_pinned_apps
    lifecycles = Lifecycle(repo, intents, resting, deployments, rollbacks, max_pinned)
    app_requests = AppRequests(settings.router_address, origin)
    stack.push_async_callback(app_requests.close)
    waker = Waker(resting, lifecycles, rollouts, store, app_requests, RateLimits())
    stack.push_async_callback(waker.close)
    await stack.enter_async_context(_running(counted.run(rollouts.progress)))
    poll = POLL_SECONDS if settings.git_remote is None else settings.git_poll_seconds
    watching = await stack.enter_async_context(_running(watcher.run(poll)))
    webhooks, heads = await open_webhooks(settings, judging.check, watcher) or (None, None)
    if heads:
        await stack.enter_async_context(_running(heads.run()))
        waiting = "Pull requests that wait to be checked."
        metrics.watch("pull_requests_waiting", waiting, lambda: heads.waiting)
    urls = cluster.metrics_urls if isinstance(cluster, LocalCluster) else None
    use = await stack.enter_async_context(open_activity(settings, records, urls))
    if urls:
        stack.push_async_callback(use.stop)
    if limits:
        _watch_use(metrics, use)
    await stack.enter_async_context(_running(use.run()))
    if urls:
        cleaner = make_cleaner(settings, records, use, cluster.open_requests)
        work = cleaner.run_every(settings.cleanup_interval * 60)
        await stack.enter_async_context(_running(work))
    await stack.enter_async_context(_running(Housekeeping(repo.path).run(HOUSEKEEPING_SECONDS)))
    refusals = Refusals(repo, cluster, publisher, writer)
    await stack.enter_async_context(_running(refusals.run(REFUSAL_SECONDS)))
    _watch(metrics, writer, publisher, refusals)
    checks: dict[str, Check] = {
        "database": store.check,
        "repository": lambda: _reachable(intents, records.upstream),
        "cluster": lambda: _no_problem(cluster),
        "publishing": lambda: _goes_on(watching, watcher),
        "applying": lambda: _alarms(refusals),
    }
    return Platform(
        settings=settings,
        records=records,
        deployments=deployments,
        rollbacks=rollbacks,
        lifecycle=lifecycles,
        resting=resting,
        waker=waker,
        publisher=publisher,
        rollouts=rollouts,
        webhooks=webhooks,
        catching_up=CatchingUp(records.upstream) if settings.git_remote else None,
        cluster=cluster,
        metrics=metrics,
        validations=Turns(
            MAX_VALIDATIONS,
            "checks are under way",
            "Wait for an answer before you send the next one.",
        ),
        followed_logs=Turns(
            MAX_FOLLOWED_LOGS,
            "logs are being followed",
            "Close another page that shows a log, or read this one without `follow`.",
        ),
        checks=checks,
    )


def _watch(metrics: Metrics, writer: Writer, publisher: Publisher, refusals: Refusals) -> None:
    """Have the figures read that stand somewhere already."""
    for name, about, value in (
        ("waiting_changes", "Changes that wait for a push.", lambda: writer.waiting_changes),
        (
            "waiting_shards",
            "Shards that wait to be published in the background.",
            lambda: writer.waiting_shards,
        ),
        (
            "publish_lag_seconds",
            "Seconds for which the shard that waits longest has not been published.",
            publisher.lag,
        ),
        (
            "shards_waiting",
            "Shards on which something stands in the way of publishing.",
            lambda: publisher.waiting_shards,
        ),
        (
            "apps_held",
            "Apps whose newest intent is refused or not judged yet.",
            lambda: publisher.held_apps,
        ),
        (
            "apps_quarantined",
            "Apps that were taken back because the cluster refused them.",
            lambda: publisher.quarantined_apps,
        ),
        (
            "shards_not_applied",
            "Shards that the cluster cannot apply, for a reason that an operator must look at.",
            lambda: len(refusals.alarms),
        ),
    ):
        metrics.watch(name, about, value)


def _watch_use(metrics: Metrics, use: Activity) -> None:
    """Where requests to apps are counted: without fresh counts nobody is judged idle."""
    about = "Seconds since the requests to apps were last read from all routers."
    metrics.watch("use_reading_age_seconds", about, use.reading_age)
    metrics.watch("cleanup_age_seconds", "Seconds since idle apps were judged.", use.cleanup_age)


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


async def _alarms(refusals: Refusals) -> str | None:
    """Told, and no reason to take the platform away: other shards go on."""
    return refusals.problem


async def _no_problem(cluster: Cluster) -> None:
    if problem := await cluster.problem():
        raise ClusterUnavailable(problem)


async def _reachable(intents: Intents, upstream: Upstream) -> None:
    await intents.tip()
    if upstream.problem:
        raise RepositoryUnavailable(upstream.problem)
