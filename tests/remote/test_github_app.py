"""Tokens minted from a GitHub App's key: they open the remote, are renewed, and never show."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from api.clients import github_app
from api.clients.git_program import Credentials
from api.clients.github_app import GithubApp, InstallationTokens
from api.errors import RepositoryUnavailable
from api.settings import Settings
from tests.remote.git_server import bare
from tests.remote.github_api import APP, INSTALLATION, Clock, GithubApi

HOUR = 3600
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(github_app, "time", clock)
    return clock


@pytest.fixture
def api(clock) -> Iterator[GithubApi]:
    with GithubApi(KEY.public_key(), clock).running() as running:
        yield running


@pytest.fixture
def app(tmp_path, api) -> GithubApp:
    file = tmp_path / "app.pem"
    file.write_bytes(pem(KEY))
    return GithubApp(APP, INSTALLATION, file, api.url)


@pytest.fixture
def tokens(app) -> InstallationTokens:
    return InstallationTokens(app)


@pytest.fixture
async def remote(connect, server, api, tokens):
    """A git remote that only a token opens which was minted and has not ended."""
    remote = await connect(credentials=Credentials(tokens=tokens))

    server.opens = lambda name, token: name == "x-access-token" and api.opens(token)
    return remote


async def test_a_minted_token_opens_the_remote(remote, api):
    assert (await remote.upstream.push([await remote.move("main")])).moved
    await remote.upstream.refresh()
    assert list(api.tokens) == ["ghs_1"], "one token for both"
    [(path, headers)] = api.asked
    assert path == f"/api/v3/app/installations/{INSTALLATION}/access_tokens"
    assert headers["Accept"] == "application/vnd.github+json"
    assert headers["X-GitHub-Api-Version"]


async def test_a_token_that_ends_in_the_middle_is_renewed_and_nothing_fails(remote, api, clock):
    for _ in range(6):
        assert (await remote.upstream.push([await remote.move("main")])).moved
        clock.passed += HOUR / 2
        await remote.upstream.refresh()
    assert len(api.tokens) >= 3
    assert remote.upstream.problem is None


async def test_nobody_waits_for_a_renewal_while_the_old_token_still_opens(tokens, api, clock):
    assert await tokens.token() == "ghs_1"
    clock.passed += HOUR - 200
    api.gate.clear()
    async with asyncio.timeout(5):
        assert [await tokens.token() for _ in range(20)] == ["ghs_1"] * 20
    api.gate.set()
    await asyncio.wait({tokens._renewal}, timeout=10)
    assert await tokens.token() == "ghs_2"
    assert len(api.asked) == 2, "twenty asked for one renewal"


async def test_those_who_must_wait_share_one_request_and_one_who_leaves_does_not_end_it(
    tokens, api
):
    api.gate.clear()
    waiting = [asyncio.create_task(tokens.token()) for _ in range(10)]
    await asyncio.sleep(0.1)
    waiting[0].cancel()
    api.gate.set()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(told[0], asyncio.CancelledError)
    assert told[1:] == ["ghs_1"] * 9
    assert len(api.asked) == 1


async def test_a_token_withdrawn_before_its_end_is_replaced(remote, api, clock):
    await remote.upstream.refresh()
    clock.passed += 90
    api.tokens["ghs_1"] = 0.0
    assert (await remote.upstream.push([await remote.move("main")])).moved
    assert list(api.tokens) == ["ghs_1", "ghs_2"]


async def test_a_remote_that_refuses_new_tokens_does_not_make_us_mint_again_and_again(remote, api):
    await remote.upstream.refresh()
    api.tokens["ghs_1"] = 0.0
    for _ in range(3):
        with pytest.raises(RepositoryUnavailable, match="cannot be reached"):
            await remote.upstream.refresh()
    assert len(api.asked) == 1


@pytest.mark.parametrize("ahead", [-50, 50])
async def test_a_clock_that_is_a_little_wrong_does_no_harm(tokens, clock, ahead):
    clock.ahead = ahead
    assert await tokens.token() == "ghs_1"


@pytest.mark.parametrize(("ahead", "way"), [(-900, "fast"), (900, "slow")])
async def test_a_clock_that_is_very_wrong_is_named(tokens, clock, ahead, way):
    clock.ahead = ahead
    with pytest.raises(RepositoryUnavailable, match=rf"401, .*clock is (899|900|901) s {way}"):
        await tokens.token()


async def test_the_end_of_a_token_is_counted_by_the_hosts_clock(app, api, clock, monkeypatch):
    monkeypatch.setattr(github_app, "_signed", lambda _: "proof")
    end = '{"token": "t", "expires_at": "2001-01-01T01:00:00Z"}'
    monkeypatch.setattr(api, "answer", (201, end.encode()))
    clock.ahead = 978307200 - clock.time()  # the host lives at the start of 2001
    tokens = InstallationTokens(app)
    assert await tokens.token() == "t"
    clock.passed += HOUR - 100
    assert await tokens.token() == "t", "it has 100 s left, by that clock"


async def test_another_apps_key_is_a_clear_error(app):
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    app.key_file.write_bytes(pem(other))
    with pytest.raises(RepositoryUnavailable, match="401, A JSON web token") as told:
        await InstallationTokens(app).token()
    assert "GITHUB_APP_KEY_FILE" in told.value.hint
    assert "BEGIN" not in str(told.value)


async def test_an_installation_that_is_not_there_is_a_clear_error(app):
    with pytest.raises(RepositoryUnavailable, match="404, Not Found") as told:
        await InstallationTokens(replace(app, installation_id=1)).token()
    assert "GITHUB_APP_INSTALLATION_ID" in told.value.hint


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"not a key", "not an open PEM key"),
        (b"", "not an open PEM key"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "is not an RSA key"),
    ],
)
async def test_a_file_that_holds_no_key_is_a_clear_error(app, api, content, reason):
    app.key_file.unlink()
    if content is not None:
        app.key_file.write_bytes(content)
    with pytest.raises(RepositoryUnavailable, match=reason) as told:
        await InstallationTokens(app).token()
    assert str(app.key_file) in str(told.value)
    assert api.asked == []


@pytest.mark.parametrize(
    "content",
    [b"<html>", b"{}", b'{"token": "a b", "expires_at": "2100-01-01T00:00:00Z"}',
     b'{"token": "a\\r\\nX: y", "expires_at": "2100-01-01T00:00:00Z"}',
     b'{"token": "s3cret", "expires_at": "soon"}',
     b'{"token": "s3cret", "expires_at": "2100-01-01T00:00:00"}'],
)  # fmt: skip
async def test_an_answer_that_is_no_token_is_a_clear_error(tokens, api, content):
    api.answer = (201, content)
    with pytest.raises(RepositoryUnavailable, match="something that is not a token") as told:
        await tokens.token()
    assert "s3cret" not in f"{told.value} {told.value.__cause__}"


async def test_a_token_that_has_ended_already_is_not_handed_out(tokens, api):
    api.answer = (201, b'{"token": "t", "expires_at": "2001-01-01T00:00:00Z"}')
    with pytest.raises(RepositoryUnavailable, match="ended at once"):
        await tokens.token()


async def test_a_host_that_says_odd_things_cannot_write_our_log(tokens, api, caplog):
    api.answer = (403, json.dumps({"message": "no\n2026 CRITICAL all lost\x1b[2J" * 50}).encode())
    with pytest.raises(RepositoryUnavailable) as told:
        await tokens.token()
    assert str(told.value).isprintable()
    assert len(str(told.value)) < 400
    assert all(record.getMessage().isprintable() for record in caplog.records)


async def test_a_host_that_is_away_is_a_clear_error_and_is_not_asked_at_once_again(
    app, unused_tcp_port, clock
):
    tokens = InstallationTokens(replace(app, api_url=f"http://127.0.0.1:{unused_tcp_port}"))
    for _ in range(3):
        with pytest.raises(RepositoryUnavailable, match=r"gave no token: .*connect"):
            await tokens.token()


async def test_a_host_that_never_answers_is_waited_for_a_bounded_time(tokens, api, monkeypatch):
    monkeypatch.setattr(github_app, "_SECONDS", 0.3)
    api.gate.clear()
    async with asyncio.timeout(10):
        with pytest.raises(RepositoryUnavailable, match=r"gave no token"):
            await tokens.token()


async def test_after_a_failure_the_next_attempt_comes_soon_and_needs_no_restart(tokens, api, clock):
    api.answer = (503, b"busy")
    for _ in range(3):
        with pytest.raises(RepositoryUnavailable, match="503, no reason given"):
            await tokens.token()
    assert len(api.asked) == 1
    api.answer = None
    clock.passed += 6
    assert await tokens.token() == "ghs_1"


async def test_an_old_token_goes_on_while_no_new_one_is_to_be_had(tokens, api, clock):
    assert await tokens.token() == "ghs_1"
    api.answer = (503, b"busy")
    clock.passed += HOUR - 200
    assert await tokens.token() == "ghs_1"
    clock.passed += 100
    assert await tokens.token() == "ghs_1"
    clock.passed += 100
    with pytest.raises(RepositoryUnavailable, match="503"):
        await tokens.token()


async def test_nothing_shows_a_token_or_a_key(remote, api, tokens, app, caplog):
    caplog.set_level(logging.DEBUG)
    assert (await remote.upstream.push([await remote.move("main")])).moved
    api.tokens["ghs_1"] = 0.0
    with pytest.raises(RepositoryUnavailable) as told:
        await remote.upstream.refresh()
    seen = caplog.text + str(told.value) + repr(tokens._held) + repr(app)
    seen += "\n".join(remote.commits())
    proof = api.asked[0][1]["Authorization"].removeprefix("Bearer ")
    assert len(proof) > 100
    for secret in ("ghs_1", proof, "PRIVATE"):
        assert secret not in seen


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"github_app_id": "1"}, "go together"),
        ({"github_app_key_file": "k", "github_app_installation_id": "1"}, "go together"),
        ({"github_api_url": "http://github.example.org"}, "https address"),
        ({"github_api_url": "https://"}, "https address"),
        ({"github_api_url": "https://[x"}, "https address"),
        ({"github_app_installation_id": "me"}, "integer"),
        ({"github_app_id": "1\n"}, "pattern"),
        (
            {"github_app_id": "1", "github_app_installation_id": 1, "github_app_key_file": "k",
             "git_token_file": "t"},
            "not both",
        ),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_together_are_refused(settings, says):
    with pytest.raises(ValidationError, match=says):
        Settings(**settings)


def test_the_settings_lead_to_the_remote(server, tmp_path):
    """`init-repo` as an operator runs it, with nothing but an App's key."""
    with GithubApi(KEY.public_key(), Clock()).running() as api:
        bare(server.root, "apps.git")
        key = tmp_path / "app.pem"
        key.write_bytes(pem(KEY))
        server.users["x-access-token"] = "ghs_1"
        done = _init_repo(tmp_path, server.url("apps.git"), api.url, key)
        assert done.returncode == 0, done.stderr
        server.users["x-access-token"] = "another"
        done = _init_repo(tmp_path, server.url("apps.git"), api.url, key)
        assert done.returncode == 1
        assert "ghs_" not in done.stdout + done.stderr


def _init_repo(folder: Path, remote: str, api: str, key: Path) -> subprocess.CompletedProcess[str]:
    settings = {
        "PATH": os.environ["PATH"],
        "DATA_DIR": str(folder / "data"),
        "GIT_REMOTE": remote,
        "GITHUB_APP_ID": APP,
        "GITHUB_APP_INSTALLATION_ID": str(INSTALLATION),
        "GITHUB_APP_KEY_FILE": str(key),
        "GITHUB_API_URL": api,
    }
    command = [sys.executable, "-m", "api", "init-repo", "--json"]
    return subprocess.run(
        command, env=settings, capture_output=True, text=True, timeout=60, check=False
    )
