"""The operator's commands, as a person at a terminal sees them."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click.testing
import pytest
from typer.testing import CliRunner

from api import commands
from api.settings import Settings
from tests.application import application

ROOT = Path(__file__).parents[2]
Run = Callable[..., click.testing.Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments: str, stdin: str | None = None) -> click.testing.Result:
        return CliRunner().invoke(commands.app, arguments, input=stdin)

    return invoke


def answer(result: click.testing.Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_an_operator_makes_lists_promotes_and_demotes_people(run: Run):
    made = run("admin", "create", "ada", "ada@example.org", "--admin", "--json")
    password = answer(made)["password"]
    assert len(password) >= 20
    quiet = run(
        "admin",
        "create",
        "bob",
        "bob@example.org",
        "--password-stdin",
        stdin="a long pass phrase\n",
    )
    assert quiet.exit_code == 0
    assert "a long pass phrase" not in quiet.output
    listed = {row["username"]: row for row in answer(run("admin", "users", "--json"))}
    assert {name: row["is_admin"] for name, row in listed.items()} == {"ada": True, "bob": False}
    assert answer(run("admin", "make-admin", "BOB", "--json"))["is_admin"] is True
    assert answer(run("admin", "remove-admin", "ada", "--json"))["is_admin"] is False
    table = run("admin", "users").stdout.splitlines()
    assert len(table) == 3
    assert table[0].split()[:1] == ["username"]
    assert "$argon2" not in run("admin", "users", "--json").stdout


def test_names_that_are_taken_or_break_a_rule_are_told_with_status_one(run: Run):
    run("admin", "create", "ada", "ada@example.org")
    for arguments, words in (
        (("create", "Ada", "other@example.org"), "taken"),
        (("create", "eve", "ADA@example.org"), "e-mail"),
        (("create", "e", "eve@example.org"), "3 to 32"),
        (("reset-password", "nobody"), "no account"),
        (("suspend", "nobody", "--reason", "x"), "no account"),
        (("take-down", "no-app-234567", "--reason", "x"), "repository"),
    ):
        result = run("admin", *arguments)
        assert result.exit_code == 1, arguments
        assert words in result.stderr
        assert result.stdout == ""
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["admin", "suspend", "ada"],
        ["admin", "invite", "--days", "0"],
        ["admin", "invite", "--days", "many"],
        ["admin", "nothing"],
        ["nothing"],
        ["admin", "create", "ada"],
        ["serve", "--port", "1"],
    ],
)
def test_misuse_has_status_two(run: Run, arguments: list[str]):
    assert run(*arguments).exit_code == 2


def test_a_wrong_setting_has_status_two_and_is_not_shown(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SECRET_KEY", "tiny-secret")
    result = run("admin", "users")
    assert result.exit_code == 2
    assert "SECRET_KEY" in result.stderr
    assert "tiny-secret" not in result.output


def test_every_command_has_help_and_json(run: Run):
    groups = [(), ("admin",)]
    for group in groups:
        listing = run(*group, "--help").stdout
        assert "Usage" in listing
    names = [("serve",), ("init-repo",), ("openapi",), ("settings",)]
    names += [
        ("admin", str(command.name or command.callback.__name__))
        for command in commands.admin_commands.app.registered_commands
        if command.callback
    ]
    assert len(names) > 12
    for name in names:
        result = run(*name, "--help")
        assert result.exit_code == 0
        assert "--json" in result.stdout, name


def test_an_invitation_is_made_and_listed_without_its_code(run: Run):
    made = answer(run("admin", "invite", "--days", "3", "--json"))
    assert len(made["code"]) >= 20
    (kept,) = answer(run("admin", "invitations", "--json"))
    assert made["code"] not in json.dumps(kept)
    assert kept["used_by"] is None
    assert kept["expires_at"] == made["expires_at"]
    assert made["code"] not in run("admin", "invitations").stdout


def test_a_reset_password_is_printed_and_is_the_one_that_works(run: Run):
    run("admin", "create", "ada", "ada@example.org")
    password = answer(run("admin", "reset-password", "ada", "--json"))["password"]

    async def log_in() -> int:
        async with application(Settings()) as platform:
            return (await platform.log_in("ada", password)).status_code

    assert asyncio.run(log_in()) == 200
    short = run("admin", "reset-password", "ada", "--password-stdin", stdin="short\n")
    assert short.exit_code == 1
    assert "at least 10" in short.stderr
    assert asyncio.run(log_in()) == 200


def test_suspending_is_also_a_reason_that_can_be_kept(run: Run):
    run("init-repo")
    run("admin", "create", "ada", "ada@example.org")
    result = run("admin", "suspend", "ada", "--reason", "two\nlines")
    assert result.exit_code == 1
    assert answer(run("admin", "users", "--json"))[0]["suspended"] is None
    suspended = answer(run("admin", "suspend", "ada", "--reason", "Mining.", "--json"))
    assert suspended["suspended"] == "Mining."
    assert answer(run("admin", "unsuspend", "ada", "--json"))["suspended"] is None


def test_the_repository_is_made_once(run: Run, tmp_path: Path):
    assert answer(run("init-repo", "--json")) == {
        "path": str(tmp_path / "data" / "repo.git"),
        "created": True,
        "written": [],
        "kept": [],
        "waiting": [],
    }
    assert answer(run("init-repo", "--json"))["created"] is False
    assert "nothing was changed" in run("init-repo").stdout


def test_a_cluster_is_written_on_request_only(run: Run, monkeypatch: pytest.MonkeyPatch):
    assert run("init-repo", "--source-url", "https://git.example/a.git").exit_code == 2
    run("init-repo")
    cluster = ("init-repo", "--cluster", "prod", "--source-url", "https://git.example/a.git")
    told = run(*cluster)
    assert told.exit_code == 2
    assert "BASE_DOMAIN" in told.stderr
    monkeypatch.setenv("BASE_DOMAIN", "platform.example.org")
    written = answer(run(*cluster, "--json"))["written"]
    assert {path.split("/")[0] for path in written} == {"clusters"}
    assert "clusters/prod/git-repositories.yaml" in written
    assert "nothing was changed" in run(*cluster).stdout
    assert "written  clusters/prod/adm" in run(*cluster, "--image", "viewer:1").stdout


def test_the_table_of_settings_has_every_setting_with_its_meaning(run: Run):
    rows = answer(run("settings", "--json"))
    assert [row["name"].lower() for row in rows] == list(Settings.model_fields)
    assert all(row["description"] for row in rows)
    table = [line for line in run("settings").stdout.splitlines() if line.startswith("|")]
    assert len(table) == len(rows) + 2
    assert all(line.count("|") == 4 for line in table)


def test_the_described_api_is_the_same_whatever_the_environment_says(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    plain = run("openapi").stdout
    monkeypatch.setenv("MODE", "cluster")
    monkeypatch.setenv("SIGNUP", "closed")
    monkeypatch.setenv("PORT", "nonsense")
    assert run("openapi").stdout == plain
    assert json.loads(plain)["openapi"].startswith("3.")
    assert not (tmp_path / "data").exists()


def test_the_editor_is_typed_from_the_api_as_it_is(run: Run):
    written = (ROOT / "frontend" / "openapi.json").read_text(encoding="utf-8")
    assert written == run("openapi").stdout, (
        "run `.venv/bin/python -m api openapi > frontend/openapi.json`"
        " and `npm --prefix frontend run types`"
    )
