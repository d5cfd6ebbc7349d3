"""Heads of pull requests: fetched from a real repository, checked, and told; never left silent."""

import asyncio
import secrets
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from api import pull_request_checks
from api.checking import IntentCheck
from api.clients import pull_request_heads
from api.clients.git_program import Credentials
from api.clients.kustomize import Kustomize
from api.clients.pull_request_heads import PullRequestHeads
from api.clients.source_checker import SourceChecker
from api.domain.check_report import State
from api.domain.forge_events import HeadMoved
from api.domain.manifests import RenderSettings, Templates
from api.errors import ForgeUnavailable, TooManyRequests
from api.init_repo import init_repo
from api.pull_request_checks import MAX_WAITING, PullRequestChecks
from tests.guarding.changes import BOB, FORBIDDEN, HELLO, app_files, folder
from tests.history.people import Repository

CODE = f"{folder(BOB)}/code/user_code.py"
PEOPLE = b"apiVersion: fastapi-platform/v1\nkind: People\npeople: {bob: ubob}\n"


@dataclass
class Pages:
    """Keeps what the forge was told; raises what is in its way."""

    repository: str = "me/apps"
    told: list[tuple[str, State, str]] = field(default_factory=list)
    comments: dict[int, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def open(self, _: HeadMoved) -> AsyncIterator["Pages"]:
        yield self

    def head_ref(self, number: int) -> str:
        return f"refs/pull/{number}/head"

    async def tell(self, head: str, state: State, description: str, _: str | None) -> None:
        self._check("tell")
        self.told.append((head, state, description))
        if state != "pending":
            self.done.set()

    async def find(self, _: int, mark: str) -> int | None:
        self._check("find")
        found = [key for key, text in self.comments.items() if mark in text]
        return min(found, default=None)

    async def comment(self, _: int, text: str, known: int | None) -> str | None:
        self._check("comment")
        self.comments[len(self.comments) + 1 if known is None else known] = text
        return None

    def _check(self, what: str) -> None:
        if what in self.broken:
            self.broken.discard(what)
            raise ForgeUnavailable(f"{what} failed")


@dataclass
class Forge:
    """The forge's repository, the platform's clone, and its checks at work."""

    repository: Repository
    clone: Path
    pages: Pages
    checks: PullRequestChecks

    def asked(self, number: int, head: str, author: str = "bob") -> HeadMoved:
        self.repository.git("update-ref", f"refs/pull/{number}/head", head)
        return HeadMoved("gitea", "me/apps", number, head, author)

    def change(self, content: bytes, path: str = CODE) -> str:
        return self.repository.commit([self.repository.head()], {path: content})

    async def told(self, asked: HeadMoved) -> tuple[str, State, str]:
        """What the forge is told in the end."""
        self.pages.done.clear()
        self.checks.submit(asked)
        async with asyncio.timeout(30):
            await self.pages.done.wait()
        return self.pages.told[-1]


@pytest.fixture(scope="session")
def with_bobs_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("forge") / "repo.git"
    init_repo(path)
    Repository(path).push(app_files(BOB) | {"people.yaml": PEOPLE})
    return path


@pytest.fixture
def copies(tmp_path: Path, with_bobs_app: Path) -> tuple[Path, Path]:
    """The forge's repository, and the platform's clone of it."""
    served, clone = tmp_path / "forge.git", tmp_path / "data" / "repo.git"
    subprocess.run(("cp", "-r", with_bobs_app, served), check=True)
    clone.parent.mkdir()
    subprocess.run(("git", "clone", "-q", "--bare", "--no-local", served, clone), check=True)
    return served, clone


@pytest.fixture
async def forge(copies: tuple[Path, Path]) -> AsyncIterator[Forge]:
    served, clone = copies
    sources, pages = SourceChecker(), Pages()
    settings = RenderSettings(runner_image="runner:test")
    await sources.start()
    check = IntentCheck(sources, Kustomize(), Templates.load(), settings)
    heads = PullRequestHeads(clone, str(served), Credentials())
    checks = PullRequestChecks(heads, check, pages.open, b"k" * 32)
    work = asyncio.create_task(checks.run())
    try:
        yield Forge(Repository(served), clone, pages, checks)
    finally:
        work.cancel()
        await asyncio.wait({work})
        await sources.close()
    assert list(clone.parent.iterdir()) == [clone]


async def test_a_forbidden_import_is_told_with_file_and_line(forge: Forge):
    head = forge.change(FORBIDDEN)
    told = await forge.told(forge.asked(1, head))
    assert told[:2] == (head, "failure")
    assert [state for _, state, _ in forge.pages.told] == ["pending", "failure"]
    assert f"{CODE}:1: " in forge.pages.comments[1]


async def test_nothing_wrong_is_a_success_without_a_comment(forge: Forge):
    head = forge.change(HELLO + b"\n# more\n")
    assert (await forge.told(forge.asked(1, head)))[:2] == (head, "success")
    assert forge.pages.comments == {}


async def test_a_comment_follows_the_head(forge: Forge):
    await forge.told(forge.asked(1, forge.change(FORBIDDEN)))
    await forge.told(forge.asked(1, forge.change(HELLO + b"\n# mended\n")))
    assert len(forge.pages.comments) == 1
    assert "Nothing stands in the way" in forge.pages.comments[1]
    await forge.told(forge.asked(2, forge.change(FORBIDDEN + b"\n")))
    assert len(forge.pages.comments) == 2


async def test_somebody_elses_apps_are_not_theirs_to_change(forge: Forge):
    told = await forge.told(forge.asked(1, forge.change(HELLO + b"\n"), author="mallory"))
    assert told[1] == "failure"
    assert "unknown_author" in told[2]


async def test_people_are_those_of_main_and_not_of_the_change(forge: Forge):
    head = forge.change(PEOPLE.replace(b"bob:", b"mallory:"), "people.yaml")
    told = await forge.told(forge.asked(1, head, author="mallory"))
    assert told[1] == "failure"
    assert "not listed" in forge.pages.comments[1]


async def test_what_is_delivered_again_is_not_told_again(forge: Forge):
    asked = forge.asked(1, forge.change(FORBIDDEN))
    await forge.told(asked)
    forge.checks.submit(asked)
    await forge.told(forge.asked(2, forge.change(HELLO + b"\n")))  # one after the other
    assert [state for _, state, _ in forge.pages.told] == [
        *("pending", "failure"),
        *("pending", "success"),
    ]


async def test_what_is_delivered_again_after_an_error_is_checked_again(forge: Forge):
    asked = forge.asked(1, forge.change(FORBIDDEN))
    forge.repository.git("update-ref", "-d", "refs/pull/1/head")
    told = await forge.told(asked)
    assert told[1] == "error"
    assert "no head of it" in told[2]
    forge.repository.git("update-ref", "refs/pull/1/head", asked.head)
    assert (await forge.told(asked))[1] == "failure"


async def test_a_head_that_moved_meanwhile_is_the_one_that_is_checked(
    forge: Forge, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pull_request_checks, "_PAUSES", (0.0,))
    old = forge.asked(1, forge.change(FORBIDDEN))
    new = forge.asked(1, forge.change(HELLO + b"\n# newer\n"))
    assert (await forge.told(old))[:2] == (new.head, "success")


@pytest.mark.parametrize("what", ["find", "comment"])
async def test_without_a_comment_the_status_is_told_all_the_same(forge: Forge, what: str):
    forge.pages.broken.add(what)
    assert (await forge.told(forge.asked(1, forge.change(FORBIDDEN))))[1] == "failure"


async def test_what_could_not_be_told_is_told_at_the_next_delivery(
    forge: Forge, monkeypatch: pytest.MonkeyPatch
):
    away, real = asyncio.Event(), forge.pages.tell

    async def tell(head: str, state: State, description: str, link: str | None) -> None:
        if state != "pending":
            monkeypatch.setattr(forge.pages, "tell", real)
            away.set()
            raise ForgeUnavailable("It went away in the middle.")
        await real(head, state, description, link)

    monkeypatch.setattr(forge.pages, "tell", tell)
    asked = forge.asked(1, forge.change(FORBIDDEN))
    forge.checks.submit(asked)
    async with asyncio.timeout(30):
        await away.wait()
    assert (await forge.told(asked))[1] == "failure"


async def test_too_much_is_refused_before_it_is_read(forge: Forge, monkeypatch: pytest.MonkeyPatch):
    limit = 100_000
    monkeypatch.setattr(pull_request_heads, "MAX_PACK_BYTES", limit)
    monkeypatch.setattr(pull_request_heads, "_BOUNDS", ("prlimit", f"--fsize={limit}"))
    edits = {f"{folder(BOB)}/code/{n}.bin": secrets.token_bytes(60_000) for n in range(9)}
    head = forge.repository.commit([forge.repository.head()], edits)
    told = await forge.told(forge.asked(1, head))
    assert (told[0], told[1]) == (head, "error")
    assert "brings more than" in told[2]


async def test_an_error_nobody_expected_is_told_and_the_next_head_is_checked(
    forge: Forge, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: Any) -> Any:
        raise ValueError("nobody expected it")

    with monkeypatch.context() as patched:
        patched.setattr(pull_request_checks, "verdict", broken)
        told = await forge.told(forge.asked(1, forge.change(FORBIDDEN)))
    assert told[1] == "error"
    assert "nobody expected" not in told[2]
    assert (await forge.told(forge.asked(2, forge.change(HELLO + b"\n"))))[1] == "success"


async def test_a_check_that_takes_too_long_is_told(forge: Forge, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pull_request_checks, "CHECK_SECONDS", 0.0)
    told = await forge.told(forge.asked(1, forge.change(FORBIDDEN)))
    assert told[1] == "error"
    assert "more than" in told[2]


async def test_the_clone_gets_nothing(forge: Forge):
    head = forge.change(FORBIDDEN)
    await forge.told(forge.asked(1, head))
    assert head not in Repository(forge.clone).git2


def test_the_queue_has_an_end_and_one_place_for_each_request():
    def nobody(*_: Any) -> Any:
        raise AssertionError("nothing is checked before it runs")

    heads: Callable[..., Any] = nobody
    checks = PullRequestChecks(heads, heads, heads, b"")  # type: ignore[arg-type]
    for number in (*range(MAX_WAITING), 0, 1):
        checks.submit(HeadMoved("github", "me/apps", number, "0" * 40, "bob"))
    assert checks.waiting == MAX_WAITING
    with pytest.raises(TooManyRequests):
        checks.submit(HeadMoved("github", "me/apps", MAX_WAITING, "0" * 40, "bob"))
