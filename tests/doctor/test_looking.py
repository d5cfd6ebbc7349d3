"""The doctor looks at real parts: a git server with its hooks, SQLite, an API server over HTTP."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from api.clients.git_program import Credentials
from api.clients.git_survey import RemoteSurvey
from api.clients.sqlite_survey import survey
from api.clients.trial_push import read_report, try_push
from api.errors import RepositoryUnavailable, Unavailable
from api.opening import make_repository, open_records
from api.settings import Settings
from tests.product import ROOT
from tests.remote.conftest import Remote, connect, git, remote, server

__all__ = ["connect", "remote", "server"]


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api", "doctor", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "DATA_DIR": str(folder), **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def made(folder: Path) -> None:
    """An embedded installation that has served once."""
    settings = Settings(data_dir=folder)
    await make_repository(settings)
    async with open_records(settings):
        pass


def written(folder: Path) -> dict[Path, int]:
    """Every file and when it was written, but for those that SQLite keeps beside an open one."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {p: p.stat().st_mtime_ns for p in files if not p.name.endswith(("-wal", "-shm"))}


async def test_an_embedded_installation_that_served_is_healthy(tmp_path: Path):
    await made(tmp_path / "data")
    before = written(tmp_path / "data")
    done = run(tmp_path / "data", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["findings"], told["unlooked"]) == (0, [], [])
    assert "repository.shards" in told["passed"]
    assert written(tmp_path / "data") == before


def test_what_was_never_made_is_told_and_not_made(tmp_path: Path):
    done = run(tmp_path / "data")
    assert done.returncode == 1
    assert "✗ database.reachable" in done.stdout
    assert "✗ repository.reachable" in done.stdout
    assert "init-repo" in done.stdout
    assert not (tmp_path / "data").exists()


def test_a_cluster_is_not_looked_at_with_the_settings_of_a_laptop(tmp_path: Path):
    done = run(tmp_path, "--kubeconfig", "/root/.kube/config")
    assert done.returncode == 2
    assert "--kubeconfig" in done.stderr
    assert "MODE=embedded" in done.stderr


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"SECRET_KEY": "short"}, "SECRET_KEY must have at least 32 bytes"),
        (
            {"MODE": "cluster", "SECRET_KEY": "k" * 32, "MONGO_URI": "mongodb://mongo"},
            "BASE_DOMAIN is required",
        ),
        (
            {
                "MODE": "cluster",
                "SECRET_KEY": "k" * 32,
                "BASE_DOMAIN": "platform.example.org",
                "MONGO_URI": "mongodb://mongo",
                "RUNNER_IMAGE": "ghcr.io/me/runner:latest",
            },
            "RUNNER_IMAGE needs a digest",
        ),
        ({"PORT": "none"}, "PORT: "),
    ],
)
def test_a_setting_that_is_refused_is_a_finding(tmp_path: Path, settings: dict, word: str):
    done = run(tmp_path, "--json", **settings)
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert [finding["check"] for finding in told["findings"]] == ["settings.valid"]
    assert word in told["findings"][0]["missing"]
    assert "short" not in done.stdout


async def test_the_branches_are_read_from_the_remote_and_the_second_one(connect, tmp_path):
    remote = await connect(second=True)
    looked = RemoteSurvey(
        tmp_path / "look.git",
        remote.server.url(remote.path.name),
        remote.server.url(remote.published.name),
        Credentials(),
    )
    there = await looked.branches()
    assert there == {
        "main": remote.tips()["main"],
        **{k: v for k, v in remote.tips(remote.published).items() if k != "main"},
    }
    await looked.fetch(there)
    assert git(looked.path, "rev-parse", "flux/01") == there["flux/01"]
    assert await looked.push_refusal(there) is None


async def test_a_credential_without_push_is_told_in_the_hosts_words(remote: Remote, tmp_path):
    looked = RemoteSurvey(
        tmp_path / "look.git", remote.server.url(remote.path.name), None, Credentials()
    )
    there = await looked.branches()
    git(remote.path, "config", "http.receivepack", "false")
    words = await looked.push_refusal(there)
    assert words
    assert "403" in words


async def test_a_remote_that_is_away_is_told(server, tmp_path):
    looked = RemoteSurvey(tmp_path / "look.git", server.url("none.git"), None, Credentials())
    with pytest.raises(RepositoryUnavailable, match="not found"):
        await looked.branches()


async def second_commit(remote: Remote) -> tuple[str, str]:
    move = await remote.move("flux/00")
    assert (await remote.upstream.push([move])).moved
    return move.old, move.new


async def test_a_trial_push_passes_where_no_rule_is_and_moves_nothing(remote: Remote):
    old, new = await second_commit(remote)
    before = remote.tips()
    url = remote.server.url(remote.path.name)
    heard = await try_push(url, "flux/00", old, new, Credentials())
    assert heard.answer == "passes", heard
    first = await try_push(url, "flux/01", "0" * 40, before["flux/01"], Credentials())
    assert first.answer == "passes", first
    assert remote.tips() == before


@pytest.mark.parametrize("name", ["pre-receive", "update"])
async def test_a_trial_push_hears_a_rule_that_refuses(remote: Remote, name: str):
    old, new = await second_commit(remote)
    remote.hook(name, "echo 'flux is the platform alone' >&2; exit 1")
    url = remote.server.url(remote.path.name)
    heard = await try_push(url, "flux/00", old, new, Credentials())
    assert heard.answer == "refused"
    assert "the platform alone" in heard.words
    assert remote.tips()["flux/00"] == new


async def test_a_trial_push_needs_a_way_on_which_a_token_may_travel():
    for url in ("git@example.org:apps.git", "http://git.example.org/apps.git", "/srv/apps.git"):
        heard = await try_push(url, "flux/00", "0" * 40, "1" * 40, Credentials())
        assert heard.answer == "unknown"


async def test_a_credential_that_opens_no_push_is_not_taken_for_a_rule_that_refuses(remote: Remote):
    old, new = await second_commit(remote)
    remote.server.users = {"x-access-token": "right"}
    url = remote.server.url(remote.path.name)
    heard = await try_push(url, "flux/00", old, new, Credentials())
    assert heard.answer == "unknown"
    assert "401" in heard.words


def packet(text: str) -> bytes:
    return f"{len(text) + 4:04x}{text}".encode()


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b"", "unknown"),
        (b"<html>", "unknown"),
        (b"zzzz", "unknown"),
        (b"ffff", "unknown"),
        (packet("unpack ok\n") + packet("ok refs/heads/flux/00\n") + b"0000", "passes"),
        (packet("ng refs/heads/flux/00 hook declined\n"), "refused"),
        (packet("ng refs/heads/flux/00 failed to update ref\n"), "passes"),
        (packet("ng refs/heads/flux/01 hook declined\n"), "unknown"),
        (packet("\x01" + packet("ng refs/heads/flux/00 hook declined").decode()), "refused"),
        (packet("\x03fatal: no space left on device"), "unknown"),
    ],
)
def test_any_answer_of_a_host_is_understood_or_said_to_be_none(content: bytes, answer: str):
    assert read_report(content, "flux/00").answer == answer


async def test_a_database_without_its_indexes_is_told(tmp_path: Path):
    await made(tmp_path)
    file = tmp_path / "platform.sqlite3"
    assert (await survey(file)).missing_indexes == ()
    with sqlite3.connect(file) as connection:
        connection.execute("DROP INDEX accounts_email")
    connection.close()
    assert (await survey(file)).missing_indexes == ("The unique index accounts_email",)


async def test_a_database_that_is_none_is_told(tmp_path: Path):
    (tmp_path / "x").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    with pytest.raises(Unavailable):
        await survey(tmp_path / "x")
    with pytest.raises(Unavailable):
        await survey(tmp_path / "none")
