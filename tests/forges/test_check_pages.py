"""What is written on forges' pages, against answers of the shapes that GitHub and GitLab document.

Neither was asked: these are contracts written from docs.github.com/en/rest/commits/statuses,
…/rest/issues/comments, docs.gitlab.com/api/commits and …/api/notes. Gitea's side is tried on a real
server, in tests/cluster/test_pull_requests.py.
"""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest

from api.clients import forge_api
from api.clients.check_pages import GithubPages, GitlabPages, pages_at
from api.clients.forge import Place
from api.clients.forge_api import ForgeApi, ForgeRefused
from api.errors import ForgeUnavailable

HEAD = "c0ffee" + "0" * 34
MARK = "<!-- platform-check 00 -->"
GITHUB_STATUS = {
    "url": f"https://api.github.com/repos/me/apps/statuses/{HEAD}",
    "id": 1,
    "state": "failure",
    "description": "1 to correct",
    "context": "fastapi-platform/check",
    "creator": {"login": "platform"},
}
GITHUB_COMMENT = {
    "id": 81,
    "html_url": "https://github.com/me/apps/pull/12#issuecomment-81",
    "body": f"told {MARK}",
    "user": {"login": "platform", "type": "Bot"},
}
GITLAB_STATUS = {
    "id": 93,
    "sha": HEAD,
    "ref": "change",
    "status": "failed",
    "name": "fastapi-platform/check",
    "target_url": None,
    "description": "1 to correct",
}
GITLAB_NOTE = {"id": 301, "body": f"told {MARK}", "author": {"username": "platform"}, "iid": 1}


class Exchange:
    """Answers in their turn; keeps what was asked."""

    def __init__(self) -> None:
        self.answers: list[httpx2.Response] = []
        self.asked: list[tuple[str, str, Any]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.raw_path.decode().partition("?")[0]
        content = json.loads(request.content) if request.content else None
        self.asked.append((request.method, path, content))
        assert request.headers["Authorization"] == "Bearer secret"
        return self.answers.pop(0)

    def say(self, status: int, content: Any, **headers: str) -> None:
        answer = httpx2.Response(status, content=json.dumps(content).encode(), headers=headers)
        self.answers.append(answer)


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


@pytest.fixture
async def api(exchange: Exchange) -> AsyncIterator[Callable[[str], ForgeApi]]:
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(exchange)) as client:
        yield lambda url: ForgeApi(url, client, "secret")


@pytest.fixture
def github(api: Callable[[str], ForgeApi]) -> GithubPages:
    return GithubPages(api("https://api.github.com"), "me/apps")


@pytest.fixture
def gitlab(api: Callable[[str], ForgeApi]) -> GitlabPages:
    return GitlabPages(api("https://gitlab.example.org/api/v4"), "class/group/apps")


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited for, in no time."""
    seconds: list[float] = []

    async def sleep(duration: float) -> None:
        seconds.append(duration)

    monkeypatch.setattr(forge_api.asyncio, "sleep", sleep)
    return seconds


async def test_github_is_told_a_status(github: GithubPages, exchange: Exchange):
    exchange.say(201, GITHUB_STATUS)
    link = GITHUB_COMMENT["html_url"]
    await github.tell(HEAD, "failure", "1 to correct", str(link))
    values = {
        "state": "failure",
        "context": "fastapi-platform/check",
        "description": "1 to correct",
        "target_url": link,
    }
    assert exchange.asked == [("POST", f"/repos/me/apps/statuses/{HEAD}", values)]


async def test_gitlab_is_told_a_status_in_its_own_words(gitlab: GitlabPages, exchange: Exchange):
    told = []
    for state in ("pending", "success", "failure", "error"):
        exchange.say(201, GITLAB_STATUS)
        await gitlab.tell(HEAD, state, "as it is", None)
        method, path, values = exchange.asked[-1]
        assert (method, path) == (
            "POST",
            f"/api/v4/projects/class%2Fgroup%2Fapps/statuses/{HEAD}",
        )
        assert values["name"] == "fastapi-platform/check"
        told.append(values["state"])
    assert told == ["pending", "success", "failed", "failed"]


async def test_a_comment_is_written_once_and_then_kept_up_to_date(
    github: GithubPages, gitlab: GitlabPages, exchange: Exchange
):
    exchange.say(201, GITHUB_COMMENT)
    assert await github.comment(12, "text", None) == GITHUB_COMMENT["html_url"]
    exchange.say(200, GITHUB_COMMENT)
    await github.comment(12, "text", 81)
    exchange.say(201, GITLAB_NOTE)
    assert await gitlab.comment(12, "text", None) is None
    exchange.say(200, GITLAB_NOTE)
    await gitlab.comment(12, "text", 301)
    notes = "/api/v4/projects/class%2Fgroup%2Fapps/merge_requests/12/notes"
    assert [asked[:2] for asked in exchange.asked] == [
        ("POST", "/repos/me/apps/issues/12/comments"),
        ("PATCH", "/repos/me/apps/issues/comments/81"),
        ("POST", notes),
        ("PUT", f"{notes}/301"),
    ]
    assert all(asked[2] == {"body": "text"} for asked in exchange.asked)


async def test_the_platforms_own_comment_is_the_oldest_with_its_mark(
    github: GithubPages, gitlab: GitlabPages, exchange: Exchange
):
    for pages, own in ((github, GITHUB_COMMENT), (gitlab, GITLAB_NOTE)):
        copied = {**own, "id": 999}
        exchange.say(200, [copied, {"id": 5, "body": None}, {"id": 6, "body": "hi"}, own])
        assert await pages.find(12, MARK) == own["id"]
        exchange.say(200, [])
        assert await pages.find(12, MARK) is None


async def test_a_comments_address_that_is_none_is_not_linked(
    github: GithubPages, exchange: Exchange
):
    exchange.say(201, {**GITHUB_COMMENT, "html_url": "javascript:alert(1)"})
    assert await github.comment(12, "text", None) is None


async def test_a_forge_that_wants_to_be_asked_later_is_asked_later(
    github: GithubPages, exchange: Exchange, waited: list[float]
):
    limited = {"message": "You have exceeded a secondary rate limit."}
    exchange.say(403, limited, **{"Retry-After": "60"})
    exchange.say(502, {})
    exchange.say(201, GITHUB_STATUS)
    await github.tell(HEAD, "pending", "x", None)
    assert waited == [60.0, 5.0]


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (403, {}),  # not allowed: asking again does not help
        (404, {}),
        (422, {}),
        (429, {"Retry-After": "3600"}),  # later than anybody waits
    ],
)
async def test_a_refusal_is_told_with_the_forges_words(
    github: GithubPages,
    exchange: Exchange,
    waited: list[float],
    status: int,
    headers: dict[str, str],
):
    exchange.say(status, {"message": "Resource not accessible with secret"}, **headers)
    with pytest.raises(ForgeRefused, match=r"not accessible with \*\*\*") as refused:
        await github.tell(HEAD, "pending", "x", None)
    assert (refused.value.answer, waited) == (status, [])


async def test_an_answer_that_is_no_forges_is_an_error(github: GithubPages, exchange: Exchange):
    exchange.answers.append(httpx2.Response(201, content=b"<html>"))
    with pytest.raises(ForgeUnavailable):
        await github.comment(12, "text", None)


@pytest.mark.parametrize(
    ("forge", "remote", "forge_url", "expected"),
    [
        ("github", "https://github.com/me/apps.git", None, ("https://api.github.com", "me/apps")),
        (
            "gitea",
            "https://example.org/git/me/apps.git",
            None,
            ("https://example.org/git/api/v1", "me/apps"),
        ),
        (
            "gitlab",
            "https://gitlab.com/class/group/apps.git",
            None,
            ("https://gitlab.com/api/v4", "class/group/apps"),
        ),
        (
            "gitlab",
            "git@gitlab.example.org:class/apps.git",
            None,
            ("https://gitlab.example.org/api/v4", "class/apps"),
        ),
    ],
)
def test_a_repository_has_its_pages(
    forge: Any, remote: str, forge_url: str | None, expected: tuple[str, str]
):
    place = Place.of(remote, forge_url)
    assert place is not None
    assert pages_at(forge, place, "https://api.github.com/") == expected
