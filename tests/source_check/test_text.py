import pytest

from api.domain.source_check import Diagnostic, check
from api.domain.source_limits import MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES

APP = b"from fastapi import FastAPI\napp = FastAPI()\n"


def errors(files: dict[str, bytes]) -> list[Diagnostic]:
    return [one for one in check({"user_code.py": APP, **files}) if one.severity == "error"]


def only(files: dict[str, bytes]) -> Diagnostic:
    (found,) = errors(files)
    return found


def test_a_leading_byte_order_mark_is_not_counted() -> None:
    assert check({"user_code.py": b"\xef\xbb\xbf" + APP}) == []
    found = only({"other.py": b"\xef\xbb\xbfimport os\n"})
    assert (found.line, found.column) == (1, 8)


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (b"x = '\xff'\n", 1, 6),
        (b"# \xc3\xa4\xc3\n", 1, 4),
        (b"a = 1\nb = '\xe9'\n", 2, 6),
        (b"\xff\xfea\x00", 1, 1),
        ("x = 'ä'\n".encode("latin-1"), 1, 6),
        (b"x = '\xed\xa0\x80'\n", 1, 6),  # a surrogate
        (b"x = '\xc0\xaf'\n", 1, 6),  # not the shortest form
    ],
)
@pytest.mark.parametrize("path", ["other.py", "static/page.html"])
def test_what_is_not_utf8_is_refused_at_its_byte(
    path: str, data: bytes, line: int, column: int
) -> None:
    found = only({path: data})
    assert (found.path, found.code, found.line, found.column) == (path, "not_utf8", line, column)


@pytest.mark.parametrize(
    ("character", "code"),
    [
        ("\x00", "nul"),
        ("\r", "lone_carriage_return"),
        *(
            (character, "bidirectional")
            for character in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
        ),
        *((character, "bidirectional") for character in "\u202c\u2069\u200e\u200f\u061c"),
    ],
)
@pytest.mark.parametrize("path", ["other.py", "notes.md", "static/a.js", "data.json"])
def test_characters_that_hide_code_are_refused_with_the_position(
    path: str, character: str, code: str
) -> None:
    found = only({path: f"# äö\n# x{character}y\n".encode()})
    assert (found.code, found.line, found.column) == (code, 2, 4)
    assert (found.end_line, found.end_column) == (2, 5)


def test_carriage_returns_before_line_feeds_are_line_ends() -> None:
    assert errors({"other.py": b"x = 1\r\nimport json\r\n", "a.txt": b"a\r\nb\r\n"}) == []
    assert only({"other.py": b"x = 1\r\n\r\nimport os\r\n"}).line == 3


@pytest.mark.parametrize(
    "comment",
    [
        "# coding: latin-1",
        "# -*- coding: utf-7 -*-",
        "#vim:fileencoding=rot13 x",
        "\t# coding=cp1252",
    ],
)
@pytest.mark.parametrize("before", ["", "\n", "#!/usr/bin/python\n"])
def test_an_encoding_other_than_utf8_is_refused(comment: str, before: str) -> None:
    found = only({"other.py": f"{before}{comment}\nx = 1\n".encode()})
    assert (found.code, found.line) == ("encoding", 1 + before.count("\n"))


@pytest.mark.parametrize(
    "text",
    [
        "# coding: utf-8\n",
        "# coding: UTF8\n",
        "x = 1\n# coding: latin-1\n",
        "'''\n# coding: ascii\n'''\n",
    ],
)
def test_an_encoding_comment_that_changes_nothing_is_accepted(text: str) -> None:
    assert errors({"other.py": text.encode()}) == []


def test_code_in_an_encoded_comment_is_never_hidden() -> None:
    hidden = b"# coding: unicode_escape\n# \\u000aimport os\n"
    assert only({"other.py": hidden}).code == "encoding"


@pytest.mark.parametrize(
    "path",
    [
        "../x.py",
        "/x.py",
        "a/../b.py",
        "./a.py",
        "a//b.py",
        ".hidden.py",
        "a/.git/config.txt",
        "a\\b.py",
        "a b.py",
        "ä.py",
        "\uff4f\uff53.py",
        "a\n.py",
        "",
        "x/",
        "con:.py",
        "a/b..py",
        "x.py/",
        "a" * 130 + ".py",
        "\udc80.py",
        "a\x00.py",
        "~/a.py",
    ],
)
def test_paths_that_are_not_plain_are_refused(path: str) -> None:
    assert "bad_path" in {one.code for one in errors({path: b""})}


@pytest.mark.parametrize(
    "path",
    [
        "a.py",
        "a/b/c.py",
        "static/app.js",
        "static/a-b_c.1.css",
        "data.json",
        "README.md",
        "a.csv",
        "a.txt",
        "static/logo.svg",
        "templates/index.html",
        "_private.py",
        "tests/test_a.py",
        "package/__init__.py",
        "routers/calendar.py",
        "app/types.py",
        "test.py",
    ],
)
def test_plain_paths_are_accepted(path: str) -> None:
    assert errors({path: b""}) == []


@pytest.mark.parametrize(
    "path", ["a.exe", "a.so", "a.pyc", "a", "a.PY", "Dockerfile", "a.py.txt2", "a.sh"]
)
def test_other_kinds_of_files_are_refused(path: str) -> None:
    assert only({path: b""}).code == "bad_extension"


@pytest.mark.parametrize(
    "paths",
    [
        ("a.py", "A.py"),
        ("x/a.py", "X/b.py"),
        ("Static/a.js", "static/b.js"),
        ("a.py", "a.py/b.py"),
        ("ß.txt", "a.txt"),
    ],
)
def test_twins_are_refused(paths: tuple[str, str]) -> None:
    codes = {one.code for one in errors(dict.fromkeys(paths, b""))}
    assert codes & {"twin_path", "bad_path"}


@pytest.mark.parametrize(
    "path",
    [
        "os.py",
        "random.py",
        "json/__init__.py",
        "fastapi.py",
        "fastapi/extra.py",
        "typing.py",
        "sqlalchemy.py",
        "anyio/x.py",
        "builtins.py",
        "asyncio.py",
        "email.py",
        "code.py",
        "uvicorn/main.py",
        "_thread.py",
    ],
)
def test_a_file_must_not_hide_a_module(path: str) -> None:
    found = only({path: b"x = 1\n"})
    assert found.code == "shadows_module"
    assert "Rename" in found.hint


def test_folders_without_code_hide_nothing() -> None:
    assert errors({"html/index.html": b"", "json/data.json": b"{}"}) == []


def test_the_number_of_files_is_bounded() -> None:
    many = {f"f{number}.txt": b"" for number in range(MAX_FILES - 1)}
    assert errors(many) == []
    assert only({**many, "one_more.txt": b""}).code == "too_many_files"


def test_the_size_of_a_file_is_bounded() -> None:
    assert errors({"a.txt": b"x" * MAX_FILE_BYTES}) == []
    assert only({"a.txt": b"x" * (MAX_FILE_BYTES + 1)}).code == "file_too_large"


def test_the_size_of_all_files_is_bounded() -> None:
    part = MAX_TOTAL_BYTES // 4
    files = {f"{name}.txt": b"x" * part for name in "abcd"}
    assert only(files).code == "too_large"


def test_several_things_are_told_at_once_in_order() -> None:
    found = check(
        {
            "user_code.py": b"import sys\nimport os\nx = eval('1'); y = exec('2')\n" + APP,
            "b.py": b"import subprocess\n",
            "a.py": b"def f(:\n",
        }
    )
    refused = [one for one in found if one.severity == "error"]
    places = [(one.path, one.line, one.column) for one in refused]
    assert places == [
        ("a.py", 1, 7),
        ("b.py", 1, 8),
        ("user_code.py", 1, 8),
        ("user_code.py", 2, 8),
        ("user_code.py", 3, 5),
        ("user_code.py", 3, 20),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "return 1",
        "await f()",
        "def f(a, a): pass",
        "break",
        "continue",
        "def f():\n x = 1\n global x",
        "nonlocal x",
        "async def f():\n  yield 1\n  return 2",
        "class A:\n  yield 1\n  return 1",
        "f(a=1, a=2)",
        "*a, *b = c",
        "x = 1\nfrom __future__ import annotations",
        "from __future__ import nothing",
        "def f():\n from os import *",
        "None = 1",
        "f() = 1",
        "match 1:\n case x: pass\n case y: pass",
        "if 1:\npass",
        "  x = 1",
        "if 1:\n\tx\n        y",
        "x = (",
        "'",
        '"""',
        "1a",
        "x = 08",
        "print 'x'",
        "a b",
        "lambda x, x: 1",
        "__debug__ = 1",
        "[x async for x in y]",
        "for x in y: f() = 1",
        "with open('x') as f() : pass",
        "x: int = yield",
        "9" * 5000,
        "\\",
        "\x0c\x01",
        "a = 5 if",
        "def f(): yield from x; await y",
    ],
)
def test_what_python_cannot_compile_is_a_syntax_error_at_its_place(text: str) -> None:
    with pytest.raises(SyntaxError):
        compile(text, "other.py", "exec", dont_inherit=True)
    found = [one for one in errors({"other.py": text.encode()}) if one.code == "syntax_error"]
    assert len(found) == 1
    assert 1 <= found[0].line <= text.count("\n") + 1
    assert found[0].column >= 1
