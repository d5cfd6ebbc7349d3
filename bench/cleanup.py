"""Cleaning 5,000 idle apps of 20,000, while people go on to deploy.

Limits: 5 commits on `main`, 60 s until every shard is published, 50 MiB of extra memory, and
deploys meanwhile take at most twice as long (median) as the same process needs without it. All is
in one process, as on a laptop; in a cluster the cleaner has one of its own. The router's counters
come over HTTP from a server of this process, and so do the answers of 5,000 runners.

`--small` cleans 500 of 2,000. Exits with 1 when a limit is broken.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import uvloop

from api.activity import Activity
from api.cleanup import Cleaner
from api.clients import commit_index, sqlite_store
from api.clients.git_upstream import LocalUpstream
from api.clients.gitops_repo import GitopsRepo
from api.clients.runner_probes import open_requests
from api.clients.source_checker import SourceChecker
from api.clients.sqlite import SqliteDatabase
from api.clients.sqlite_store import SqliteStore
from api.clients.traefik_metrics import TraefikMetrics
from api.domain.idleness import Limits
from api.domain.names import AppRef
from api.main import POLL_SECONDS
from bench.writer import deploy
from bench.writer_repository import Size, make
from tests.publishing.stack import Stack, running_stack

SIZE, IDLE, SMALL, SMALL_IDLE = Size(20_000, 2), 5_000, Size(2_000, 2), 500
BATCH = 1000
USUAL = 40
COMMITS_LIMIT, SECONDS_LIMIT, MEMORY_LIMIT, LATENCY_LIMIT = 5, 60.0, 50.0, 2.0
SCHEMA = (*sqlite_store.SCHEMA, *commit_index.SCHEMA)
MIB = 1024 * 1024


@asynccontextmanager
async def answering(body: bytes) -> AsyncIterator[int]:
    """A server that gives every request this body; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:  # given up before it was asked
            writer.close()
            return
        head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        writer.write(head + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield int(server.sockets[0].getsockname()[1])


def counters(refs: Sequence[AppRef]) -> bytes:
    """What a router tells that has served each of these apps."""
    lines = ["process_start_time_seconds 1.7e+09", "traefik_config_reloads_total 1"]
    lines += [
        f'traefik_service_requests_total{{code="200",method="GET",protocol="http",'
        f'service="user-{ref.user_id}_{ref.app_id}_1_lb@kubernetescrd"}} {number + 1}'
        for number, ref in enumerate(refs)
    ]
    return "\n".join([*lines, ""]).encode()


class Memory:
    """The most memory of this process since it was made, in MiB above what it had then."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._before = self._process.memory_info().rss
        self.extra = 0.0

    async def watch(self) -> None:
        """Look ten times a second."""
        while True:
            now = self._process.memory_info().rss
            self.extra = max(self.extra, (now - self._before) / MIB)
            await asyncio.sleep(0.1)


async def in_step(stack: Stack) -> None:
    """Until every shard is published."""
    while True:
        states = await stack.repo.shard_states(await stack.intents.tip())
        if "behind" not in states.values() and not stack.writer.waiting_shards:
            return
        await asyncio.sleep(0.5)


async def deploying(
    stack: Stack, refs: Sequence[AppRef], took: list[float], times: int = sys.maxsize
) -> None:
    """One deploy after the other, as often or until it is cancelled."""
    for number in range(times):
        took.append(await deploy(stack, refs[number * 37 % len(refs)], time.time()))
        await asyncio.sleep(0.05)


async def clean(stack: Stack, store: SqliteStore, size: Size, idle: int, metrics: int) -> bool:
    """The table; whether the limits hold."""
    refs = size.refs()
    old, busy = refs[:: len(refs) // idle][:idle], [r for n, r in enumerate(refs) if n % 4 == 1]
    routers = TraefikMetrics(lambda: [f"http://127.0.0.1:{metrics}/metrics"])
    later = timedelta()

    def clock() -> datetime:
        return datetime.now(UTC) + later

    activity = Activity(
        store, stack.repo, stack.intents, stack.history, routers, clock, gap=timedelta(hours=1)
    )
    for _ in range(30):  # hours in which nobody asked for an app
        await activity.read()
        later += timedelta(minutes=59)
    idle_ones = set(old)
    await store.touch_many([ref for ref in refs if ref not in idle_ones], clock())
    async with answering(b'{"open": 0}') as runner:
        cleaner = Cleaner(
            stack.repo, stack.intents, store, stack.writer, activity,
            lambda _: open_requests("127.0.0.1", runner),
            Limits(timedelta(hours=24)), BATCH, clock,
        )  # fmt: skip
        watching = asyncio.create_task(stack.watcher.run(POLL_SECONDS))
        await asyncio.sleep(1)
        await in_step(stack)
        usual: list[float] = []
        await deploying(stack, busy, usual, USUAL)
        memory, meanwhile = Memory(), list[float]()
        tasks = [
            asyncio.create_task(memory.watch()),
            asyncio.create_task(deploying(stack, busy, meanwhile)),
        ]
        started = time.perf_counter()
        commits: list[str] = []
        while done := (await cleaner.run()).commits:
            commits += done
        committed = time.perf_counter() - started
        await in_step(stack)
        published = time.perf_counter() - started
        for task in (*tasks, watching):
            task.cancel()
        await asyncio.wait({*tasks, watching})
    await routers.close()
    left = await stack.repo.outline(await stack.intents.tip(), "apps", 3)
    gone = len(refs) - sum(
        entry.kind == "folder" for s in left.values() for t in s.children.values()
        for entry in t.children.values()
    )  # fmt: skip
    before, during = statistics.median(usual), statistics.median(meanwhile)
    worst = sorted(meanwhile)[int(0.95 * len(meanwhile))]
    print(f"removed                 {gone} of {len(refs)} apps")
    print(f"commits on main         {len(commits)}   (limit {COMMITS_LIMIT})")
    print(f"seconds to the commits  {committed:.1f}")
    print(f"seconds to published    {published:.1f}   (limit {SECONDS_LIMIT:.0f})")
    print(f"extra memory, MiB       {memory.extra:.0f}   (limit {MEMORY_LIMIT:.0f})")
    print(f"deploy, usual, ms       {before * 1000:.0f} median")
    print(
        f"deploy, meanwhile, ms   {during * 1000:.0f} median of {len(meanwhile)}, "
        f"{worst * 1000:.0f} at 95 %"
    )
    print(f"ratio of the medians    {during / before:.2f}   (limit {LATENCY_LIMIT:.0f})")
    return (
        gone == idle
        and len(commits) <= COMMITS_LIMIT
        and published <= SECONDS_LIMIT
        and memory.extra <= MEMORY_LIMIT
        and during <= LATENCY_LIMIT * before
    )


async def main(*, small: bool) -> bool:
    """Make the repository, index it, look at every shard once, then clean."""
    size, idle = (SMALL, SMALL_IDLE) if small else (SIZE, IDLE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "repo.git"
        await asyncio.to_thread(make, path, size)
        async with AsyncExitStack() as opened:
            sources = SourceChecker()
            await sources.start()
            opened.push_async_callback(sources.close)
            repo = GitopsRepo(path)
            opened.push_async_callback(repo.close)
            database = await opened.enter_async_context(
                SqliteDatabase.open(Path(folder) / "platform.sqlite3", SCHEMA)
            )
            stack = await opened.enter_async_context(
                running_stack(repo, database, sources, LocalUpstream(path), max_apps=100)
            )
            metrics = await opened.enter_async_context(answering(counters(size.refs())))
            await stack.history.follow(await stack.intents.tip())
            await stack.look()
            return await clean(stack, SqliteStore(database), size, idle, metrics)


if __name__ == "__main__":
    sys.exit(0 if uvloop.run(main(small="--small" in sys.argv)) else 1)
