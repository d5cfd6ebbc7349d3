"""Opens what sees the use of apps, and what cleans up idle ones."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from api.activity import Activity, Clock, now_utc
from api.cleanup import Ask, Cleaner
from api.clients.app_requests import AppRequests
from api.clients.traefik_metrics import TraefikMetrics
from api.dependencies import Records
from api.domain.activity import GAP
from api.domain.idleness import Limits
from api.errors import Conflict
from api.local.observed import ObservedFile
from api.local.run_folder import RunFolder
from api.opening import connect, open_records
from api.settings import Settings, split_list

_Urls = Callable[[], Sequence[str]]


def idle_limits(settings: Settings) -> Limits:
    """How long an app may be without use."""
    sleep = settings.hibernate_hours
    return Limits(timedelta(hours=settings.idle_hours), timedelta(hours=sleep) if sleep else None)


def told_limits(settings: Settings) -> Limits | None:
    """The same as people are told; None where no app is removed, for nobody counts requests."""
    counted = settings.mode == "embedded" or settings.traefik_metrics_url
    return idle_limits(settings) if counted else None


@asynccontextmanager
async def open_activity(  # noqa: PLR0913  (where use is seen, and the tests' clock)
    settings: Settings,
    records: Records,
    urls: _Urls | None = None,
    clock: Clock = now_utc,
    gap: timedelta = GAP,
    *,
    ended: bool = False,
) -> AsyncIterator[Activity]:
    """What reads the routers' counters: of `urls`, or those of the settings.

    `ended`: the embedded platform, whose router was read, does not run now.
    """
    set_urls = split_list(settings.traefik_metrics_url or "")
    if urls is None and not set_urls:
        yield _activity(records, None, None, clock, gap, ended=ended)
        return
    async with AsyncExitStack() as stack:
        routers = TraefikMetrics(urls or (lambda: set_urls))
        stack.push_async_callback(routers.close)
        apps = AppRequests(settings.router_address, settings.apps_origin)
        stack.push_async_callback(apps.close)
        yield _activity(records, routers, apps, clock, gap)


def _activity(  # noqa: PLR0913  (likewise)
    records: Records,
    routers: TraefikMetrics | None,
    apps: AppRequests | None,
    clock: Clock,
    gap: timedelta,
    *,
    ended: bool = False,
) -> Activity:
    return Activity(
        records.store,
        records.repo,
        records.intents,
        records.history,
        routers,
        clock,
        refresh=records.upstream.refresh,
        ask=apps.answers if apps else None,
        gap=gap,
        ended=ended,
    )


def make_cleaner(
    settings: Settings,
    records: Records,
    activity: Activity,
    ask: Ask | None,
    clock: Clock = now_utc,
) -> Cleaner:
    """What puts idle apps to sleep and removes them."""
    return Cleaner(
        records.repo,
        records.intents,
        records.store,
        records.writer,
        activity,
        ask,
        idle_limits(settings),
        settings.cleanup_batch,
        clock,
    )


@asynccontextmanager
async def open_cleaner(settings: Settings, *, writes: bool) -> AsyncIterator[Cleaner]:
    """The same for the operator's command; the servers publish what it commits.

    Raises Conflict when it shall write beside an embedded platform that runs: what apps serve,
    only that one can ask.
    """
    async with AsyncExitStack() as stack:
        ask: Ask | None = None
        kubernetes = await connect(settings, stack) if settings.mode == "cluster" else None
        ended = kubernetes is None and not await _runs(settings)
        if kubernetes is None and writes and not ended:
            raise Conflict(
                "A platform runs in DATA_DIR, and cleans up by itself every CLEANUP_INTERVAL"
                " minutes.",
                code="platform_runs",
                hint="See what it would do with --dry-run.",
            )
        records = await stack.enter_async_context(open_records(settings))
        if kubernetes and writes:
            cluster = kubernetes(records.repo)
            stack.push_async_callback(cluster.close)
            await cluster.start()
            ask = cluster.open_requests
        await records.upstream.refresh()
        activity = await stack.enter_async_context(open_activity(settings, records, ended=ended))
        yield make_cleaner(settings, records, activity, ask)


async def _runs(settings: Settings) -> bool:
    """Whether an embedded platform runs in DATA_DIR."""
    return await ObservedFile(RunFolder(settings.data_dir.absolute() / "run").observed).runs()
