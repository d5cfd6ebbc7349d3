"""Every hostile pull request is refused: where, by which rule, and with what to do about it."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.domain.repo_layout import app_folder
from tests.guarding.changes import HELLO
from tests.guarding.hostile import HOSTILE, author, everybody
from tests.guarding.pull_requests import Listener, filled
from tests.history.people import Repository


@pytest.fixture(scope="module")
def opened(with_an_app: Path, tmp_path_factory) -> Repository:
    path = tmp_path_factory.mktemp("hostile") / "repo.git"
    shutil.copytree(with_an_app, path, symlinks=True)
    repository = Repository(path)
    repository.push(everybody())
    return repository


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    """What remote bases point at: it answers nobody, and tells who came."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        Listener.address = f"127.0.0.1:{server.getsockname()[1]}"
        yield server


def nobody_came(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return True
    return False


def test_there_are_enough_of_them():
    assert len(HOSTILE) >= 30
    assert all(len(author(name).user_id) <= 40 for name in HOSTILE)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pull_request_is_refused(guard, opened, listener, name):
    hostile, ref = HOSTILE[name], author(name)
    start = opened.head()
    try:
        hostile.make(opened, ref)
        report = guard(opened, base=start, author=ref.user_id)
    finally:
        opened.move(start)
    path = filled(hostile.path, ref)
    there = [d for d in report.findings if f"{d.path}/".startswith(f"{path}/")]
    found = [d for d in there if d.code == hostile.rule]
    assert found, [(d.path, d.code, d.message) for d in report.findings]
    assert not report.passed
    assert all(d.message and d.hint for d in report.findings if d.severity == "error")
    assert any(hostile.word in f"{d.message} {d.hint}" for d in found), found
    assert nobody_came(listener)


def test_the_command_says_the_same_where_there_is_no_network(opened):
    alone = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make a network of their own")
    start, ref = opened.head(), author("remote-base")
    try:
        HOSTILE["remote-base"].make(opened, ref)
        opened.push({f"{app_folder(ref, 2)}/code/user_code.py": HELLO + b"# more\n"})
        command = [*alone, sys.executable, "-m", "api", "check", "main", "--base", start]
        command += ["--author", ref.user_id, "--json", "--repository", str(opened.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    finally:
        opened.move(start)
    assert done.returncode == 1, done.stderr
    [found] = json.loads(done.stdout)["findings"]
    assert found["path"] == filled("{app}/overlay/kustomization.yaml", ref)
    assert "resources" in found["message"]


def test_their_honest_twin_passes(guard, opened):
    start = opened.head()
    ref = author("image")
    opened.push({f"{app_folder(ref, 2)}/code/user_code.py": HELLO + b"# more\n"})
    assert guard(opened, base=start, author=ref.user_id).passed
    opened.move(start)
