import base64
import json
import stat
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from pydantic import ValidationError

from api.clients.tokens import AUDIENCE, ISSUER, Tokens, signing_keys
from api.errors import NotAuthenticated, Unavailable
from api.settings import Settings
from tests.accounts.conftest import CLUSTER
from tests.application import PASSWORD, Application, application

KEY = "k" * 32
OTHER = "o" * 32
SettingsFor = Callable[..., Settings]


@pytest.fixture
def tokens() -> Tokens:
    return Tokens([KEY], lifetime=timedelta(hours=1))


def claims(**changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "u1",
        "iat": now,
        "exp": now + timedelta(hours=1),
        "ver": 1,
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def kid(tokens: Tokens) -> str:
    return str(jwt.get_unverified_header(tokens.issue("u1", 1))["kid"])


def sign(content: Mapping[str, Any], key_id: str, key: str = KEY, algorithm: str = "HS256") -> str:
    return jwt.encode(dict(content), key, algorithm, headers={"kid": key_id})


def test_what_was_issued_is_read_back(tokens: Tokens):
    read = tokens.read(tokens.issue("u1", 7))
    assert (read.user_id, read.version) == ("u1", 7)
    assert tokens.read(sign(claims(), kid(tokens))).user_id == "u1"  # the forgeries' base is good


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"iat": None},
        {"iss": None},
        {"aud": None},
        {"sub": None},
        {"ver": None},
        {"iss": "somebody else"},
        {"aud": "another service"},
        {"aud": [AUDIENCE + "x"]},
        {"exp": datetime.now(UTC) - timedelta(seconds=1)},
        {"iat": datetime.now(UTC) + timedelta(hours=1)},
        {"nbf": datetime.now(UTC) + timedelta(hours=1)},
        {"ver": "1"},
        {"ver": True},
        {"ver": 1.0},
        {"ver": [1]},
        {"exp": "tomorrow"},
    ],
)
def test_a_token_with_other_claims_is_refused(tokens: Tokens, changes: dict[str, Any]):
    with pytest.raises(NotAuthenticated):
        tokens.read(sign(claims(**changes), kid(tokens)))


def test_a_token_of_another_key_or_algorithm_is_refused(tokens: Tokens):
    good = kid(tokens)
    payload = {**claims(), "iat": 1, "exp": 9_999_999_999}
    body = _part(payload)
    forged = [
        sign(claims(), good, key=OTHER),
        sign(claims(), "another key", key=OTHER),
        sign(claims(), good, key="k" * 64, algorithm="HS512"),
        f"{_part({'alg': 'none', 'kid': good})}.{body}.",
        f"{_part({'alg': 'HS256', 'kid': good})}.{body}.",
        f"{_part({'alg': 'HS256', 'kid': good})}.{body}.AAAA",
        f"{_part({'alg': 'HS256', 'kid': [good]})}.{body}.AAAA",
        f"{_part({'alg': 'HS256'})}.{body}.AAAA",
        f"{_part({'alg': 'RS256', 'kid': good})}.{body}.AAAA",
    ]
    for token in forged:
        with pytest.raises(NotAuthenticated):
            tokens.read(token)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "\0", "ä.ö.ü", "x" * 100_000, "e30.e30.e30", "W10.W10.W10"]
)
def test_no_text_breaks_the_reader(tokens: Tokens, text: str):
    with pytest.raises(NotAuthenticated):
        tokens.read(text)


def test_two_keys_live_while_the_key_is_changed(tokens: Tokens):
    old = tokens.issue("u1", 1)
    changed = Tokens([OTHER, KEY], lifetime=timedelta(hours=1))
    assert changed.read(old).user_id == "u1"
    new = changed.issue("u1", 1)
    with pytest.raises(NotAuthenticated):
        tokens.read(new)
    done = Tokens([OTHER], lifetime=timedelta(hours=1))
    assert done.read(new).user_id == "u1"
    with pytest.raises(NotAuthenticated):
        done.read(old)


async def test_log_out_everywhere_ends_every_token_and_no_other_persons(platform: Application):
    mine, others = await platform.token("ada"), await platform.token("bob")
    second = (await platform.log_in("ada")).json()["access_token"]
    async with platform.client(token=mine) as client:
        assert (await client.post("/api/auth/logout-everywhere")).status_code == 204
    for token in (mine, second):
        refused = await platform.me(token)
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "not_authenticated"
    assert (await platform.me(others)).status_code == 200
    assert (await platform.log_in("ada")).status_code == 200


async def test_a_new_password_ends_all_log_ins_but_the_one_it_answers_with(platform: Application):
    token = await platform.token("ada")
    body = {"current_password": PASSWORD, "new_password": "another long password"}
    async with platform.client(token=token) as client:
        changed = await client.post("/api/auth/password", json=body)
    assert changed.status_code == 200
    assert (await platform.me(token)).status_code == 401
    assert (await platform.me(changed.json()["access_token"])).status_code == 200
    assert (await platform.log_in("ada")).status_code == 401
    assert (await platform.log_in("ada", "another long password")).status_code == 200


async def test_a_wrong_current_password_changes_nothing_and_cannot_be_guessed(
    platform: Application,
):
    token = await platform.token("ada")
    async with platform.client(token=token) as client:
        statuses = []
        for number in range(11):
            body = {"current_password": f"guess {number}", "new_password": "another long password"}
            answer = await client.post("/api/auth/password", json=body)
            statuses.append(answer.status_code)
    assert statuses == [403] * 10 + [429]
    assert (await platform.me(token)).status_code == 200


async def test_the_new_password_follows_the_rules(platform: Application):
    token = await platform.token("ada")
    async with platform.client(token=token) as client:
        for new in ("short", "password123", "ada@example.org", "x" * 2000):
            body = {"current_password": PASSWORD, "new_password": new}
            answer = await client.post("/api/auth/password", json=body)
            assert answer.json()["error"]["code"] == "invalid_password"
            assert new not in answer.text.replace("at most 1024 bytes", "")
    assert (await platform.log_in("ada")).status_code == 200


async def test_a_token_of_an_account_that_is_gone_is_refused(
    platform: Application, settings_for: SettingsFor, tmp_path: Path
):
    key = signing_keys(settings_for())[0]
    ghost = Tokens([key], lifetime=timedelta(hours=1)).issue("u234567", 1)
    assert (await platform.me(ghost)).status_code == 401


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer \xff", "x" * 9000]
)
async def test_any_other_authorization_is_401(platform: Application, header: str):
    async with platform.client() as client:
        headers = {"Authorization": header.encode("latin-1")}
        answer = await client.get("/api/auth/me", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_tokens_outlive_a_restart(settings_for: SettingsFor):
    async with application(settings_for()) as platform:
        token = await platform.token("ada")
    async with application(settings_for()) as platform:
        assert (await platform.me(token)).status_code == 200


# The key ------------------------------------------------------------------------------------


def test_many_who_start_at_once_agree_on_one_private_key(settings_for: SettingsFor):
    settings = settings_for()
    found: list[list[str]] = []
    start = threading.Barrier(16)

    def read() -> None:
        start.wait()
        found.append(signing_keys(settings))

    threads = [threading.Thread(target=read) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len({keys[0] for keys in found}) == 1
    assert len(found[0][0]) >= 32
    path = settings.data_dir / "secret_key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in settings.data_dir.iterdir()] == ["secret_key"]


def test_a_line_above_the_key_changes_it_without_ending_log_ins(settings_for: SettingsFor):
    settings = settings_for()
    (old,) = signing_keys(settings)
    path = settings.data_dir / "secret_key"
    path.write_text("n" * 40 + "\n" + path.read_text())
    assert signing_keys(settings) == ["n" * 40, old]


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff\xfe" * 40])
def test_a_damaged_key_file_stops_the_start_with_a_reason(
    settings_for: SettingsFor, content: bytes
):
    settings = settings_for()
    settings.data_dir.mkdir()
    (settings.data_dir / "secret_key").write_bytes(content)
    with pytest.raises(Unavailable, match="secret_key"):
        signing_keys(settings)


def test_short_and_missing_keys_are_refused_without_being_shown(settings_for: SettingsFor):
    for values in (
        {"secret_key": "tiny-secret"},
        {**CLUSTER, "previous_secret_key": "tiny-secret"},
        {**CLUSTER, "secret_key": None},
    ):
        with pytest.raises(ValidationError) as refused:
            settings_for(**values)
        assert "SECRET_KEY" in str(refused.value)
        assert "tiny-secret" not in str(refused.value)


def test_keys_of_the_settings_leave_no_file(settings_for: SettingsFor):
    settings = settings_for(secret_key=KEY, previous_secret_key=OTHER)
    assert signing_keys(settings) == [KEY, OTHER]
    assert not settings.data_dir.exists()


def _part(content: Mapping[str, Any]) -> str:
    return (
        base64.urlsafe_b64encode(json.dumps(dict(content), default=str).encode())
        .decode()
        .rstrip("=")
    )
