"""What only a real server on a real port can show."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.routes.middleware import MAX_BODY
from tests.product import PASSWORD, ROOT, Person, Product, eventually

WEBSOCKET = (
    b"GET /api/auth/me HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Product]:
    with Product(tmp_path / "data") as running:
        yield running


def command(product: Product, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        cwd=ROOT,
        env=product.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def whoami(person: Person) -> httpx2.Response:
    return person.http.get("/api/auth/me")


def say(product: Product, text: bytes) -> bytes:
    """What the server answers to these very bytes, until it closes the connection."""
    with socket.create_connection(("127.0.0.1", product.port), timeout=10) as connection:
        answer = b""
        try:
            connection.sendall(text)
            while received := connection.recv(65536):
                answer += received
        except (ConnectionResetError, BrokenPipeError):
            pass
        return answer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_and_ends_well_when_it_is_told_to(tmp_path: Path, number: int):
    with Product(tmp_path / "data") as product:
        assert product.process is not None
        assert product.log.count(product.origin) == 1
        assert product.apps_origin in product.log
        assert str(product.data_dir) in product.log
        assert "not isolated" in product.log
        # An open connection that asks nothing must not hold it up.
        with socket.create_connection(("127.0.0.1", product.port)):
            product.process.send_signal(number)
            assert product.process.wait(timeout=30) == 0
        assert "Traceback" not in product.log


def test_a_port_in_use_is_told_and_nothing_else_happens(served: Product, tmp_path: Path):
    other = Product(tmp_path / "other", port=served.port)
    result = command(other, "serve")
    assert result.returncode == 1
    assert str(served.port) in result.stderr
    assert "PORT=" in result.stderr
    assert "Traceback" not in result.stderr
    assert not other.data_dir.exists()


def test_without_a_way_to_the_cluster_nothing_is_made(tmp_path: Path):
    cluster = {
        "MODE": "cluster",
        "SECRET_KEY": "k" * 40,
        "BASE_DOMAIN": "platform.example.org",
        "MONGO_URI": "mongodb://unused.example",
    }
    product = Product(tmp_path / "data", settings=cluster)
    result = command(product, "serve")
    assert result.returncode == 1
    assert "no way to the API server" in result.stderr
    assert "KUBECONFIG" in result.stderr
    assert "Traceback" not in result.stderr
    assert not product.data_dir.exists()


def test_a_data_folder_that_cannot_be_used_is_told(tmp_path: Path):
    (tmp_path / "data").write_text("a file is in the way")
    result = command(Product(tmp_path / "data"), "serve")
    assert result.returncode == 1
    assert str(tmp_path / "data") in result.stderr
    assert "Traceback" not in result.stderr


def test_people_and_their_log_ins_survive_kill_nine(served: Product):
    ada = served.sign_up("ada")
    served.kill(everything=False)
    served.start()
    assert whoami(ada).json()["username"] == "ada"
    assert served.log_in("ada", ada.user_id).user_id == ada.user_id


def test_an_operator_acts_while_the_server_runs(served: Product):
    ada = served.sign_up("ada")
    assert whoami(ada).json()["is_admin"] is True
    bob = served.sign_up("bob")
    done = command(served, "admin", "suspend", "bob", "--reason", "Mining.", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["suspended"] == "Mining."
    assert whoami(bob).json()["error"]["code"] == "suspended"
    assert whoami(ada).status_code == 200
    assert command(served, "admin", "unsuspend", "bob").returncode == 0
    assert served.log_in("bob", bob.user_id)
    assert command(served, "admin", "make-admin", "bob").returncode == 0
    listed: list[dict[str, Any]] = json.loads(command(served, "admin", "users", "--json").stdout)
    assert {row["username"]: row["is_admin"] for row in listed} == {"ada": True, "bob": True}


def test_an_operator_stops_one_app_by_a_commit(served: Product):
    ada = served.sign_up("ada")
    app = ada.create("Shop", {"user_code.py": "from fastapi import FastAPI\napp = FastAPI()\n"})
    app_id = app["app_id"]
    (row,) = json.loads(command(served, "admin", "apps", "--json").stdout)
    assert (row["app_id"], row["username"], row["address"]) == (app_id, "ada", app["url"])
    stopped = command(served, "admin", "take-down", app_id, "--reason", "Mining.", "--json")
    assert stopped.returncode == 0, stopped.stderr
    commit = json.loads(stopped.stdout)["commit"]
    assert served.git("rev-parse", "main").strip() == commit
    assert "Mining." in served.git("log", "-1", "main")

    def status() -> bool:
        return bool(ada.ok("GET", f"/api/apps/{app_id}/status")["status"] == "suspended")

    eventually("the app is suspended", status)
    assert command(served, "admin", "put-back", app_id).returncode == 0


def test_a_body_without_an_end_is_cut_off(product: Product):
    head = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    chunks = (b"10000\r\n" + b" " * 65536 + b"\r\n") * (MAX_BODY // 65536 + 20)
    answer = say(product, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert answer.startswith(b"HTTP/1.1 413 ") or answer == b""  # it may close before it is read
    announced = say(product, head + b"Content-Length: 99999999\r\n\r\n")
    assert announced.startswith(b"HTTP/1.1 413 ")
    assert b'"too_large"' in announced
    assert product.client().get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\nConnection: close\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /%ff%fe%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET http://[::1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\nConnection: close\r\n\r\n",
        WEBSOCKET,
    ],
)
def test_no_bytes_break_the_server(product: Product, text: bytes):
    answer = say(product, text)
    assert answer == b"" or 400 <= int(answer.split()[1]) < 500 or answer.split()[1] == b"200"
    assert b"server: uvicorn" not in answer.lower()
    assert product.client().get("/healthz").status_code == 200


def test_thirty_log_ins_at_once_are_all_answered(product: Product):
    ada = product.sign_up()
    body = json.dumps({"username": ada.username, "password": PASSWORD}).encode()
    request = (
        b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    connections = [
        socket.create_connection(("127.0.0.1", product.port), timeout=30) for _ in range(30)
    ]
    for connection in connections:
        connection.sendall(request)
    answers = []
    for connection in connections:
        with connection:
            answers.append(connection.recv(65536).split(b"\r\n")[0])
    assert set(answers) == {b"HTTP/1.1 200 OK"}


def test_figures_count_by_route_and_never_by_what_people_invent(product: Product):
    client = product.client()
    invented = f"/invented-{time.time_ns()}"
    client.get(f"{invented}.png")
    client.request("BREW", "/healthz")
    client.get("/user/u1/app/invented/")
    text = client.get("/metrics").text
    assert 'fastapi_platform_http_requests_total{method="GET",route="/readyz",status="200"}' in text
    assert 'route="unmatched",status="404"' in text
    assert "fastapi_platform_shards_not_applied 0.0" in text
    assert 'method="OTHER"' in text
    assert "invented" not in text
