"""Three writers on one real remote, while everything goes wrong: nothing acknowledged is lost.

Writers are killed at random and started again, a person pushes every second, and the remote
refuses and drops connections. What happened is counted, so that an easy run is no proof.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom

import pytest

from api.clients.git_upstream import LocalUpstream
from api.clients.gitops_repo import GitopsRepo
from api.clients.source_checker import SourceChecker
from api.clients.sqlite import SqliteDatabase
from api.domain.commit_message import COMMITTER, source_commit
from api.domain.names import AppRef, shard_of
from api.init_repo import init_repo
from tests.publishing.stack import FORBIDDEN, account, folder, running_stack
from tests.remote.conftest import git
from tests.remote.git_server import Fault, GitServer, Step, bare
from tests.remote.writer_process import SCHEMA, Job, acknowledgements, code

WRITERS = 3
USERS = ("ufault1", "ufault2", "ufault3", "ufault4")
APPS = 40
DEPLOYS = 25  # of each app: 1,000 in all
KILLS, RACES, DROPS = 30, 50, 50
HURRY = 900.0  # seconds after which it is given up: a writer that hangs fails the test


@dataclass
class Trial:
    """The remote, its writers, and the records of what was promised."""

    root: Path
    server: GitServer
    apps: list[AppRef] = field(default_factory=list)
    held: AppRef | None = None
    kills: int = 0
    by_hand: list[str] = field(default_factory=list)  # commits that a person got through
    notes: dict[str, str] = field(default_factory=dict)  # app → what the person wrote last
    chance: Random = field(default_factory=SystemRandom)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def remote(self) -> Path:
        return self.server.root / "repo.git"

    @property
    def acknowledged(self) -> Path:
        return self.root / "acknowledged"

    @property
    def progress(self) -> float:
        return len(acknowledgements(self.acknowledged)) / (APPS * DEPLOYS)

    def lost_races(self) -> int:
        path = self.root / "races"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def drops(self) -> int:
        counts = self.server.counts
        return sum(counts[f"{f}:{s}"] for f in ("before", "after", "refuse") for s in _STEPS)

    def start(self, number: int) -> subprocess.Popen[bytes]:
        with (self.root / f"log{number}").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.remote.writer_process", self.job(number)],
                stdout=log,
                stderr=log,
            )

    def job(self, number: int) -> Path:
        return self.root / f"job{number}.json"


_STEPS: tuple[Step, ...] = ("push-refs", "push", "fetch-refs", "fetch")


def faults(trial: Trial):
    """Connections go wrong more often while too few did for how far the writers have come."""

    def fault(step: Step) -> Fault | None:
        trial.server.keep_alive = trial.chance.random() < 0.3
        behind = trial.drops() < trial.progress * DROPS * 1.5
        if trial.chance.random() > (0.4 if behind else 0.02):
            return None
        return trial.chance.choice(("before", "after", "refuse", "busy"))

    return fault


def person(trial: Trial) -> None:
    """Every second a commit of their own, pushed until it is through."""
    clone = trial.root / "person"
    git(trial.root, "clone", "-q", str(trial.remote), str(clone))
    git(clone, "remote", "set-url", "origin", trial.server.url("repo.git"))
    for name, value in (("user.name", "Eve"), ("user.email", "eve@example.org")):
        git(clone, "config", name, value)
    number = 0
    while not trial.over.wait(1.0):
        number += 1
        ref = trial.chance.choice(trial.apps)
        path, text = f"{folder(ref)}/code/note.txt", f"note {number}\n"
        if number == 5:
            assert trial.held
            path, text = f"{folder(trial.held)}/code/user_code.py", FORBIDDEN
        for _ in range(20):
            try:
                git(clone, "fetch", "-q", "origin", "main")
                git(clone, "reset", "-q", "--hard", "FETCH_HEAD")
                file = clone / path
                if not file.exists() or file.read_text() != text:  # or it was cut off, and landed
                    file.write_text(text)
                    git(clone, "add", path)
                    git(clone, "commit", "-qm", f"by hand {number}")
                    git(clone, "push", "-q", "origin", "HEAD:main")
            except subprocess.CalledProcessError:
                continue
            trial.by_hand.append(git(clone, "rev-parse", "HEAD"))
            if number != 5:
                trial.notes[ref.app_id] = text
            break


async def make_apps(trial: Trial) -> None:
    """The apps as they stand before anything goes wrong."""
    sources = SourceChecker(1)
    await sources.start()
    repo = GitopsRepo(trial.remote)
    async with (
        SqliteDatabase.open(trial.root / "first.sqlite3", SCHEMA) as database,
        running_stack(repo, database, sources, LocalUpstream(trial.remote), 100) as stack,
    ):
        made = await asyncio.gather(
            *(stack.deploy(account(USERS[n % 4]), f"App {n}", code(0)) for n in range(APPS + 1))
        )
    await repo.close()
    await sources.close()
    *trial.apps, trial.held = [app.ref for app in made]


def run_writers(trial: Trial) -> None:
    """Kill one of them whenever enough was done since the last time, until all are done."""
    running = {number: trial.start(number) for number in range(WRITERS)}
    give_up = time.monotonic() + HURRY
    try:
        while running:
            assert time.monotonic() < give_up, f"given up at {trial.progress:.0%}"
            time.sleep(0.05)
            for number, process in list(running.items()):
                status = process.poll()
                if status == 0:
                    del running[number]
                elif status is not None:
                    raise AssertionError((trial.root / f"log{number}").read_text()[-3000:])
            if running and trial.kills < trial.progress * KILLS * 1.2:
                time.sleep(trial.chance.uniform(0, 0.5))
                number = trial.chance.choice(list(running))
                if running[number].poll() is None:
                    os.kill(running[number].pid, signal.SIGKILL)
                    running[number].wait()
                    trial.kills += 1
                    running[number] = trial.start(number)
    finally:
        for process in running.values():
            process.kill()
            process.wait()


async def last_look(trial: Trial) -> None:
    """As a replica would that starts when all is quiet."""
    sources = SourceChecker(1)
    await sources.start()
    repo = GitopsRepo(trial.remote)
    async with (
        SqliteDatabase.open(trial.root / "last.sqlite3", SCHEMA) as database,
        running_stack(repo, database, sources, LocalUpstream(trial.remote), 100) as stack,
    ):
        await stack.look()
        assert trial.held
        assert stack.hold(trial.held), "the forbidden import is held"
    await repo.close()
    await sources.close()


def entries(trial: Trial, commit: str, path: str) -> dict[str, str]:
    """Object ids of an app's entries."""
    listed = git(trial.remote, "ls-tree", f"{commit}:{path}").splitlines()
    ids = {line.split("\t")[1]: line.split()[2] for line in listed}
    return {name: ids.get(name, "") for name in ("app.yaml", "code", "overlay", "secrets")}


def versions_in_history(trial: Trial) -> dict[str, list[int]]:
    """The deploys of every app in the order of `main`, as the files themselves tell."""
    log = git(trial.remote, "log", "--reverse", "--first-parent", "--raw", "--no-abbrev",
              "--format=", "main", "--", "*/code/user_code.py")  # fmt: skip
    found: dict[str, list[int]] = {}
    texts: dict[str, str] = {}
    for line in log.splitlines():
        states, _, path = line.partition("\t")
        blob = states.split()[3]
        if blob not in texts:
            texts[blob] = git(trial.remote, "cat-file", "blob", blob).partition("\n")[0]
        if texts[blob].startswith("# deploy "):
            number = int(texts[blob].removeprefix("# deploy "))
            found.setdefault(path.split("/")[3], []).append(number)
    return found


def assert_nothing_was_lost(trial: Trial) -> None:
    on_main = set(git(trial.remote, "rev-list", "main").splitlines())
    versions = versions_in_history(trial)
    for ref in trial.apps:
        assert versions[ref.app_id] == list(range(DEPLOYS + 1)), "each once, and in order"
        text = git(trial.remote, "show", f"main:{folder(ref)}/code/user_code.py")
        assert text == code(DEPLOYS).strip()
        if note := trial.notes.get(ref.app_id):
            assert git(trial.remote, "show", f"main:{folder(ref)}/code/note.txt") == note.strip()
    told = acknowledgements(trial.acknowledged)
    assert {commit for _, _, commit in told} <= on_main
    assert {(app, number) for app, number, _ in told} == {
        (ref.app_id, number) for ref in trial.apps for number in range(1, DEPLOYS + 1)
    }
    assert set(trial.by_hand) <= on_main, "no person's commit is lost"


def assert_published(trial: Trial) -> None:
    for ref in trial.apps:
        branch = f"flux/{shard_of(ref.user_id, 2)}"
        wanted = entries(trial, "main", folder(ref))
        assert entries(trial, branch, f"{ref.user_id}/{ref.app_id}") == wanted
    assert trial.held
    branch = f"flux/{shard_of(trial.held.user_id, 2)}"
    path = f"{trial.held.user_id}/{trial.held.app_id}/code/user_code.py"
    assert git(trial.remote, "show", f"{branch}:{path}") == code(0).strip(), "the accepted one"
    order = {c: n for n, c in enumerate(git(trial.remote, "rev-list", "--reverse", "main").split())}
    for branch in {f"flux/{shard_of(user, 2)}" for user in USERS}:
        shown = git(trial.remote, "log", "--reverse", "--format=%cn%x00%P%x00%B%x01", branch)
        commits = [line.strip("\n").split("\0") for line in shown.split("\1") if line.strip()]
        assert {committer for committer, _, _ in commits} == {COMMITTER.name}
        assert not [parents for _, parents, _ in commits if " " in parents], "linear"
        sources = [order[s] for _, _, text in commits if (s := source_commit(text))]
        assert sources == sorted(sources), "never backwards"


@pytest.fixture
def trial(tmp_path) -> Trial:
    served = tmp_path / "served"
    served.mkdir()
    init_repo(served / "repo.git")
    (served / "repo.git/hooks/update").unlink()  # a forge tells the platform from people by rule
    for key in ("http.receivepack", "receive.denyNonFastForwards"):
        git(served / "repo.git", "config", key, "true")
    return Trial(tmp_path, GitServer(served))


def test_nothing_acknowledged_is_lost_whatever_happens(trial, record_property):
    asyncio.run(make_apps(trial))
    trial.server.fault = faults(trial)
    started = time.monotonic()
    with trial.server.running():
        for number in range(WRITERS):
            home = trial.root / f"writer{number}"
            home.mkdir()
            bare(home, "repo.git")
            apps = [(ref.user_id, ref.app_id) for ref in trial.apps[number::WRITERS]]
            url, told, races = (
                trial.server.url("repo.git"),
                trial.acknowledged,
                trial.root / "races",
            )
            Job(str(home), url, apps, DEPLOYS, str(told), str(races)).write(trial.job(number))
        hand = threading.Thread(target=person, args=(trial,))
        hand.start()
        try:
            run_writers(trial)
        finally:
            trial.over.set()
            hand.join()
    took = time.monotonic() - started
    counts = Counter(
        kills=trial.kills,
        lost_races=trial.lost_races(),
        dropped=trial.drops(),
        pushes=trial.server.counts["push"],
        by_hand=len(trial.by_hand),
        seconds=round(took),
    )
    record_property("counts", dict(counts))
    print(dict(counts), dict(trial.server.counts))  # noqa: T201  (shown when it fails)
    asyncio.run(last_look(trial))
    assert_nothing_was_lost(trial)
    assert_published(trial)
    for path in (trial.remote, *(trial.root / f"writer{n}/repo.git" for n in range(WRITERS))):
        assert git(path, "fsck", "--full", "--strict", "--no-dangling") == ""
    assert counts["kills"] >= KILLS
    assert counts["lost_races"] >= RACES
    assert counts["dropped"] >= DROPS
    assert trial.by_hand
