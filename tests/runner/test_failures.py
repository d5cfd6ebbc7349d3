"""A start that fails says where, in the learner's own files and lines, and how it ended."""

import json
import socket
from collections.abc import Callable

import pytest

from tests.runner.running import Running

Start = Callable[..., Running]
FAILED = "fastapi-platform: failed "


def failure_of(running: Running) -> dict[str, object]:
    assert running.failure().startswith(FAILED), running.err
    return json.loads(running.failure().removeprefix(FAILED))


def test_failing_import_names_the_learners_file_and_line(start: Start) -> None:
    files = {
        "user_code.py": "from fastapi import FastAPI\nfrom routers import items\napp = FastAPI()\n",
        "routers/items.py": "prices = [1, 2]\n\ntotal = sum(prices) / 0\n",
    }
    running = start(files=files)
    assert running.wait_until_ended() == 3
    assert failure_of(running) == {
        "path": "routers/items.py",
        "line": 3,
        "message": "ZeroDivisionError: division by zero",
    }
    assert running.err.splitlines()[:-1] == [
        "Traceback (most recent call last):",
        '  File "user_code.py", line 2, in <module>',
        "    from routers import items",
        '  File "routers/items.py", line 3, in <module>',
        "    total = sum(prices) / 0",
        "            ~~~~~~~~~~~~^~~",
        "ZeroDivisionError: division by zero",
    ]


def test_syntax_error_names_its_own_line_and_not_the_importing_one(start: Start) -> None:
    running = start(files={"user_code.py": "import shop\n", "shop.py": "a = 1\nb = (\n"})
    assert running.wait_until_ended() == 3
    failed = failure_of(running)
    assert (failed["path"], failed["line"]) == ("shop.py", 2)
    assert failed["message"] == "SyntaxError: '(' was never closed"
    assert "importlib" not in running.err


def test_error_inside_a_library_names_the_learners_line_that_led_there(start: Start) -> None:
    code = """\
from pydantic_settings import BaseSettings

class Settings(BaseSettings):
    database_url: str

settings = Settings()
"""
    running = start(code)
    assert running.wait_until_ended() == 3
    failed = failure_of(running)
    assert (failed["path"], failed["line"]) == ("user_code.py", 6)
    assert "database_url Field required" in str(failed["message"])
    assert "site-packages" not in running.err


def test_chained_errors_are_shown_both(start: Start) -> None:
    code = """\
try:
    {}["colour"]
except KeyError as error:
    raise RuntimeError("no colour") from error
"""
    running = start(code)
    assert running.wait_until_ended() == 3
    assert "KeyError: 'colour'" in running.err
    assert "direct cause" in running.err
    assert failure_of(running)["line"] == 4


@pytest.mark.parametrize("code", ["raise SystemExit('bye')", "raise KeyboardInterrupt"])
def test_code_that_ends_the_import_is_a_failed_import(start: Start, code: str) -> None:
    running = start(code)
    assert running.wait_until_ended() == 3
    assert failure_of(running)["line"] == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("application = 1", "user_code.py has no `app`"),
        ("app = 'hello'", "is a str, not a FastAPI application"),
        ("from fastapi import FastAPI as app", "is the class FastAPI"),
        ("from fastapi import APIRouter\napp = APIRouter()", "is a APIRouter"),
        ("def app():\n    pass", "is a function"),
    ],
)
def test_missing_or_wrong_app_says_what_was_found(start: Start, code: str, message: str) -> None:
    running = start(code)
    assert running.wait_until_ended() == 4
    assert message in str(failure_of(running)["message"])
    assert failure_of(running)["path"] == "user_code.py"


def test_missing_entrypoint_is_named(start: Start) -> None:
    running = start(entrypoint="app/main.py")
    assert running.wait_until_ended() == 4
    assert failure_of(running)["message"] == "There is no file app/main.py to take `app` from."


def test_failing_startup_names_the_line_and_has_its_own_status(start: Start) -> None:
    code = """\
from contextlib import asynccontextmanager
from fastapi import FastAPI

@asynccontextmanager
async def lifespan(app):
    connect()
    yield

def connect():
    raise ConnectionRefusedError("no database here")

app = FastAPI(lifespan=lifespan)
"""
    running = start(code)
    assert running.wait_until_ended() == 5
    assert failure_of(running) == {
        "path": "user_code.py",
        "line": 10,
        "message": "ConnectionRefusedError: no database here",
    }
    assert "starlette" not in running.err


def test_taken_port_has_its_own_status(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = start(port=port)
        assert running.wait_until_ended() == 6
        assert f"port {port}: Address already in use" in str(failure_of(running)["message"])


@pytest.mark.parametrize(
    "contract", [{"port": "http"}, {"root_path": "user/u1"}, {"source": "/nowhere"}]
)
def test_wrong_environment_is_the_platforms_mistake(start: Start, contract: dict[str, str]) -> None:
    running = start(**contract)
    assert running.wait_until_ended() == 2
    assert failure_of(running)["path"] is None


def test_failing_request_shows_only_the_learners_lines(start: Start) -> None:
    code = """\
from fastapi import FastAPI

app = FastAPI()

@app.get("/")
def divide():
    return 1 / 0
"""
    running = start(code).wait_until_ready()
    answers = [running.get("/") for _ in range(3)]  # on one connection, which must survive
    assert [answer.status_code for answer in answers] == [500, 500, 500]
    assert running.err.count("Traceback") == 3
    assert 'File "user_code.py", line 7, in divide\n    return 1 / 0' in running.err
    assert "site-packages" not in running.err
    assert running.out.splitlines()[-1].startswith("GET / 500 ")
