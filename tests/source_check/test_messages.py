import pytest

from api.domain.source_check import Diagnostic, check, is_valid

APP = "from fastapi import FastAPI\napp = FastAPI()\n"


def warnings(text: str) -> list[tuple[str, int, str]]:
    found = check({"user_code.py": text.encode()})
    assert is_valid(found), found
    return [(one.code, one.line, one.message) for one in found]


def only_error(text: str) -> Diagnostic:
    (found,) = [
        one for one in check({"user_code.py": (text + APP).encode()}) if one.severity == "error"
    ]
    return found


def test_the_message_about_os_teaches_settings() -> None:
    found = only_error("import os\n")
    assert found.message == "`os` is not available here."
    assert found.hint == "To read a setting, add it under Settings and use `pydantic_settings`."


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("import requests\n", "httpx"),
        ("import pickle\n", "json"),
        ("import subprocess\n", "BackgroundTasks"),
        ("from pathlib import Path\n", "static/"),
        ("from sqlalchemy import Column\n", "sqlmodel"),
        ("open('x')\n", "UploadFile"),
        ("eval('1')\n", "json.loads"),
        ("input()\n", "parameter of a route"),
        ("compile('x', 'y', 'exec')\n", "re.compile"),
        ("import unknown_thing\n", "list of packages"),
        ("import asyncio\nasyncio.run(x())\n", "lifespan"),
        ("import uvicorn\nuvicorn.run('x')\n", "__main__"),
        ("from . import x\n", "without the dots"),
        ("import logging\nlogging.os\n", "pydantic_settings"),
        ("int.__base__\n", "type(x)"),
    ],
)
def test_hints_say_what_to_do_instead(text: str, word: str) -> None:
    assert word in only_error(text).hint


def test_an_app_by_another_name_is_told_by_its_name() -> None:
    (found,) = check({"user_code.py": b"from fastapi import FastAPI\napi = FastAPI()\n"})
    assert "`api`" in found.message
    assert "app = api" in found.hint


def test_the_class_without_its_brackets_is_recognised() -> None:
    found = check({"user_code.py": b"from fastapi import FastAPI\napp = FastAPI\n"})
    assert "`()` is missing" in found[0].message


def test_unknown_names_are_warnings_with_a_guess() -> None:
    text = f"{APP}@app.get('/')\ndef hello():\n    return pritn('x')\n"
    found = check({"user_code.py": text.encode()})
    assert [(one.code, one.severity, one.line, one.column) for one in found] == [
        ("unknown_name", "warning", 5, 12)
    ]
    assert found[0].hint == "Did you mean `print`?"


def test_unused_imports_and_variables_are_warnings() -> None:
    found = warnings(f"import json\nfrom re import compile, sub\n{APP}def f():\n    x = 1\nsub\n")
    assert [(code, line) for code, line, _ in found] == [
        ("unused_name", 1), ("unused_name", 2), ("unused_name", 6),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "from __future__ import annotations\n",
        "import json as json\n",
        "import json\n__all__ = ['json', 'app']\n",
        "def f():\n    _ = 1\n    _x = 2\n",
        "def f():\n    a, b = 1, 2\n    return a\n",
        "def f():\n    with g() as x:\n        pass\ndef g(): ...\n",
        "def f(unused): ...\n",
        "X = 1\n",
        "def f():\n    global x\n    x = 1\nx = 0\n",
        "import json\ndef f():\n    return json\n",
        "import json\nclass A:\n    x = json\n",
        "from typing import List\ndef f(x: 'List[int]'): ...\n",
    ],
)
def test_what_is_used_or_meant_is_no_warning(text: str) -> None:
    assert warnings(text + APP) == []


def test_star_imports_leave_unknown_names_alone() -> None:
    assert warnings(f"from typing import *\nx: Optional[int] = None\n{APP}") == []


def test_a_shadowed_route_is_a_warning() -> None:
    found = warnings(
        f"{APP}@app.get('/items/{{id}}')\ndef one(id): ...\n@app.get('/items/me')\ndef me(): ...\n"
    )
    assert [(code, line) for code, line, _ in found] == [("shadowed_route", 5)]
    assert "`/items/{id}` in line 3" in found[0][2]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("get('/items/me')", "get('/items/{id}')"),
        ("get('/items/{id}')", "post('/items/{id}')"),
        ("get('/items/{id:int}')", "get('/items/me')"),
        ("get('/items/{id}')", "get('/items/{id}/parts')"),
        ("get('/a')", "get('/b')"),
        ("get('/{a}.txt')", "get('/{a}')"),
    ],
)
def test_routes_beside_each_other_are_no_warning(first: str, second: str) -> None:
    assert warnings(f"{APP}@app.{first}\ndef one(): ...\n@app.{second}\ndef two(): ...\n") == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("get('/a')", "get('/a')"),
        ("get('/{name}')", "get('/{other}')"),
        ("get('/files/{path:path}')", "get('/files/a/b')"),
        ("get('/files/{path:path}')", "get('/files/{a}/{b}')"),
        ("get(path='/{x}')", "get('/y', tags=['z'])"),
    ],
)
def test_routes_behind_each_other_are_a_warning(first: str, second: str) -> None:
    found = warnings(f"{APP}@app.{first}\ndef one(): ...\n@app.{second}\ndef two(): ...\n")
    assert [code for code, *_ in found] == ["shadowed_route"]


def test_a_second_app_is_a_warning() -> None:
    found = warnings(f"{APP}app = FastAPI(title='x')\n")
    assert [(code, line) for code, line, _ in found] == [("second_app", 3)]


def test_a_name_that_another_file_does_not_define_is_a_warning() -> None:
    found = check(
        {"user_code.py": f"from other import x\n{APP}print(x)\n".encode(), "other.py": b"y = 1\n"}
    )
    assert [(one.code, one.severity, one.line) for one in found] == [("unknown_name", "warning", 1)]


def test_what_the_compiler_warns_of_is_a_warning() -> None:
    found = warnings(f"{APP}print(1 is 1)\n")
    assert [(code, line) for code, line, _ in found] == [("syntax_warning", 3)]


def test_many_diagnostics_are_cut_without_changing_the_verdict() -> None:
    text = "".join(f"print(unknown{n})\n" for n in range(500)) + "import os\n" + APP
    found = check({"user_code.py": text.encode()})
    assert len(found) == 200
    assert not is_valid(found)
