"""One replica of the api's writing side, as a process that may be killed at any moment.

`python -m tests.remote.writer_process <job.json>` deploys every app of its job, one number after
the other, and appends a line to the file of acknowledgements, synced, for each that was answered.
Started again it goes on behind the last acknowledgement: what was under way is sent once more.
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from api.clients import commit_index, sqlite_store
from api.clients.git_upstream import Move, RemoteUpstream, Result
from api.clients.gitops_repo import GitopsRepo
from api.clients.source_checker import SourceChecker
from api.clients.sqlite import SqliteDatabase
from api.domain.drafts import AppDraft
from api.domain.names import AppRef
from api.domain.repo_layout import MAIN
from api.errors import PlatformError
from tests.publishing.stack import HELLO, Stack, account, running_stack

SCHEMA = (*sqlite_store.SCHEMA, *commit_index.SCHEMA)
LOOK_SECONDS = 1.0


def code(number: int) -> str:
    """What an app looks like after deploy `number`."""
    return f"# deploy {number}\n{HELLO}"


@dataclass(frozen=True)
class Job:
    """What one process does, and where it tells of it."""

    home: str
    url: str
    apps: list[tuple[str, str]]  # (user, app)
    deploys: int
    acknowledged: str  # lines "<app> <number> <commit>"
    races: str  # one line for each push that lost

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))


def append(path: str, line: str) -> None:
    """Durable before it returns, whole or not at all."""
    file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    try:
        os.write(file, f"{line}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)


def acknowledgements(path: Path) -> list[tuple[str, int, str]]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [(app, int(number), commit) for app, number, commit in map(str.split, lines)]


class CountingUpstream(RemoteUpstream):
    """Tells of every race it lost."""

    races: str

    async def push(self, moves: Sequence[Move]) -> Result:
        result = await super().push(moves)
        if result.fates.get(MAIN) in ("stale", "dropped"):
            append(self.races, "lost")
        return result


async def deploy_all(stack: Stack, job: Job, ref: AppRef, done: int) -> None:
    for number in range(done + 1, job.deploys + 1):
        while True:
            draft = AppDraft(code=code(number))
            try:
                app = await stack.deployments.update(
                    account(ref.user_id), ref, draft, None, f"{ref.app_id}-{number}"
                )
            except PlatformError:
                await asyncio.sleep(0.05)
            else:
                append(job.acknowledged, f"{ref.app_id} {number} {app.commit}")
                break


async def main(job: Job) -> None:
    home = Path(job.home)
    upstream = CountingUpstream(home / "repo.git", job.url)
    upstream.races = job.races
    done: dict[str, int] = {}
    for app_id, number, _ in acknowledgements(Path(job.acknowledged)):
        done[app_id] = max(number, done.get(app_id, 0))
    sources = SourceChecker(1)
    await sources.start()
    repo = GitopsRepo(home / "repo.git")
    async with SqliteDatabase.open(home / "db.sqlite3", SCHEMA) as database:
        while True:
            try:
                await upstream.refresh()
                break
            except PlatformError:
                await asyncio.sleep(0.1)
        async with running_stack(repo, database, sources, upstream, max_apps=100) as stack:
            looking = asyncio.create_task(stack.watcher.run(LOOK_SECONDS))
            refs = [AppRef(*app) for app in job.apps]
            await asyncio.gather(
                *(deploy_all(stack, job, ref, done.get(ref.app_id, 0)) for ref in refs)
            )
            looking.cancel()
            await asyncio.wait({looking})
    await repo.close()
    await sources.close()


if __name__ == "__main__":
    told = json.loads(Path(sys.argv[1]).read_text())
    asyncio.run(main(Job(**told)))
