"""A runner that is asked to stop does so cleanly, and soon whatever the learner's code does."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.runner.running import Running

Start = Callable[..., Running]
APP = """
import asyncio, os, time
from contextlib import asynccontextmanager
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse

@asynccontextmanager
async def lifespan(app):
    yield
    print("closed the database")

app = FastAPI(lifespan=lifespan)

@app.websocket("/ws")
async def ws(websocket: WebSocket):
    await websocket.accept()
    await websocket.receive_text()

@app.get("/endless")
async def endless():
    async def ticks():
        while True:
            yield "tick\\n"
            await asyncio.sleep(0.01)
    return StreamingResponse(ticks())

@app.get("/slow")
async def slow():
    print("begun")
    await asyncio.sleep(0.5)
    return "done"

@app.get("/stuck")
async def stuck():
    print("begun")
    while True:
        pass
"""


def eventually_begun(running: Running) -> None:
    deadline = time.monotonic() + 20
    while "begun" not in running.out:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_after_the_apps_own_shutdown(start: Start, number: int) -> None:
    running = start(APP).wait_until_ready()
    running.process.send_signal(number)
    assert running.wait_until_ended() == 0
    assert running.out == "closed the database\n"
    assert running.err == ""


def test_signal_during_the_import_ends_it(start: Start) -> None:
    running = start("print('begun')\nwhile True:\n    pass\n")
    eventually_begun(running)
    assert running.stop() == 0


def test_open_request_is_answered_first(start: Start) -> None:
    running = start(APP).wait_until_ready()
    answers: list[httpx2.Response] = []
    asking = threading.Thread(target=lambda: answers.append(running.get("/slow")))
    asking.start()
    eventually_begun(running)
    running.process.send_signal(signal.SIGTERM)
    assert running.wait_until_ended() == 0
    asking.join()
    assert answers[0].json() == "done"


async def test_websocket_is_closed_with_service_restart(start: Start) -> None:
    running = start(APP)
    await asyncio.to_thread(running.wait_until_ready)
    async with connect(f"ws://127.0.0.1:{running.port}/ws", proxy=None) as socket:
        running.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
    assert await asyncio.to_thread(running.wait_until_ended) == 0
    assert "WEBSOCKET /ws 101 " in running.out


async def test_endless_stream_does_not_hold_it(start: Start) -> None:
    running = start(APP, stop_seconds=4)
    await asyncio.to_thread(running.wait_until_ready)
    address = f"http://127.0.0.1:{running.port}/endless"
    async with httpx2.AsyncClient() as http, http.stream("GET", address) as stream:
        assert await anext(stream.aiter_text())
        assert await asyncio.to_thread(running.stop) == 0
    assert "closed the database" in running.out


def test_handler_that_never_returns_is_ended_by_force(start: Start) -> None:
    running = start(APP, stop_seconds=1).wait_until_ready()
    asking = threading.Thread(target=ask_in_vain, args=(running,))
    asking.start()
    eventually_begun(running)
    assert running.stop() == 1
    assert "ended by force" in running.err
    asking.join()


def ask_in_vain(running: Running) -> None:
    with pytest.raises(httpx2.TransportError):
        running.get("/stuck")


def test_failing_shutdown_is_told_but_ends(start: Start) -> None:
    code = APP.replace('print("closed the database")', "1 / 0")
    running = start(code).wait_until_ready()
    assert running.stop() == 1
    assert 'File "user_code.py", line 10, in lifespan' in running.err


def test_threads_left_running_do_not_hold_it(start: Start) -> None:
    code = APP + "\nimport threading\nthreading.Thread(target=time.sleep, args=(600,)).start()\n"
    assert start(code).wait_until_ready().stop() == 0


def test_it_ends_with_its_parent(start: Start) -> None:
    ours, theirs = os.pipe()
    running = start(APP, parent_fd=ours, pass_fds=(ours,)).wait_until_ready()
    os.close(ours)
    assert running.process.poll() is None
    os.close(theirs)
    assert running.wait_until_ended() == 0
    assert running.out == "closed the database\n"
