import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter
from starlette.responses import StreamingResponse

from api.errors import Conflict, Unavailable
from api.log import _LineFormatter, request_id
from api.routes.middleware import MAX_BODY
from api.routes.schemas import ErrorAnswer
from tests.application import PASSWORD, Application

SIGNUP = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}


def error(answer: httpx2.Response) -> dict[str, Any]:
    """The error of an answer that has exactly the promised shape."""
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    ErrorAnswer.model_validate(body)
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "hint", "details"}
    assert body["error"]["message"]
    assert body["error"]["hint"]
    return dict(body["error"])


@pytest.fixture
async def client(platform: Application) -> AsyncIterator[httpx2.AsyncClient]:
    async with platform.client() as opened:
        yield opened


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/nothing", 404, "not_found"),
        ("POST", "/api/nothing", 404, "not_found"),
        ("GET", "/api", 404, "not_found"),
        ("GET", "/api/auth/me/", 404, "not_found"),
        ("GET", "/api/auth/login", 405, "method_not_allowed"),
        ("DELETE", "/api/auth/me", 405, "method_not_allowed"),
        ("BREW", "/api/auth/me", 405, "method_not_allowed"),
        ("GET", "/api/auth/me", 401, "not_authenticated"),
        ("GET", "/api/docs/no-such-file.js", 404, "not_found"),
        ("GET", "/missing.png", 404, "not_found"),
        ("POST", "/dashboard", 404, "not_found"),
        ("GET", "/%00", 404, "not_found"),
        ("GET", "/" + "a" * 5000 + ".js", 404, "not_found"),
        ("GET", "/..%2f..%2fsecret.txt", 404, "not_found"),
        ("GET", "/%2e%2e/secret.txt", 404, "not_found"),
        ("GET", "/assets/..%5c..%5csecret.txt", 404, "not_found"),
    ],
)
async def test_every_refusal_has_the_one_shape(
    client: httpx2.AsyncClient, method: str, path: str, status: int, code: str
):
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert error(answer)["code"] == code
    if status == 405:
        assert answer.headers["Allow"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b"\xff\xfe",
        b'{"username": "\xff"}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"username": ' + b"9" * 5000 + b"}",
        b'{"username": NaN}',
        b'{"username": null}',
        b'{"username": ["a"], "password": {}}',
        json.dumps(SIGNUP | {"extra": 1}).encode(),
        json.dumps(SIGNUP | {"username": "\ud800"}).encode(),
        json.dumps(SIGNUP | {"password": "abcdefghijk\udfff"}).encode(),
        json.dumps({"\ud800": {"\udc00": ["\ud800"]}}).encode(),
        b'{"username": "a", "username": "b"}',
    ],
)
async def test_no_body_breaks_a_route(client: httpx2.AsyncClient, body: bytes):
    headers = {"Content-Type": "application/json"}
    for path in ("/api/auth/signup", "/api/auth/login"):
        answer = await client.post(path, content=body, headers=headers)
        assert answer.status_code == 422, answer.text
        assert error(answer)["code"] in {"invalid_request", "invalid_json"}


async def test_a_body_of_another_kind_is_refused(client: httpx2.AsyncClient):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"):
        headers = {"Content-Type": kind}
        body = json.dumps(SIGNUP)
        answer = await client.post("/api/auth/signup", content=body, headers=headers)
        assert answer.status_code == 422
        assert PASSWORD not in answer.text


async def test_a_refused_request_names_its_fields_and_repeats_no_value(client: httpx2.AsyncClient):
    body = {"username": ["secret-name"], "email": 17, "password": {"a": "secret-password"}}
    answer = await client.post("/api/auth/signup", json=body)
    found = error(answer)
    assert [field["field"] for field in found["details"]["fields"]] == [
        "username",
        "email",
        "password",
    ]
    assert "username" in found["message"]
    assert "secret" not in answer.text


async def test_a_body_over_the_limit_is_refused_announced_or_not(client: httpx2.AsyncClient):
    headers = {"Content-Type": "application/json"}
    announced = await client.post("/api/auth/login", content=b" " * (MAX_BODY + 1), headers=headers)
    assert announced.status_code == 413
    assert error(announced)["code"] == "too_large"

    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 65536

    chunked = await client.post("/api/auth/login", content=endless(), headers=headers)
    assert chunked.status_code == 413
    assert error(chunked)["code"] == "too_large"
    assert sent * 65536 < 2 * MAX_BODY + 10 * 65536  # a bounded rest is thrown away
    largest = json.dumps({"username": "a", "password": "b"}).encode().ljust(MAX_BODY)
    just_fits = await client.post("/api/auth/login", content=largest, headers=headers)
    assert just_fits.status_code == 401


@pytest.mark.parametrize("length", ["-1", "nonsense", "9" * 5000, "\uff11\uff12"])
async def test_a_nonsensical_length_does_no_harm(client: httpx2.AsyncClient, length: str):
    headers = {"Content-Length": length.encode(), "Content-Type": "application/json"}
    answer = await client.post("/api/auth/login", content=b"{}", headers=headers)
    assert answer.status_code in {413, 422}
    error(answer)


async def test_an_unexpected_error_is_logged_with_the_id_it_is_told_under(
    platform: Application, caplog: pytest.LogCaptureFixture
):
    router = APIRouter()

    @router.get("/api/broken")
    async def broken() -> None:
        raise ZeroDivisionError("the secret reason")

    platform.app.include_router(router)
    async with platform.client() as client:
        answer = await client.get("/api/broken", headers={"X-Request-Id": "abc-123"})
    assert answer.status_code == 500
    found = error(answer)
    assert found["code"] == "internal_error"
    assert found["details"] == {"request_id": "abc-123"}
    assert "secret" not in answer.text
    assert answer.headers["X-Frame-Options"] == "DENY"
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


async def test_an_error_in_the_middle_of_an_answer_ends_it(platform: Application):
    router = APIRouter()

    @router.get("/api/half")
    async def half() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"one"
            raise ZeroDivisionError

        return StreamingResponse(parts())

    platform.app.include_router(router)
    async with platform.client() as client:
        with pytest.raises(ZeroDivisionError):
            await client.get("/api/half")


async def test_errors_of_use_cases_keep_their_words_whatever_stands_in_them(platform: Application):
    router = APIRouter()

    @router.get("/api/conflict")
    async def conflict() -> None:
        raise Conflict("half \ud800 a pair", details={"name": "\udfff"})

    platform.app.include_router(router)
    async with platform.client() as client:
        answer = await client.get("/api/conflict")
    assert answer.status_code == 409
    assert error(answer)["message"] == "half ? a pair"


async def test_readiness_names_what_is_broken(platform: Application):
    async def broken() -> None:
        raise Unavailable("the disk is full")

    async def fine() -> None:
        pass

    platform.app.state.platform.checks["repository"] = broken
    platform.app.state.platform.checks["database"] = fine
    async with platform.client() as client:
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        found = error(answer)
        assert found["code"] == "not_ready"
        assert found["details"] == {
            "repository": {"ok": False, "message": "the disk is full"},
            "database": {"ok": True, "message": ""},
        }
        platform.app.state.platform.checks["repository"] = fine
        ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["repository"] == {"ok": True, "message": ""}


async def test_what_an_operator_must_know_is_shown_and_takes_nothing_away(platform: Application):
    async def alarmed() -> str:
        return "shard 5e: no matches for kind IngressRoute"

    platform.app.state.platform.checks["applying"] = alarmed
    async with platform.client() as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 200
    shown = {"ok": True, "message": "shard 5e: no matches for kind IngressRoute"}
    assert answer.json()["applying"] == shown


async def test_addresses_inside_are_for_the_log_and_not_for_those_who_ask(
    platform: Application, caplog: pytest.LogCaptureFixture
):
    said = "Cannot connect to host 10.96.0.1:443 ssl:default"
    router = APIRouter()

    @router.get("/api/away")
    async def away() -> None:
        raise Unavailable(said)

    async def broken() -> None:
        raise Unavailable(said)

    async def alarmed() -> str:
        return "shard 5e: dial tcp 10.96.0.7:443"

    platform.app.include_router(router)
    checks = {"cluster": broken, "applying": alarmed}
    platform.app.state.platform.checks.update(checks)
    async with platform.client() as client:
        with caplog.at_level(logging.INFO):
            answers = [await client.get(path) for path in ("/api/away", "/readyz")]
    for answer in answers:
        assert answer.status_code == 503
        assert "Cannot connect to host [address]" in error(answer)["message"]
        assert "10.96" not in answer.text
    assert said in caplog.text
    assert "10.96.0.7" in caplog.text


# Request ids and the log --------------------------------------------------------------------


@pytest.mark.parametrize("given", ["abc", "A-1", "x" * 64])
async def test_a_sane_request_id_is_taken_over(client: httpx2.AsyncClient, given: str):
    answer = await client.get("/healthz", headers={"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\tb", "a/b", "<script>", "ä"])
async def test_any_other_request_id_is_replaced(client: httpx2.AsyncClient, given: str):
    answer = await client.get("/healthz", headers={"X-Request-Id": given.encode("latin-1")})
    assert answer.headers["X-Request-Id"] != given
    assert len(answer.headers["X-Request-Id"]) == 16


async def test_the_log_has_a_line_for_each_request_and_no_secret(
    platform: Application, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    token = await platform.token("ada")
    await platform.log_in("ada", "a wrong password")
    async with platform.client(token=token) as client:
        await client.get("/api/auth/me?token=in-the-query")
        await client.get("/api/%0d%0aforged line")
    lines = [record.getMessage() for record in caplog.records if record.name == "api.access"]
    assert lines[0].startswith("POST /api/auth/signup 201 ")
    assert lines[3].startswith("GET /api/auth/me 200 ")
    assert lines[4].startswith("GET /api/%0D%0Aforged%20line 404 ")
    ours = [record for record in caplog.records if record.name.startswith("api")]
    text = "\n".join(record.getMessage() for record in ours)
    for secret in (token, PASSWORD, "a wrong password", "in-the-query", "Bearer"):
        assert secret not in text


def test_a_log_line_is_one_line_and_carries_the_request(caplog: pytest.LogCaptureFixture):
    text = "two\nlines \x1b[31m %s"
    record = logging.LogRecord("api.x", logging.INFO, "f", 1, text, ("a\r",), None)
    token = request_id.set("abc-123")
    try:
        line = _LineFormatter().format(record)
    finally:
        request_id.reset(token)
    assert line.endswith(r"INFO api.x two\x0alines \x1b[31m a\x0d request_id=abc-123")
    assert line[:4].isdigit()
    assert line[10] == "T"
