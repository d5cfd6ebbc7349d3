"""Whose folders a change touches: a person's own apps, and everything for operators."""

import pytest

from tests.guarding.changes import ANN, BOB, HELLO, app_files, folder, push_odd, tenant
from tests.history.people import Repository

PEOPLE = b"""\
apiVersion: fastapi-platform/v1
kind: People
operators: [Olga]
people:
  bob-at-forge: ubob
  ann.x: uann
"""
CODE = f"{folder(BOB)}/code/user_code.py"


@pytest.fixture
def people(repository: Repository) -> Repository:
    repository.push({"people.yaml": PEOPLE} | app_files(ANN))
    return repository


def rules(report) -> set[tuple[str, str]]:
    return {(found.path, found.code) for found in report.findings if found.severity == "error"}


@pytest.mark.parametrize("login", ["bob-at-forge", "Bob-At-Forge", "olga"])
def test_people_change_their_own_apps_and_operators_all(guard, people, login):
    people.push({CODE: HELLO + b"# more\n", f"{tenant('ubob')}/one/code/new.txt": b"x"})
    assert rules(guard(people, base="main~1", author=login)) == set()


def test_nobody_changes_an_app_of_somebody_else(guard, people):
    people.push({CODE: HELLO + b"# more\n"})
    found = rules(guard(people, base="main~1", author="ann.x"))
    assert found == {(f"{folder(BOB)}/code", "not_yours")}


def test_who_is_not_listed_changes_nothing(guard, people):
    people.push({CODE: HELLO + b"# more\n"})
    found = rules(guard(people, base="main~1", author="eve"))
    assert found == {("people.yaml", "unknown_author")}


@pytest.mark.parametrize(
    "path",
    [
        "platform.yaml",
        "people.yaml",
        "clusters/prod/extra/role.yaml",
        ".github/workflows/check.yaml",
        "CODEOWNERS",
        f"{tenant('ubob')}/tenant.yaml",
        f"{folder(BOB)}/secrets/KEY.sops.yaml",
        "apps/5e/README.md",
    ],
)
def test_what_is_the_platforms_or_the_operators_is_nobody_elses(guard, people, path):
    before = people.git2[people.head()].tree
    data = before[path].data if path in before else b"x: y\n"
    people.push({path: data + b"\n"})
    refused = {place for place, rule in rules(guard(people, base="main~1", author="bob-at-forge"))
               if rule == "not_yours"}  # fmt: skip
    assert len(refused) == 1
    assert path.startswith(refused.pop())
    assert "not_yours" not in {r for _, r in rules(guard(people, base="main~1", author="olga"))}


def test_nobody_lists_themselves(guard, people):
    people.push({"people.yaml": PEOPLE + b"  eve: ubob\n", CODE: HELLO + b"# more\n"})
    found = rules(guard(people, base="main~1", author="eve"))
    assert ("people.yaml", "unknown_author") in found


def test_taking_away_is_a_change_too(guard, people):
    people.push({folder(ANN): None})
    refused = {rule for _, rule in rules(guard(people, base="main~1", author="bob-at-forge"))}
    assert refused == {"not_yours"}
    assert rules(guard(people, base="main~1", author="ann.x")) == set()


def test_another_mode_is_a_change_too(guard, people):
    push_odd(people, "README.md", b"100755", people.git2[people.head()].tree["README.md"].data)
    found = rules(guard(people, base="main~1", author="bob-at-forge"))
    assert found == {("README.md", "not_yours")}


def test_without_a_list_nobody_is_known(guard, repository):
    repository.push({"people.yaml": None, CODE: HELLO + b"# more\n"})
    found = rules(guard(repository, base="main", head="main", author="bob"))
    assert found == set()  # nothing changed
    assert ("people.yaml", "unknown_author") in rules(
        guard(repository, base="main~1", author="bob")
    )


def test_without_an_author_it_is_said_that_this_is_not_judged(guard, people):
    people.push({CODE: HELLO + b"# more\n"})
    assert any("--author" in rule for rule in guard(people, base="main~1").not_judged)
    assert not guard(people, base="main~1", author="ann.x").not_judged


@pytest.mark.parametrize(
    "data",
    [
        b"kind: People\npeople: {a: NotAnId}\n",
        b"kind: People\npeople: {12: ubob}\n",
        b"kind: People\npeople: {'a b': ubob}\n",
        b"kind: People\npeople: {a: ubob, a: uann}\n",
        b"kind: People\npeople: {a: ubob, A: uann}\n",
        b"kind: People\nowners: [a]\n",
        b"kind: Platform\n",
        b"[" * 5000,
        b"\xff",
    ],
)
def test_the_list_has_a_schema(guard, people, data):
    people.push({"people.yaml": data})
    assert rules(guard(people, base="main~1")) == {("people.yaml", "people")}
    people.push({CODE: HELLO + b"# more\n"})
    assert ("people.yaml", "people") in rules(guard(people, base="main~1", author="bob-at-forge"))
