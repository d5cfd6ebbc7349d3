"""The real entrypoint as a process, started as a pod or the embedded way would start it."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx2

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / "runner/.venv/bin/python"
ENTRYPOINT = ROOT / "runner/entrypoint.py"
PREFIX = "/user/u1/app/a1"
WAIT_SECONDS = 30.0
HELLO = """
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def hello():
    return "hello"
"""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Running:
    """A runner with these files; its addresses, its output and its exit status."""

    def __init__(
        self,
        folder: Path,
        files: Mapping[str, str | bytes],
        *,
        variables: Mapping[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
        **contract: Any,
    ) -> None:
        self.folder = folder
        self.source = folder / "source"
        for path, content in files.items():
            file = self.source / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        self.port, self.probe_port = free_port(), free_port()
        contract = {
            "source": self.source,
            "workdir": folder / "work",
            "host": "127.0.0.1",
            "port": self.port,
            "probe_port": self.probe_port,
            "root_path": PREFIX,
            "intent": "0123abcd",
            **contract,
        }
        names = {f"FASTAPI_PLATFORM_{name.upper()}": str(value) for name, value in contract.items()}
        # Without TLS settings, whose making takes longer than the requests.
        self.http = httpx2.Client(timeout=10, verify=False, trust_env=False)
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [PYTHON, ENTRYPOINT],
                env={"PATH": os.environ["PATH"], **(variables or {}), **names},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=pass_fds,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.process.kill()
        self.process.wait()

    @property
    def out(self) -> str:
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self._err.read_text(encoding="utf-8")

    def probe(self, path: str) -> httpx2.Response:
        """One request to the runner's own port."""
        return self.http.get(f"http://127.0.0.1:{self.probe_port}{path}")

    def get(self, path: str, **more: Any) -> httpx2.Response:
        """One request to the app as the router sends it: without the prefix."""
        return self.http.get(f"http://127.0.0.1:{self.port}{path}", **more)

    def wait_until_ready(self) -> Self:
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.err
            try:
                if self.probe("/ready").status_code == 200:
                    return self
            except httpx2.TransportError:
                pass  # its port is not open yet
            time.sleep(0.02)
        raise AssertionError(f"not ready: {self.err}")

    def wait_until_ended(self) -> int:
        return self.process.wait(WAIT_SECONDS)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait_until_ended()

    def failure(self) -> str:
        """The last line on standard error, which the platform reads."""
        return self.err.splitlines()[-1]
