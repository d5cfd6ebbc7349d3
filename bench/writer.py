"""The writer: what a deploy costs as the repository grows, and how many fit into a second.

1. One deploy checked, committed, published and pushed, at 100, 10,000 (256 shards) and 100,000
   apps (4,096 shards). Limit: 100,000 apps cost at most 1.5 times what 100 do. Beside it, what
   git's own push of an empty commit to the same repository takes.
2. Deploys per second, durable on a remote (git's own http-backend on loopback), with 1, 16 and 256
   clients, beside 1,000 and 10,000 apps. Peers, on the same machine and remote: the git program
   (pull, write, add, commit, push, a deploy at a time), which writes the same two branches, without
   checking or rendering; goal: 30 times that at 256 clients. Waiting times in units of one push.
3. The commit work alone against `git fast-import` of the same edits; goal: half its speed.

`--small` leaves out the 100,000 apps. Exits with 1 when a limit is broken.
"""

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from api.clients import commit_index, sqlite_store
from api.clients.git_clone import prepare_clone
from api.clients.git_maintenance import Housekeeping
from api.clients.git_upstream import LocalUpstream, RemoteUpstream, Upstream
from api.clients.gitops_repo import Change, GitopsRepo
from api.clients.source_checker import SourceChecker
from api.clients.sqlite import SqliteDatabase
from api.domain.commit_message import person
from api.domain.drafts import AppDraft
from api.domain.names import AppRef, shard_of
from api.domain.repo_layout import app_folder, shard_branch
from bench.writer_repository import HELLO, Size, make
from tests.publishing.stack import Stack, account, running_stack
from tests.remote.git_server import GitServer

SIZES = (Size(100, 2), Size(10_000, 2), Size(100_000, 3))
BUSY = (Size(1000, 2), Size(10_000, 2))
DEPLOYS = 20
CLIENTS = ((1, 10), (16, 6), (256, 3))  # how many, and how often each
EDITS = 500
SCALE_LIMIT, CLI_GOAL, FLOOR_GOAL = 1.5, 30.0, 0.5
SCHEMA = (*sqlite_store.SCHEMA, *commit_index.SCHEMA)


def code(number: float) -> bytes:
    """An app that differs from every other one."""
    return b"# %r\n%s" % (number, HELLO)


@asynccontextmanager
async def opened(path: Path, upstream: Upstream) -> AsyncIterator[Stack]:
    """The whole writing side on a repository, its history indexed."""
    sources = SourceChecker()
    await sources.start()
    repo = GitopsRepo(path)
    async with (
        SqliteDatabase.open(path.parent / f"{path.name}.sqlite3", SCHEMA) as database,
        running_stack(repo, database, sources, upstream, max_apps=100) as stack,
    ):
        await stack.history.follow(await stack.intents.tip())
        yield stack
    await repo.close()
    await sources.close()


async def deploy(stack: Stack, ref: AppRef, number: float) -> float:
    """One deploy; how long it took, in seconds."""
    started = time.perf_counter()
    draft = AppDraft(code=code(number).decode())
    await stack.deployments.update(account(ref.user_id), ref, draft, None, "bench")
    return time.perf_counter() - started


async def warmed(stack: Stack, refs: list[AppRef], digits: int) -> None:
    """Look at the shards once, as a process does at its start."""
    tip = await stack.intents.tip()
    for ref in refs:
        await stack.publisher.compose(shard_of(ref.user_id, digits), tip)


async def deploys(stack: Stack, size: Size) -> float:
    """Median seconds of deploys spread over the shards."""
    every = size.apps // DEPLOYS
    refs = size.refs()[::every][:DEPLOYS]
    await warmed(stack, refs, size.digits)
    await deploy(stack, refs[0], time.time())
    await asyncio.to_thread(os.sync)  # the index of 100,000 apps was written a moment ago
    return statistics.median([await deploy(stack, ref, time.time()) for ref in refs])


def bare_push(clone: Path, url: str) -> float:
    """Median seconds that git itself takes to push an empty commit: what no writer can go below.

    git's own server asks whether everything that a commit names is there, and reads all trees of
    the commit before for that (`git rev-list --objects`): its cost is by the size of `main`.
    """
    run = ("git", "-C", clone, "-c", "user.name=E", "-c", "user.email=e@x")

    def once() -> float:
        tip, tree = (
            subprocess.run(
                [*run, "rev-parse", what], capture_output=True, text=True, check=True
            ).stdout.strip()
            for what in ("refs/heads/main", "refs/heads/main^{tree}")
        )
        commit = subprocess.run(
            [*run, "commit-tree", tree, "-p", tip, "-m", "empty"],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        started = time.perf_counter()
        subprocess.run([*run, "push", "-q", url, f"{commit}:refs/heads/main"], check=True)
        took = time.perf_counter() - started
        subprocess.run([*run, "update-ref", "refs/heads/main", commit], check=True)
        return took

    return statistics.median([once() for _ in range(5)])


async def cloned(server: GitServer, name: str, path: Path) -> RemoteUpstream:
    """A replica's copy of a served repository."""
    prepare_clone(path, server.url(name))
    upstream = RemoteUpstream(path, server.url(name))
    await upstream.refresh(600)
    return upstream


async def scale(root: Path, server: GitServer, sizes: tuple[Size, ...]) -> bool:
    """Table 1; whether the limit holds."""
    print("apps      shards   in place (ms)   ratio   over HTTP (ms)   ratio   git push alone (ms)")
    first: tuple[float, float] | None = None
    ratios = (1.0, 1.0)
    for size in sizes:
        name = f"{size.apps}.git"
        await asyncio.to_thread(served, root / name, size)
        async with opened(root / name, LocalUpstream(root / name)) as stack:
            local = await deploys(stack, size)
        clone = root / f"clone-{name}"
        upstream = await cloned(server, name, clone)
        async with opened(clone, upstream) as stack:
            await Housekeeping(clone).tidy()
            remote = await deploys(stack, size)
            bare = await asyncio.to_thread(bare_push, clone, server.url(name))
        first = first or (local, remote)
        ratios = local / first[0], remote / first[1]
        print(
            f"{size.apps:<9,} {16**size.digits:<8,} {local * 1000:13.1f} {ratios[0]:7.2f} "
            f"{remote * 1000:16.1f} {ratios[1]:7.2f} {bare * 1000:21.1f}"
        )
        shutil.rmtree(clone)
    return ratios[0] <= SCALE_LIMIT


def served(path: Path, size: Size) -> None:
    """A repository that may be pushed to over HTTP."""
    make(path, size)
    subprocess.run(["git", "-C", path, "config", "http.receivepack", "true"], check=True)
    os.sync()  # what was written until here shall not be written while something is timed


async def throughput(root: Path, server: GitServer, size: Size) -> None:
    """Table 2, for one size."""
    name = f"busy-{size.apps}.git"
    await asyncio.to_thread(served, root / name, size)
    only_main = await asyncio.to_thread(by_hand, root, server.url(name), size, both=False)
    cli = await asyncio.to_thread(by_hand, root, server.url(name), size, both=True)
    clone = root / f"clone-of-{name}"
    upstream = await cloned(server, name, clone)
    refs = size.refs()
    print(f"\n{size.apps:,} apps")
    print("clients   deploys/s   x git program   p50 (pushes)   p99 (pushes)   pushes")
    print(f"git       {1 / cli:9.2f}   {1.0:13.1f}   (pull, write, add, commit, push)")
    print(
        f"main only {1 / only_main:9.2f}   {cli / only_main:13.1f}   (the same, half of a deploy)"
    )
    async with opened(clone, upstream) as stack:
        await warmed(stack, refs[:256], size.digits)
        one_push = statistics.median([await deploy(stack, refs[0], time.time()) for _ in range(8)])
        for clients, times in CLIENTS:
            before = server.counts["push"]
            started = time.perf_counter()
            waited = await asyncio.gather(
                *(repeated(stack, refs[n], times) for n in range(clients))
            )
            rate = clients * times / (time.perf_counter() - started)
            waits = sorted(seconds for one in waited for seconds in one)
            p50, p99 = (waits[int(len(waits) * share)] / one_push for share in (0.5, 0.99))
            print(
                f"{clients:<9} {rate:9.2f}   {rate * cli:13.1f}   {p50:12.1f}   {p99:12.1f}"
                f"   {server.counts['push'] - before:6}"
            )
    print(f"one push with one deploy, from request to answer: {one_push * 1000:.0f} ms")
    verdict = "reached" if rate * cli >= CLI_GOAL else "missed"
    print(f"goal of {CLI_GOAL:g} x the git program at 256 clients: {verdict}")


async def repeated(stack: Stack, ref: AppRef, times: int) -> list[float]:
    """One client, who deploys the same app again and again."""
    return [await deploy(stack, ref, time.time()) for _ in range(times)]


def by_hand(root: Path, url: str, size: Size, *, both: bool) -> float:
    """Seconds of a deploy by the git program: of `main`, or of `main` and the shard's branch."""
    ref = size.refs()[5]
    branches = ["main", shard_branch(shard_of(ref.user_id, 2))] if both else ["main"]
    clone, second = (root / f"hand-{size.apps}-{len(branches)}-{tree}" for tree in (1, 2))
    subprocess.run(["git", "clone", "-q", url, clone], check=True)
    trees = [clone, second][: len(branches)]
    for branch, tree in zip(branches[1:], trees[1:], strict=True):
        subprocess.run(["git", "-C", clone, "worktree", "add", "-q", tree, branch], check=True)
    folders = [trees[0] / app_folder(ref, 2), second / ref.user_id / ref.app_id]
    rendered = ("kustomization.yaml", "generated/deployment.yaml") if both else ()

    def git(tree: Path, *command: str) -> None:
        who = ("-c", "user.name=E", "-c", "user.email=e@x")
        subprocess.run(["git", "-C", tree, *who, *command], check=True)

    def once(number: int) -> float:
        started = time.perf_counter()
        git(clone, "fetch", "-q")
        for tree, branch, folder in zip(trees, branches, folders, strict=False):
            git(tree, "merge", "-q", "--ff-only", f"origin/{branch}")
            (folder / "code/user_code.py").write_bytes(code(number))
            for name in rendered if tree != clone else ():
                with (folder / name).open("ab") as file:
                    file.write(b"# %d\n" % number)
            git(tree, "add", str(folder))
            git(tree, "commit", "-qm", "deploy")
        git(clone, "push", "-q", "--atomic", "origin", *branches)
        return time.perf_counter() - started

    return statistics.median([once(number) for number in range(8)])


async def commit_work(root: Path) -> None:
    """Table 3."""
    size = BUSY[0]
    edits = [
        (f"{app_folder(ref, 2)}/code/user_code.py", code(n))
        for n, ref in enumerate(size.refs()[:EDITS])
    ]
    for name in ("ours.git", "floor.git"):
        shutil.copytree(root / f"busy-{size.apps}.git", root / name)
    repo = GitopsRepo(root / "ours.git")
    tip = await repo.head("main")
    assert tip  # noqa: S101  (it was just made)
    changes = [Change({path: data}, "deploy\n", person("bob", "u1")) for path, data in edits]

    async def written() -> None:
        with repo.gathering():
            await repo.build(tip, changes)
        await repo.store()

    ours = await timed(written)
    await repo.close()
    floor = await timed(lambda: asyncio.to_thread(fast_import, root / "floor.git", edits))
    print(f"\n{EDITS} commits       ms each   speed")
    print(f"git fast-import {floor / EDITS * 1000:9.2f}    1.00")
    print(f"the writer      {ours / EDITS * 1000:9.2f} {floor / ours:7.2f}   goal {FLOOR_GOAL}")


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """How long it takes, in seconds."""
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


def fast_import(path: Path, edits: list[tuple[str, bytes]]) -> None:
    """The same commits by git's own bulk loader."""
    who = b"committer E <e@x> 1700000001 +0000\n"
    parts = []
    for number, (name, data) in enumerate(edits):
        parts.append(b"commit refs/heads/main\n" + who + b"data 7\ndeploy\n\n")
        parts.append(b"from refs/heads/main^0\n" if number == 0 else b"")
        parts.append(b"M 100644 inline %s\ndata %d\n%s\n" % (name.encode(), len(data), data))
    subprocess.run(["git", "-C", path, "fast-import", "--quiet"], input=b"".join(parts), check=True)


async def run(*, small: bool) -> int:
    """All tables; the exit status."""
    with tempfile.TemporaryDirectory() as folder, GitServer(Path(folder)).running() as server:
        holds = await scale(Path(folder), server, SIZES[:2] if small else SIZES)
        for size in BUSY:
            await throughput(Path(folder), server, size)
        await commit_work(Path(folder))
    if not holds:
        print(f"The limit of {SCALE_LIMIT} x the cost at 100 apps is broken.")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(uvloop.run(run(small="--small" in sys.argv)))
