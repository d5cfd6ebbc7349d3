"""What the runner adds around an app, and what it leaves to the learner."""

import re
from collections.abc import Callable

import pytest

from tests.runner.running import PREFIX, Running

Start = Callable[..., Running]
APP = "from fastapi import FastAPI, Request, Response\n\napp = FastAPI()\n\n"
OWN_HEALTH = {
    "a route": '@app.get("/health")\ndef health():\n    return "mine"\n',
    "a catch-all route": '@app.get("/{path:path}")\ndef everything(path):\n    return "mine"\n',
    "a mount at /": (
        "sub = FastAPI()\n"
        '@sub.get("/health")\ndef health():\n    return "mine"\n'
        'app.mount("/", sub)\n'
    ),
    "a route of a router": (
        "from fastapi import APIRouter\nrouter = APIRouter()\n"
        '@router.get("/health")\ndef health():\n    return "mine"\n'
        "app.include_router(router)\n"
    ),
    "a route added at startup": (
        "from contextlib import asynccontextmanager\n"
        "@asynccontextmanager\nasync def lifespan(app):\n"
        '    app.add_api_route("/health", lambda: "mine")\n    yield\n'
        "app = FastAPI(lifespan=lifespan)\n"
    ),
}


def test_health_is_added_where_the_app_has_none_and_not_documented(start: Start) -> None:
    running = start(APP).wait_until_ready()
    assert running.get("/health").json() == {"status": "ok"}
    assert running.get("/openapi.json").json()["paths"] == {}
    assert running.get("/else").status_code == 404


@pytest.mark.parametrize("code", OWN_HEALTH.values(), ids=OWN_HEALTH)
def test_health_of_the_learner_stays_theirs(start: Start, code: str) -> None:
    running = start(APP + code).wait_until_ready()
    assert running.get("/health").json() == "mine"


def test_learners_health_of_another_method_is_not_shadowed(start: Start) -> None:
    running = start(APP + '@app.post("/health")\ndef health():\n    return 1\n').wait_until_ready()
    assert running.get("/health").status_code == 405


def test_static_folder_is_served_unless_the_app_claims_its_path(start: Start) -> None:
    files = {"user_code.py": APP, "static/css/a.css": "li {}", "secret.txt": "no"}
    running = start(files=files).wait_until_ready()
    style = running.get("/static/css/a.css")
    assert (style.text, style.headers["content-type"]) == ("li {}", "text/css; charset=utf-8")
    assert running.get("/static/b.css").json() == {"detail": "Not Found"}
    assert running.get("/static/%2e%2e/secret.txt").status_code == 404
    claim = '@app.get("/static/{path:path}")\ndef own(path):\n    return "mine"\n'
    running = start(files={**files, "user_code.py": APP + claim}).wait_until_ready()
    assert running.get("/static/css/a.css").json() == "mine"


def test_probe_through_the_router_is_answered_before_the_app_and_not_logged(start: Start) -> None:
    running = start(APP + OWN_HEALTH["a mount at /"]).wait_until_ready()
    answer = running.get("/anything", headers={"fastapi-platform-probe": "1"})
    assert (answer.status_code, answer.headers["fastapi-platform-intent"]) == (204, "0123abcd")
    assert running.out == ""


def test_every_request_is_one_line_with_the_learners_path(start: Start) -> None:
    code = APP + '@app.post("/a/{name}")\ndef a(name):\n    return name\n'
    running = start(code).wait_until_ready()
    running.get("/missing?token=secret")
    running.get("/a/b%0AGET%20fake%20200")
    lines = [re.sub(r"[\d.]+ ms$", "… ms", line) for line in running.out.splitlines()]
    assert lines == ["GET /missing 404 … ms", "GET /a/b%0AGET%20fake%20200 405 … ms"]


WHERE = (
    APP
    + """
@app.get("/where")
def where(request: Request):
    return [str(request.url_for("where")), request.client.host]
"""
)
FORWARDED = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "apps.example.org",
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Prefix": "/somewhere/else",
}


@pytest.mark.parametrize("trusted", ["127.0.0.1,::1", "127.0.0.0/8", "*"])
def test_router_is_believed_about_scheme_host_and_client(start: Start, trusted: str) -> None:
    running = start(WHERE, trusted=trusted).wait_until_ready()
    where = running.get("/where", headers=FORWARDED).json()
    assert where == [f"https://apps.example.org{PREFIX}/where", "203.0.113.7"]


def test_nobody_else_is_believed(start: Start) -> None:
    running = start(WHERE, trusted="10.0.0.7").wait_until_ready()
    where = running.get("/where", headers=FORWARDED).json()
    assert where == [f"http://127.0.0.1:{running.port}{PREFIX}/where", "127.0.0.1"]


def test_root_path_of_the_tutorial_does_not_break_the_address(start: Start) -> None:
    code = WHERE.replace("FastAPI()", 'FastAPI(root_path="/api/v1")')
    running = start(code).wait_until_ready()
    assert running.get("/where").json()[0].endswith(f"{PREFIX}/where")
    assert "root_path='/api/v1' is replaced" in running.out


HEADERS = (
    APP
    + """
@app.get("/headers")
def headers(response: Response, name: str, value: str):
    response.headers[name] = value
"""
)


@pytest.mark.parametrize(
    ("name", "sent", "seen"),
    [
        ("location", "/docs", f"{PREFIX}/docs"),
        ("location", "/", f"{PREFIX}/"),
        ("location", f"{PREFIX}/docs", f"{PREFIX}/docs"),
        ("location", f"{PREFIX}0/docs", f"{PREFIX}{PREFIX}0/docs"),
        ("location", "docs?next=/a", "docs?next=/a"),
        ("location", "//example.org/a", "//example.org/a"),
        ("location", "https://example.org/a", "https://example.org/a"),
        ("set-cookie", "a=/; Path=/; Secure", f"a=/; Path={PREFIX}; Secure"),
        ("set-cookie", "a=1; path=/shop", f"a=1; path={PREFIX}/shop"),
        ("set-cookie", f"a=1; Path={PREFIX}", f"a=1; Path={PREFIX}"),
        ("set-cookie", "a=1; HttpOnly", "a=1; HttpOnly"),
        ("set-cookie", "__Host-a=1; Secure; Path=/", "__Host-a=1; Secure; Path=/"),
    ],
)
def test_paths_in_headers_get_the_prefix_that_the_router_stripped(
    headers_app: Running, name: str, sent: str, seen: str
) -> None:
    answer = headers_app.get("/headers", params={"name": name, "value": sent})
    assert answer.headers[name] == seen


@pytest.fixture(scope="module")
def headers_app(tmp_path_factory: pytest.TempPathFactory):
    with Running(tmp_path_factory.mktemp("headers"), {"user_code.py": HEADERS}) as running:
        yield running.wait_until_ready()


def test_headers_are_left_alone_when_an_app_has_a_host_of_its_own(start: Start) -> None:
    running = start(HEADERS, root_path="").wait_until_ready()
    answer = running.get("/headers", params={"name": "location", "value": "/docs"})
    assert answer.headers["location"] == "/docs"


def test_another_asgi_application_is_served_as_it_is(start: Start) -> None:
    code = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})
"""
    running = start(code).wait_until_ready()
    assert running.get("/health").text == f"{PREFIX}/health"
    assert running.stop() == 0
