import pytest

from api.domain.source_check import check
from tests.source_check.corpus import Case, read


def _cases(name: str) -> list[object]:
    return [pytest.param(case, id=case.title) for case in read(f"entrypoints_{name}.txt")]


@pytest.mark.parametrize("case", _cases("accepted"))
def test_every_honest_way_to_bind_app_is_accepted(case: Case) -> None:
    assert [one for one in check(case.files) if one.severity == "error"] == []


@pytest.mark.parametrize("case", _cases("refused"))
def test_what_was_found_instead_is_said_where_it_stands(case: Case) -> None:
    (error,) = [one for one in check(case.files) if one.severity == "error"]
    assert error.code == case.code, error
    assert error.path == "user_code.py"
    assert ((error.line, error.column, error.end_line, error.end_column),) == case.places, error


def test_the_entrypoint_may_be_another_file() -> None:
    files = {"app/main.py": b"from fastapi import FastAPI\napp = FastAPI()\n"}
    assert check(files, "app/main.py") == []


def test_a_missing_entrypoint_is_named() -> None:
    (error,) = check({"main.py": b"from fastapi import FastAPI\napp = FastAPI()\n"})
    assert (error.path, error.code) == ("user_code.py", "no_entrypoint")


def test_an_entrypoint_that_cannot_be_read_is_told_about_its_syntax_only() -> None:
    (error,) = check({"user_code.py": b"def f(:\n"})
    assert error.code == "syntax_error"


def test_an_app_from_a_file_that_cannot_be_read_is_told_about_that_file_only() -> None:
    found = check({"user_code.py": b"from other import app\n", "other.py": b"def f(:\n"})
    assert [(one.path, one.code) for one in found] == [("other.py", "syntax_error")]


def test_files_that_import_app_from_each_other_bind_nothing() -> None:
    found = check(
        {"user_code.py": b"from other import app\n", "other.py": b"from user_code import app\n"}
    )
    assert [one.code for one in found if one.severity == "error"] == ["app_of_another_kind"]
