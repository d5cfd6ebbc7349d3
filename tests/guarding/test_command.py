"""`python -m api check`, as people, workflows and code hosts run it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import click.testing
import pytest
from typer.testing import CliRunner

from api import commands
from tests.guarding.changes import BOB, FORBIDDEN, HELLO, folder, push_odd
from tests.history.people import Repository

Run = Callable[..., click.testing.Result]
CODE = f"{folder(BOB)}/code/user_code.py"


@pytest.fixture
def run(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> Run:
    # As in the platform's image: no setting of a cluster is there, and none is needed.
    monkeypatch.setenv("MODE", "cluster")
    monkeypatch.setenv("COLUMNS", "200")
    where = ("--repository", str(repository.path))
    return lambda *arguments: CliRunner().invoke(commands.app, ["check", *arguments, *where])


def test_a_good_repository_passes_with_status_0(run):
    done = run("main")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "1 apps checked" in done.stdout
    assert "Not judged: whose folders" in done.stdout


def test_people_are_told_file_line_rule_and_what_to_do(run, repository):
    repository.push({CODE: FORBIDDEN})
    done = run("main", "--base", "main~1")
    assert done.exit_code == 1
    first = done.stdout.splitlines()[0]
    assert first.startswith(f"{CODE}:1: ")
    assert "subprocess" in first


def test_programs_are_told_the_same(run, repository):
    repository.push({CODE: FORBIDDEN})
    done = run("main", "--base", "main~1", "--json")
    answer = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (answer["passed"], answer["apps"], answer["revision"]) == (False, 1, repository.head())
    assert (answer["findings"][0]["path"], answer["findings"][0]["line"]) == (CODE, 1)


def test_code_hosts_are_told_the_same_in_sarif(run, repository):
    odd = f"{folder(BOB)}/a b%\N{SNOWMAN}.yaml"
    repository.push({CODE: FORBIDDEN})
    push_odd(repository, odd)
    done = run("main", "--base", "main~2", "--sarif")
    log = json.loads(done.stdout)
    assert done.exit_code == 1
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-2.1.0.json")
    [one] = log["runs"]
    driver = one["tool"]["driver"]
    assert driver["name"]
    rules = [rule["id"] for rule in driver["rules"]]
    assert len(rules) == len(set(rules))
    for result in one["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("error", "warning")
        assert result["message"]["text"]
        [place] = result["locations"]
        uri = place["physicalLocation"]["artifactLocation"]["uri"]
        assert uri.isascii()
        assert " " not in uri
        region = place["physicalLocation"]["region"]
        assert all(value >= 1 for value in region.values())
        assert (region["endLine"], region["endColumn"]) >= (
            region["startLine"], region["startColumn"],
        )  # fmt: skip
    uris = {
        r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in one["results"]
    }
    assert {CODE, f"{folder(BOB)}/a%20b%25%E2%98%83.yaml"} <= uris


def test_a_path_cannot_command_a_workflow_or_a_terminal(run, repository):
    push_odd(repository, [b"::error::x\n::set-output name=a::b\x1b[2J"])
    done = run("main", "--base", "main~1")
    assert done.exit_code == 1
    assert not any(line.startswith("::") for line in done.stdout.splitlines())
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("nowhere",),
        ("main", "--base", "nowhere"),
        ("main", "--base", "main:platform.yaml"),
        ("main", "--author", "bob"),
        ("main", "--json", "--sarif"),
        ("main", "--base", ""),
        ("main", "--unknown"),
    ],
)
def test_what_cannot_be_asked_ends_with_status_2(run, arguments):
    done = run(*arguments)
    assert done.exit_code == 2
    assert "Traceback" not in done.output


def test_two_histories_without_a_common_commit_cannot_be_compared(run, repository):
    alone = repository.commit([], {"README.md": b"x"})
    done = run("main", "--base", alone)
    assert done.exit_code == 2
    assert "no commit in common" in done.stderr


def test_a_folder_that_is_no_clone_is_said(tmp_path):
    done = CliRunner().invoke(commands.app, ["check", "--repository", str(tmp_path)])
    assert done.exit_code == 2
    assert "no git repository" in done.stderr


def test_a_shallow_clone_is_said(repository, tmp_path: Path):
    repository.push({CODE: HELLO + b"# more\n"})
    clone = tmp_path / "shallow"
    source = f"file://{repository.path}"
    subprocess.run(["git", "clone", "-q", "--depth=1", source, clone], check=True)
    done = CliRunner().invoke(commands.app, ["check", "--repository", str(clone)])
    assert done.exit_code == 2
    assert "git fetch --unshallow" in done.stderr


def test_a_clone_is_checked_from_git_whatever_its_work_tree_holds(repository, tmp_path: Path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", repository.path, clone], check=True)
    (clone / CODE).write_bytes(FORBIDDEN)
    (clone / "stray.yaml").write_text("x: y\n")
    done = CliRunner().invoke(commands.app, ["check", "--repository", str(clone / "apps")])
    assert done.exit_code == 0, done.output
    subprocess.run(["git", "-C", clone, "-c", "user.name=a", "-c", "user.email=a@example.org",
                    "commit", "-qam", "x"], check=True)  # fmt: skip
    done = CliRunner().invoke(
        commands.app, ["check", "--repository", str(clone), "--base", "origin/main"]
    )
    assert done.exit_code == 1, done.output
