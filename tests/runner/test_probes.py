"""The runner's own port tells the truth, whatever the learner's code does."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable

import httpx2
import pytest
from websockets.asyncio.client import connect

from runner.probes import SILENT_SECONDS, STUCK_SECONDS, Health
from tests.runner.running import Running

Start = Callable[..., Running]
WAITING_STARTUP = """
import asyncio, os
from contextlib import asynccontextmanager
from fastapi import FastAPI

@asynccontextmanager
async def lifespan(app):
    while not os.path.exists("go"):
        await asyncio.sleep(0.01)
    yield

app = FastAPI(lifespan=lifespan)
"""
WAITING_IMPORT = """
import os, time
from fastapi import FastAPI

while not os.path.exists("go"):
    time.sleep(0.01)
app = FastAPI()
"""
BLOCKING = """
import os, time
from fastapi import FastAPI

app = FastAPI()

@app.get("/block")
async def block():
    open("blocked", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.01)

@app.get("/broken")
def broken():
    return 1 / 0
"""

TALKING = """
import asyncio
from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import StreamingResponse

app = FastAPI()

@app.websocket("/ws")
async def ws(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.receive_text()

async def forever():
    while True:
        yield b"."
        await asyncio.sleep(0.05)

@app.get("/stream")
def stream():
    return StreamingResponse(forever())

@app.get("/never")
async def never():
    await asyncio.sleep(3600)

@app.websocket("/never")
async def never_ending(websocket: WebSocket):
    await websocket.accept()
    await asyncio.sleep(3600)

@app.get("/afterwards")
async def afterwards(tasks: BackgroundTasks):
    tasks.add_task(asyncio.sleep, 3600)
    return "done"

@app.get("/broken")
def broken():
    return 1 / 0
"""


def socket_of(running: Running, request: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", running.port), timeout=10)
    connection.sendall(request.encode())
    return connection


def eventually(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def probe_answers(running: Running) -> bool:
    try:
        return running.probe("/live").status_code == 200
    except httpx2.TransportError:
        return False


@pytest.mark.parametrize("code", [WAITING_STARTUP, WAITING_IMPORT], ids=["startup", "import"])
def test_app_is_alive_but_not_ready_before_its_startup_is_done(start: Start, code: str) -> None:
    running = start(code)
    eventually(lambda: probe_answers(running))
    assert running.probe("/ready").status_code == 503
    with pytest.raises(httpx2.ConnectError):
        running.get("/")
    (running.folder / "work" / "go").touch()
    running.wait_until_ready()
    assert running.probe("/ready").json()["intent"] == "0123abcd"
    assert running.get("/health").status_code == 200


def test_a_question_during_the_start_is_answered_by_that_start(start: Start) -> None:
    running = start(WAITING_STARTUP)
    eventually(lambda: probe_answers(running))
    answers: list[int] = []

    def ask() -> None:
        while 200 not in answers and len(answers) < 100:
            answers.append(running.probe("/ready").status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    eventually(lambda: running.probe("/live").status_code == 200)  # it is not held up by the other
    (running.folder / "work" / "go").touch()
    asking.join()
    assert answers[-1] == 200
    assert len(answers) < 100, "each question before that waited"


def test_a_question_at_the_end_is_answered_at_once() -> None:
    health = Health("i", serving=True, answered=time.monotonic())
    assert not health.waits()
    health.serving = False
    assert not health.waits()
    assert health.answer("/ready")[0] == 503


def test_blocked_event_loop_does_not_kill_the_app(start: Start) -> None:
    running = start(BLOCKING).wait_until_ready()
    blocking = threading.Thread(target=running.get, args=("/block",))
    blocking.start()
    work = running.folder / "work"
    eventually((work / "blocked").exists)
    eventually(lambda: running.probe("/live").json()["loop_silent_seconds"] > 0)
    assert running.probe("/live").status_code == 200
    assert running.probe("/ready").status_code == 200
    (work / "go").touch()
    blocking.join()
    assert running.get("/broken").status_code == 500
    assert running.probe("/ready").status_code == 200


def test_long_silence_is_not_ready_and_a_longer_one_not_alive() -> None:
    now = time.monotonic()
    health = Health("i", serving=True, answered=now)
    assert (health.answer("/ready")[0], health.answer("/live")[0]) == (200, 200)
    health.answered = now - SILENT_SECONDS - 1
    assert (health.answer("/ready")[0], health.answer("/live")[0]) == (503, 200)
    health.answered = now - STUCK_SECONDS - 1
    assert (health.answer("/ready")[0], health.answer("/live")[0]) == (503, 503)


async def test_open_requests_and_websockets_are_told_and_probes_are_none(start: Start) -> None:
    running = start(TALKING).wait_until_ready()
    usage = {"intent": "0123abcd", "open": 0}
    running.get("/", headers={"fastapi-platform-probe": "1"})
    assert running.probe("/usage").json() == usage
    async with connect(f"ws://127.0.0.1:{running.port}/ws") as socket:
        await socket.recv()
        assert running.probe("/usage").json() == usage | {"open": 1}
        stream = socket_of(running, "GET /stream HTTP/1.1\r\nhost: a\r\n\r\n")
        assert b"200 OK" in stream.recv(100)
        assert running.probe("/usage").json() == usage | {"open": 2}
        stream.close()
        await asyncio.to_thread(eventually, lambda: running.probe("/usage").json()["open"] == 1)
    await asyncio.to_thread(eventually, lambda: running.probe("/usage").json()["open"] == 0)
    assert running.get("/broken").status_code == 500
    await asyncio.to_thread(eventually, lambda: running.probe("/usage").json() == usage)


def test_app_mounted_at_the_root_changes_nothing(start: Start) -> None:
    code = (
        "from fastapi import FastAPI\nsub = FastAPI()\napp = FastAPI()\n"
        '@sub.get("/ready")\ndef no():\n    return 1 / 0\napp.mount("/", sub)\n'
    )
    running = start(code).wait_until_ready()
    assert running.get("/ready").status_code == 500
    assert running.probe("/ready?verbose=1").status_code == 200


def test_own_port_survives_strange_visitors(start: Start) -> None:
    running = start().wait_until_ready()
    assert running.probe("/else").status_code == 404
    address = ("127.0.0.1", running.probe_port)
    for garbage in (b"", b"\r\n", b"GET", b"\x00\xff" * 4000, b"GET /live"):
        with socket.create_connection(address) as connection:
            connection.sendall(garbage)
    silent = [socket.create_connection(address) for _ in range(2)]
    assert json.loads(running.probe("/live").text)["intent"] == "0123abcd"
    for connection in silent:
        connection.close()


async def test_a_handler_that_never_ends_is_open_while_its_client_is_there(start: Start) -> None:
    running = start(TALKING).wait_until_ready()

    def open_now() -> int:
        return int(running.probe("/usage").json()["open"])

    request = socket_of(running, "GET /never HTTP/1.1\r\nhost: a\r\n\r\n")
    async with connect(f"ws://127.0.0.1:{running.port}/never"):
        await asyncio.to_thread(eventually, lambda: open_now() == 2)
        request.close()
        await asyncio.to_thread(eventually, lambda: open_now() == 1)
    await asyncio.to_thread(eventually, lambda: open_now() == 0)
    assert running.get("/afterwards").json() == "done"  # its connection stays open
    await asyncio.to_thread(eventually, lambda: open_now() == 0)
