"""The ten programs behind a real Traefik, which strips their prefix as the platform's does."""

import asyncio
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from api.domain.source_check import check
from tests.programs.checks import PROGRAMS, Program
from tests.runner.running import PYTHON, WAIT_SECONDS, Running, free_port


class Router:
    """Traefik with its file provider; one route a program."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.routes = folder / "routes"
        self.routes.mkdir()
        self.log = folder / "traefik.log"
        traefik = Path(sysconfig.get_path("scripts")) / "traefik"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    traefik,
                    f"--entryPoints.apps.address=127.0.0.1:{self.port}",
                    f"--providers.file.directory={self.routes}",
                    "--providers.providersThrottleDuration=10ms",
                    "--global.checkNewVersion=false",
                ],
                stdout=log,
                stderr=log,
            )

    def add(self, name: str, prefix: str, port: int) -> str:
        """Route `prefix` to a port; the address once it answers."""
        route = {
            "http": {
                "routers": {
                    name: {
                        "rule": f"Path(`{prefix}`) || PathPrefix(`{prefix}/`)",
                        "middlewares": [name],
                        "service": name,
                    }
                },
                "middlewares": {name: {"stripPrefix": {"prefixes": [prefix]}}},
                "services": {
                    name: {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{port}"}]}}
                },
            }
        }
        (self.routes / f"{name}.yml").write_text(yaml.safe_dump(route), encoding="utf-8")
        address = f"http://127.0.0.1:{self.port}{prefix}"
        eventually_answers(address, 204, headers={"fastapi-platform-probe": "1"})
        return address


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    router = Router(tmp_path_factory.mktemp("router"))
    yield router
    router.process.terminate()
    router.process.wait()


@pytest.mark.parametrize(("name", "program"), PROGRAMS.items(), ids=PROGRAMS)
def test_program_works_unchanged_behind_the_prefix(
    name: str, program: Program, router: Router, tmp_path: Path
) -> None:
    prefix = f"/user/u1/app/{name.replace('_', '-')}"
    with Running(
        tmp_path, program.files, entrypoint=program.entrypoint, root_path=prefix
    ) as running:
        running.wait_until_ready()
        asyncio.run(visit(program, router.add(name, prefix, running.port)))
        assert running.stop() == 0


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_program_passes_the_source_check_without_a_word(program: Program) -> None:
    files = {path: text.encode() for path, text in program.files.items()}
    assert check(files, program.entrypoint) == []


def test_programs_work_without_a_platform_too(tmp_path: Path) -> None:
    """The scripts describe FastAPI, not the runner: plain uvicorn passes them as well."""
    program = PROGRAMS["path_and_query_parameters"]
    for path, text in program.files.items():
        (tmp_path / path).write_text(text, encoding="utf-8")
    port = free_port()
    command = [PYTHON.with_name("uvicorn"), "user_code:app", "--port", str(port)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        try:
            eventually_answers(f"http://127.0.0.1:{port}", 200)
            asyncio.run(visit(program, f"http://127.0.0.1:{port}"))
        finally:
            process.terminate()


async def visit(program: Program, address: str) -> None:
    async with httpx2.AsyncClient(timeout=10) as http:
        await program.check(address, http)


def eventually_answers(address: str, status: int, **more: Any) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx2.get(address, **more).status_code == status:
                return
        except httpx2.TransportError:
            pass  # it is starting
        time.sleep(0.02)
    raise AssertionError(f"{address} never answered {status}")
