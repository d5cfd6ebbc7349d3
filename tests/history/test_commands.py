"""`reindex` and `audit verify`, as an operator runs them."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import click.testing
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from api import commands
from api.domain.names import AppRef
from api.init_repo import init_repo
from tests.history.people import EVE, MALLORY, Repository

Run = Callable[..., click.testing.Result]
APP = "apps/5e/ubob/one"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(commands.app, arguments)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    init_repo(tmp_path / "data/repo.git")
    return Repository(tmp_path / "data/repo.git")


def test_the_index_is_made_anew_whatever_it_said(run: Run, repository, tmp_path):
    repository.push({f"{APP}/app.yaml": b"x"})
    assert json.loads(run("reindex", "--json").stdout) == {"commits": 2}
    with sqlite3.connect(tmp_path / "data/platform.sqlite3") as database:
        before = list(database.execute("SELECT * FROM commits"))
        database.execute("UPDATE commits SET author = 'nobody'")
        database.execute("DELETE FROM app_commits")
    result = run("reindex")
    assert result.exit_code == 0
    assert "2 commits" in result.stdout
    with sqlite3.connect(tmp_path / "data/platform.sqlite3") as database:
        assert list(database.execute("SELECT * FROM commits")) == before
        assert list(database.execute("SELECT app_id FROM app_commits")) == [("one",)]


def test_a_clean_history_ends_with_status_0(run: Run, repository):
    repository.push({f"{APP}/code/user_code.py": b"x"})
    result = run("audit", "verify")
    assert result.exit_code == 0, result.output
    assert "Nothing to report about 2 commits of main" in result.stdout
    assert "main: 2 of 2 commits" in result.stderr


def test_findings_are_told_and_end_with_status_1(run: Run, repository):
    first = repository.push({"people.yaml": b"x"}, author=MALLORY)
    second = repository.push({"people.yaml": None}, author=EVE)
    result = run("audit", "verify", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert [(f["commit"], f["rule"]) for f in report["findings"]] == [
        (first, "beyond_people"),
        (second, "beyond_people"),
    ]
    text = run("audit", "verify").stdout
    assert "Mallory may not change people.yaml." in text
    assert "2 findings in 3 commits of main" in text
    known = ("--operator", EVE.email, "--operator", MALLORY.email)
    assert run("audit", "verify", *known).exit_code == 0
    assert run("audit", "verify", "--since", second).exit_code == 0
    assert (
        len(json.loads(run("audit", "verify", "--json", "--since", first).stdout)["findings"]) == 1
    )


def test_unsigned_commits_are_found_where_keys_are_given(run: Run, repository, tmp_path):
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0sKxFYQfJ8eLzYq4sRrBq6q1Hc9v2Qx8m3n7p5t1uW"
    signers = tmp_path / "signers"
    signers.write_text(f"platform {key}\n")
    result = run("audit", "verify", "--allowed-signers", str(signers))
    assert result.exit_code == 1
    assert "not signed" in result.stdout
    signers.write_text("nothing\n")
    assert run("audit", "verify", "--allowed-signers", str(signers)).exit_code == 2


def test_the_platforms_own_key_is_known(run: Run, tmp_path, monkeypatch):
    key = tmp_path / "key"
    private = Ed25519PrivateKey.generate()
    encoding = (Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    key.write_bytes(private.private_bytes(*encoding))
    monkeypatch.setenv("GIT_SIGNING_KEY_FILE", str(key))
    assert run("init-repo").exit_code == 0
    assert run("audit", "verify").exit_code == 0
    repository = Repository(tmp_path / "data/repo.git")
    forged = repository.platform(AppRef("ubob", "one"), {f"{APP}/app.yaml": b"x"})
    findings = json.loads(run("audit", "verify", "--json").stdout)["findings"]
    assert [(f["commit"], f["rule"]) for f in findings] == [(forged, "signature")]


@pytest.mark.parametrize("since", ["yesterday", "abc123", "", "2026-13-01", "x" * 40])
def test_a_since_that_is_neither_time_nor_commit_is_misuse(run: Run, repository, since):
    result = run("audit", "verify", "--since", since)
    assert result.exit_code == 2
    assert "40 digits" in result.stderr


def test_a_since_that_is_not_on_main_is_refused(run: Run, repository):
    result = run("audit", "verify", "--since", "0" * 40)
    assert result.exit_code == 1
    assert "not a commit of main" in result.stderr
    assert run("audit", "verify", "--since", "2099-01-01T00:00").exit_code == 0


def test_without_a_repository_both_say_so(run: Run):
    for command in (("reindex",), ("audit", "verify")):
        result = run(*command)
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: ")
