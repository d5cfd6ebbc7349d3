"""The route that forges call: what it answers, and how much it reads."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from api.domain.forge_events import HeadMoved
from api.errors import TooManyRequests
from api.settings import Settings
from api.webhooks import MAX_BYTES, Webhooks
from tests.application import Application, application
from tests.forges.messages import SECRET, asked, push, signed


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Application]:
    async with application(Settings(data_dir=tmp_path / "data")) as opened:
        yield opened


@pytest.fixture
def heads(platform: Application, tmp_path: Path) -> list[HeadMoved]:
    """What was handed on; the second is one too many."""
    (tmp_path / "secret").write_text(SECRET)
    found: list[HeadMoved] = []

    def check(head: HeadMoved) -> None:
        if found:
            raise TooManyRequests("Too many wait.", details={"retry_after": 60})
        found.append(head)

    platform.app.state.platform.webhooks = Webhooks(
        lambda _: "me/apps", tmp_path / "secret", lambda _: None, check
    )
    return found


async def post(
    platform: Application, forge: str, body: bytes, headers: dict[str, str]
) -> httpx2.Response:
    async with platform.client() as client:
        return await client.post(f"/api/hooks/{forge}", content=body, headers=headers)


async def test_a_platform_without_a_secret_takes_no_webhooks(platform: Application):
    answer = await post(platform, "github", b"{}", {})
    assert answer.status_code == 404
    assert "FORGE_WEBHOOK_SECRET_FILE" in answer.json()["error"]["hint"]


async def test_what_is_signed_is_taken_at_once(platform: Application, heads: list[HeadMoved]):
    body = json.dumps(asked("github")).encode()
    headers = dict(signed("github", "pull_request", body))
    answer = await post(platform, "github", body, headers)
    assert (answer.status_code, answer.json()) == (202, {"outcome": "checking"})
    assert [head.number for head in heads] == [12]
    full = await post(platform, "github", body, headers)
    assert (full.status_code, full.headers["Retry-After"]) == (429, "60")


async def test_what_is_not_signed_is_refused(platform: Application, heads: list[HeadMoved]):
    body = json.dumps(push("gitea")).encode()
    for headers in ({}, {"X-Gitea-Event": "push", "X-Gitea-Signature": "00"}):
        answer = await post(platform, "gitea", body, headers)
        assert answer.status_code == 401
    assert heads == []


@pytest.mark.parametrize("forge", ["bitbucket", "..", "%2e%2e%2fapps", "GITHUB"])
async def test_an_unknown_forge_is_refused(
    platform: Application, heads: list[HeadMoved], forge: str
):
    assert (await post(platform, forge, b"{}", {})).status_code in (404, 405, 422)
    assert heads == []


async def test_a_body_that_is_too_large_is_refused(platform: Application, heads: list[HeadMoved]):
    body = b" " * (MAX_BYTES + 1)
    answer = await post(platform, "github", body, dict(signed("github", "push", body)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


async def test_a_form_is_told_to_send_json(platform: Application, heads: list[HeadMoved]):
    body = b"payload=%7B%7D"
    answer = await post(platform, "github", body, dict(signed("github", "push", body)))
    assert answer.status_code == 422
    assert "application/json" in answer.json()["error"]["hint"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"forge_token_file": "token"}, "FORGE_TOKEN_FILE"),
        ({"forge_webhook_secret_file": "secret"}, "needs GIT_REMOTE"),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(given: dict[str, str], words: str):
    with pytest.raises(ValueError, match=words):
        Settings(**given)  # type: ignore[arg-type]
