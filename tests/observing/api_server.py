"""A real API server with etcd and nothing else: no controller touches what a test writes."""

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml

from tests.cluster import build
from tests.cluster.plane import flux

PROGRAMS = ("etcd", "kube-apiserver")
_LAUNCHER = Path(__file__).parents[2] / "api/local/die_with_parent.py"
_TOKEN = "observing"
_SECONDS = 90.0


@dataclass(frozen=True)
class ApiServer:
    """How to reach it, as its administrator."""

    port: int
    ca: Path
    token: str = _TOKEN

    @property
    def http(self) -> dict[str, Any]:
        """What an HTTP client needs to speak to it."""
        return {
            "base_url": f"https://127.0.0.1:{self.port}",
            "verify": ssl.create_default_context(cafile=str(self.ca)),
            "headers": {"Authorization": f"Bearer {self.token}"},
            "trust_env": False,
            "timeout": 30,
        }


def unavailable() -> str | None:
    """Why there can be none here; None when its programs are built."""
    try:
        return None if build.is_built(PROGRAMS) else "kube-apiserver is not built here"
    except build.CannotBuild as error:
        return str(error)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[ApiServer]:
    """An API server with Flux' kinds, while the context lasts."""
    programs = build.programs(PROGRAMS)
    client, peer, port = _free_ports(3)
    key = folder / "service-accounts.pem"
    command = ["openssl", "genrsa", "-out", str(key), "2048"]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "tokens.csv").write_text(f'{_TOKEN},admin,admin,"system:masters"\n')
    etcd = [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync=true",
    ]
    server = [
        f"--etcd-servers=http://127.0.0.1:{client}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={folder / 'certificates'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--disable-admission-plugins=ServiceAccount",
    ]
    found = ApiServer(port, folder / "certificates/apiserver.crt")
    with _process(programs["etcd"], etcd, folder):
        with _process(programs["kube-apiserver"], server, folder) as process:
            _wait_ready(found, process)
            _add_kinds(found)
        # Started anew, it no longer knows the versions of before.
        with _process(programs["kube-apiserver"], server, folder) as process:
            _wait_ready(found, process)
            yield found


@contextlib.contextmanager
def _process(
    program: Path, arguments: list[str], folder: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    launched = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), str(program)]
    with (folder / f"{program.name}.log").open("wb") as log:
        process = subprocess.Popen([*launched, *arguments], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait_ready(server: ApiServer, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if server.ca.exists() and _get(server, "/readyz") == 200:
            return
        time.sleep(0.2)
    raise AssertionError(f"kube-apiserver did not start: see {server.ca.parents[1]}")


def _add_kinds(server: ApiServer) -> None:
    with httpx2.Client(**server.http) as http:
        for path in flux.definitions():
            answer = http.post(
                "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                json=yaml.safe_load(path.read_text()),
            )
            assert answer.status_code == 201, answer.text
    deadline = time.monotonic() + _SECONDS
    kind = "/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations"
    while _get(server, kind) != 200:
        assert time.monotonic() < deadline, f"{kind} is not served"
        time.sleep(0.2)


def _get(server: ApiServer, path: str) -> int:
    try:
        with httpx2.Client(**server.http) as http:
            return http.get(path).status_code
    except (httpx2.HTTPError, OSError):
        return 0


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
