"""Credentials reach git, and nothing else: no argument, no error, no plain connection."""

import asyncio
import os
import shlex
import subprocess
from pathlib import Path

import psutil
import pytest

from api.clients.git_program import Credentials, GitProgram, TokenFile, without_user
from api.clients.git_upstream import RemoteUpstream
from api.errors import RepositoryUnavailable
from tests.remote.conftest import git
from tests.remote.git_server import once

TOKEN = "s3cret-token"


@pytest.fixture
def token_file(tmp_path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    return file


@pytest.fixture
def credentials(token_file) -> Credentials:
    return Credentials(tokens=TokenFile(token_file))


async def test_a_token_opens_the_remote_and_can_be_changed_while_it_runs(
    connect, credentials, token_file
):
    remote = await connect(credentials=credentials)
    remote.server.users["x-access-token"] = TOKEN
    assert (await remote.upstream.push([await remote.move("main")])).moved
    await remote.upstream.refresh()
    remote.server.users["x-access-token"] = "another"
    with pytest.raises(RepositoryUnavailable, match="cannot be reached") as told:
        await remote.upstream.refresh()
    assert TOKEN not in str(told.value)
    token_file.write_text("another")
    await remote.upstream.refresh()


async def test_no_process_shows_the_token_in_its_arguments(connect, credentials):
    remote = await connect(credentials=credentials)
    remote.server.users["x-access-token"] = TOKEN
    remote.server.fault = once("fetch-refs", "stall")
    fetching = asyncio.create_task(remote.upstream.refresh(3))
    await asyncio.sleep(1)
    seen = [" ".join(p.cmdline()) for p in psutil.Process().children(recursive=True)]
    remote.server.released.set()
    with pytest.raises(RepositoryUnavailable):
        await fetching
    assert any("fetch" in line for line in seen), "it was looked at in the right moment"
    assert not [line for line in seen if TOKEN in line]


async def test_a_token_never_travels_in_the_clear_to_another_machine(credentials):
    for url, sent in (
        ("https://git.example.org/r.git", True),
        ("http://127.0.0.1:1/r.git", True),
        ("http://git.example.org/r.git", False),
        ("ssh://git@git.example.org/r.git", False),
        ("file:///srv/r.git", False),
    ):
        assert (await credentials.token(url) == TOKEN) is sent
    header = [v for v in credentials.environment(url, None).values() if "Authorization" in v]
    assert not header


async def test_a_token_that_cannot_be_read_is_a_clear_error(remote, tmp_path):
    missing = Credentials(tokens=TokenFile(tmp_path / "missing"))
    upstream = RemoteUpstream(remote.repo.path, "https://127.0.0.1:1/r.git", None, missing)
    with pytest.raises(RepositoryUnavailable, match="credential cannot be read"):
        await upstream.refresh()


def test_addresses_and_texts_lose_their_secrets(credentials):
    assert TOKEN not in credentials.scrub(f"fatal: {TOKEN} is wrong", TOKEN)
    assert without_user("https://bob:pw@host/r.git failed") == "https://***@host/r.git failed"


async def test_ssh_uses_the_deploy_key_and_no_unknown_host(remote, tmp_path, monkeypatch):
    programs = tmp_path / "bin"
    programs.mkdir()
    seen = tmp_path / "seen"
    fake = programs / "ssh"
    # What the far side would do: run the command that git asks for.
    fake.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$*" >> {shlex.quote(str(seen))}\n'
        'for last; do :; done\nexec sh -c "$last"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    key, hosts = tmp_path / "a key", tmp_path / "known hosts"
    ssh = Credentials(ssh_key=key, known_hosts=hosts)
    url = f"ssh://git@git.example.org{remote.path}"
    upstream = RemoteUpstream(remote.repo.path, url, None, ssh)
    await upstream.refresh()
    assert (await upstream.push([await remote.move("main")])).moved
    lines = seen.read_text().splitlines()
    assert any("git-receive-pack" in line for line in lines)
    for line in lines:
        assert "StrictHostKeyChecking=yes" in line
        assert "BatchMode=yes" in line
        assert f"-i {key} -o IdentitiesOnly=yes" in line
        assert f"UserKnownHostsFile={hosts} -o GlobalKnownHostsFile=/dev/null" in line


async def test_the_real_ssh_takes_the_options(tmp_path, unused_tcp_port):
    bare = tmp_path / "r.git"
    await asyncio.to_thread(subprocess.run, ["git", "init", "-q", "--bare", bare], check=True)
    url = f"ssh://git@127.0.0.1:{unused_tcp_port}/r.git"
    done = await GitProgram(bare).run(url, 20, "ls-remote", url)
    assert done.status != 0
    assert "Could not read from remote repository" in done.errors


async def test_nothing_of_the_platforms_environment_reaches_git(remote, monkeypatch, tmp_path):
    monkeypatch.setenv("SECRET_KEY", "do-not-pass")
    done = await GitProgram(remote.repo.path).run(
        "https://x", 10, "-c", "alias.show-it=!env", "show-it"
    )
    assert "do-not-pass" not in done.output
    assert git(remote.repo.path, "rev-parse", "main")
