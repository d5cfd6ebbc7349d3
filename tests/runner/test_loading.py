"""The learner's files are theirs: their names, their text, their folder, their variables."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runner.running import HELLO, Running

Start = Callable[..., Running]
ANSWER = """
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def answer():
    return {}
"""


def answering(expression: str) -> str:
    return ANSWER.replace("{}", expression)


def test_encoding_declaration_never_turns_a_comment_into_code(start: Start) -> None:
    code = "# coding: utf_7\nhidden = 'no'\n# +AAo-hidden = 'yes'\n" + answering("hidden, 'ü'")
    assert start(code).wait_until_ready().get("/").json() == ["no", "ü"]


def test_byte_order_mark_is_stripped(start: Start) -> None:
    files = {"user_code.py": b"\xef\xbb\xbf" + HELLO.encode()}
    assert start(files=files).wait_until_ready().get("/").json() == "hello"


def test_other_encodings_are_refused_with_the_line(start: Start) -> None:
    running = start(files={"user_code.py": b"# coding: latin-1\na = '\xfc'\n"})
    assert running.wait_until_ended() == 3
    failed = json.loads(running.failure().partition("failed ")[2])
    assert failed == {"path": "user_code.py", "line": 2, "message": "SyntaxError: not UTF-8"}


def test_module_has_its_own_name_and_never_main(start: Start) -> None:
    code = answering("__name__") + "\nif __name__ == '__main__':\n    raise SystemExit(1)\n"
    running = start(files={"shop/main.py": code}, entrypoint="shop/main.py").wait_until_ready()
    assert running.get("/").json() == "shop.main"


@pytest.mark.parametrize(
    ("entrypoint", "name"),
    [
        ("my-app.py", "my-app"),
        ("my.app.py", "my_app"),
        ("shop/v1.0.py", "shop.v1_0"),
        ("class.py", "class"),
        ("__main__.py", "__entrypoint__"),
        ("shop/__main__.py", "shop.__main__"),
        ("shop/__init__.py", "shop"),
    ],
)
def test_any_file_name_can_be_the_entrypoint(start: Start, entrypoint: str, name: str) -> None:
    running = start(files={entrypoint: answering("__name__")}, entrypoint=entrypoint)
    assert running.wait_until_ready().get("/").json() == name


def test_text_that_cannot_be_encoded_does_not_fail_a_print(start: Start) -> None:
    variables = {"PYTHONIOENCODING": "ascii"}
    running = start(answering("print('ü \\ud800')"), variables=variables).wait_until_ready()
    assert running.get("/").status_code == 200
    assert running.out.splitlines()[0] == "ü \\ud800"


def test_learners_files_may_have_the_names_of_the_runners(start: Start) -> None:
    names = [
        "entrypoint",
        "environment",
        "failure",
        "front",
        "learner_code",
        "lifecycle",
        "probes",
        "server",
    ]
    files = {f"{name}.py": f"whose = 'mine: {name}'" for name in names}
    imports = "".join(f"import {name}\n" for name in names)
    files["user_code.py"] = imports + answering(f"[m.whose for m in ({', '.join(names)})]")
    running = start(files=files).wait_until_ready()
    assert running.get("/").json() == [f"mine: {name}" for name in names]


def test_platforms_variables_are_hidden_and_the_learners_stay(start: Start) -> None:
    code = "import os\n" + answering("dict(os.environ)")
    seen = start(code, variables={"SHOP_NAME": "Pots"}).wait_until_ready().get("/").json()
    assert seen["SHOP_NAME"] == "Pots"
    assert [name for name in seen if name.startswith("FASTAPI_PLATFORM")] == []


def test_learners_variables_do_not_steer_the_server(start: Start) -> None:
    variables = {"WEB_CONCURRENCY": "many", "FORWARDED_ALLOW_IPS": "*", "PORT": "1"}
    assert start(variables=variables).wait_until_ready().get("/").status_code == 200


def test_app_works_in_a_writable_copy_of_its_files(start: Start) -> None:
    code = "import os, sqlite3\nsqlite3.connect('new.db').execute('create table t (a)')\n"
    running = start(code + answering("[os.getcwd(), sorted(os.listdir())]")).wait_until_ready()
    work = running.folder / "work"
    assert running.get("/").json() == [str(work), ["new.db", "user_code.py"]]
    assert [path.name for path in running.source.iterdir()] == ["user_code.py"]


def test_files_of_a_config_map_volume_are_found_through_its_links(
    start: Start, tmp_path: Path
) -> None:
    version = tmp_path / "volume" / "..2026_11_23"
    (version / "routers").mkdir(parents=True)
    (version / "routers" / "items.py").write_text("name = 'linked'", encoding="utf-8")
    code = "from routers.items import name\n" + answering("name")
    (version / "user_code.py").write_text(code, encoding="utf-8")
    volume = version.parent
    (volume / "..data").symlink_to(version.name)
    for name in ("routers", "user_code.py"):
        (volume / name).symlink_to(f"..data/{name}")
    running = start(source=volume).wait_until_ready()
    assert running.get("/").json() == "linked"
    assert sorted(p.name for p in (running.folder / "work").iterdir()) == [
        "routers",
        "user_code.py",
    ]


def test_prints_and_logs_appear_at_once(start: Start) -> None:
    code = """
import logging
from fastapi import FastAPI

app = FastAPI()
logger = logging.getLogger("uvicorn.error")

@app.get("/")
def hello():
    print("printed")
    logger.info("logged")
"""
    running = start(code).wait_until_ready()
    running.get("/")
    assert running.out.splitlines()[0] == "printed"
    assert running.err.splitlines() == ["INFO: logged"]
