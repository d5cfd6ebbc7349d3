import pytest

from api.domain.source_check import check
from tests.source_check.corpus import APP, Case, read


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.title) for case in read("projects_refused.txt")]
)
def test_names_are_followed_through_files(case: Case) -> None:
    files = {**case.files, "user_code.py": (case.text + APP).encode()}
    errors = [one for one in check(files) if one.severity == "error"]
    assert {one.code for one in errors} == {case.code}, errors
    assert [(one.line, one.column, one.end_line, one.end_column) for one in errors] == list(
        case.places
    )


def test_a_refusal_names_the_file_it_stands_in() -> None:
    files = {"user_code.py": b"from web import app\n", "web.py": APP.encode() + b"import os\n"}
    (error,) = check(files)
    assert (error.path, error.line, error.column) == ("web.py", 4, 8)


def test_what_another_file_starts_is_told_there() -> None:
    files = {
        "user_code.py": b"from tools import start\nstart()\n" + APP.encode(),
        "tools.py": b"import uvicorn\ndef start():\n    uvicorn.run('user_code:app')\n",
    }
    (error,) = check(files)
    assert (error.path, error.line, error.code) == ("tools.py", 3, "runs_at_import")


def test_relative_imports_stay_within_the_files() -> None:
    files = {
        "user_code.py": b"from app.main import app\n",
        "app/main.py": b"from .. import others\nfrom ..user_code import x\n" + APP.encode(),
    }
    codes = [(one.code, one.line) for one in check(files) if one.severity == "error"]
    assert codes == [("relative_import", 1), ("relative_import", 2)]


def test_files_that_no_import_can_name_are_checked_too() -> None:
    files = {"my-app.v2.py": APP.encode(), "sub/a-b.py": b"from . import c\nimport os\nc.x.sys\n"}
    files["sub/c.py"] = b"import asyncio as x\n"
    found = [
        (one.path, one.line) for one in check(files, "my-app.v2.py") if one.severity == "error"
    ]
    assert found == [("sub/a-b.py", 2), ("sub/a-b.py", 3)]


def test_own_modules_need_not_be_listed() -> None:
    files = {
        "user_code.py": b"import models.users as users\nfrom models import items\n"
        b"import models\nprint(users.x, items.y, models.users)\n" + APP.encode(),
        "models/users.py": b"x = 1\n",
        "models/items.py": b"from . import users\nfrom .users import x as y\nprint(users, y)\n",
    }
    assert check(files) == []


def test_additional_modules_of_the_platform_are_allowed() -> None:
    code = b"import numpy\nimport numpy.linalg as la\nfrom os import path\nprint(numpy, la, path)\n"
    files = {"user_code.py": code + APP.encode()}
    assert len([one for one in check(files) if one.severity == "error"]) == 3
    assert check(files, additional_imports=["numpy", "os.path", "os"]) == []


def test_a_file_cannot_hide_an_additional_module() -> None:
    files = {"user_code.py": APP.encode(), "numpy.py": b""}
    assert check(files) == []
    assert [one.code for one in check(files, additional_imports=["numpy"])] == ["shadows_module"]


def test_the_order_of_files_does_not_matter() -> None:
    files = {
        "user_code.py": b"import os\nfrom b import x\nx.sys\n" + APP.encode(),
        "b.py": b"import asyncio\nx = asyncio\nimport sys\n",
        "c.py": b"eval('1')\n",
    }
    expected = check(files)
    assert expected == check(dict(reversed(files.items())))
    assert [one.path for one in expected] == sorted(one.path for one in expected)
