"""Why a start failed: what a log and Kubernetes' words become for a learner."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.failures import explain, find_error
from api.domain.rollout import Pod


def failed(*log: str, **fields) -> Pod:
    return Pod("p", "i", "failed", log_tail=log, **({"exit_code": 3} | fields))


def runner_line(message: object, path: object = "user_code.py", line: object = 7) -> str:
    said = json.dumps({"path": path, "line": line, "message": message})
    return f"fastapi-platform: failed {said}"


def test_the_runners_line_outranks_the_traceback_above_it():
    why = explain(
        failed(
            "Traceback (most recent call last):",
            '  File "/app/other.py", line 1, in <module>',
            "KeyError: 'x'",
            runner_line("ZeroDivisionError: division by zero"),
        )
    )
    assert (why.message, why.path, why.line) == (
        "ZeroDivisionError: division by zero",
        "user_code.py",
        7,
    )
    assert why.reason == "import_failed"
    assert why.hint


@pytest.mark.parametrize("folder", ["", "/app/", "/tmp/app/"])  # noqa: S108  (where a pod's code is)
def test_a_traceback_names_the_learners_innermost_line(folder):
    why = explain(
        failed(
            "Traceback (most recent call last):",
            '  File "/opt/venv/lib/python3.12/site-packages/uvicorn/main.py", line 1, in run',
            f'  File "{folder}user_code.py", line 3, in <module>',
            "    from routers import items",
            f'  File "{folder}routers/items.py", line 12, in <module>',
            "    1 / 0",
            "    ~~^~~",
            '  File "/usr/lib/python3.12/json/__init__.py", line 5, in loads',
            "ZeroDivisionError: division by zero",
            exit_code=1,
        )
    )
    assert (why.path, why.line) == ("routers/items.py", 12)
    assert why.message == "ZeroDivisionError: division by zero"
    assert why.reason == "crashed"


@pytest.mark.parametrize(
    ("code", "message", "line"),
    [
        ("def f():\n    raise ValueError('two\\nlines')\nf()\n", "ValueError: two", 2),
        ("import no_such_thing\n", "ModuleNotFoundError: No module named 'no_such_thing'", 1),
        ("x = (\n", "SyntaxError: '(' was never closed", 1),
        ("\n\nassert False\n", "AssertionError", 3),
        ("try:\n    1 / 0\nexcept Exception:\n    raise KeyError('k')\n", "KeyError: 'k'", 4),
        ("class Odd(Exception): pass\nraise Odd\n", "Odd", 2),
    ],
)
def test_real_tracebacks_are_read(tmp_path, code, message, line):
    (tmp_path / "user_code.py").write_text(code)
    command = [sys.executable, "-I", "user_code.py"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    spot = find_error(ended.stderr.replace(f"{tmp_path}/", "").splitlines())
    assert spot.message.removeprefix("__main__.") == message
    assert (spot.path, spot.line) == ("user_code.py", line)


def test_the_last_of_several_tracebacks_counts():
    log = []
    for number in (1, 2):
        log += [
            "Traceback (most recent call last):",
            f'  File "a.py", line {number}, in f',
            f"E{number}: x",
        ]
    assert find_error(log).line == 2


@pytest.mark.parametrize(
    "log",
    [
        (),
        ("INFO: started",),
        ("Traceback (most recent call last):",),
        ("fastapi-platform: failed {",),
        ("fastapi-platform: failed []",),
        (runner_line(None),),
        (f"fastapi-platform: failed {'[' * 100_000}",),
    ],
    ids=range(7),
)
def test_a_log_without_an_error_names_none(log):
    assert find_error(log) is None
    assert explain(failed(*log)).message


def test_odd_places_in_the_runners_line_are_left_out():
    assert find_error([runner_line("x", path=3)]).path is None
    assert find_error([runner_line("x", line="7")]).line is None
    assert find_error([runner_line("x", line=True)]).line is None


@given(st.lists(st.text(max_size=200), max_size=20), st.one_of(st.none(), st.integers(-70, 300)))
def test_any_log_is_explained(log, code):
    why = explain(failed(*log, exit_code=code))
    assert why.reason
    assert why.message
    assert why.hint
    assert len(why.message) <= 500


@pytest.mark.parametrize(
    ("pod", "reason"),
    [
        (failed(reason="OOMKilled", exit_code=137), "out_of_memory"),
        (failed(runner_line("MemoryError"), exit_code=3), "out_of_memory"),
        (failed(exit_code=137), "killed"),
        (failed(exit_code=-9), "killed"),
        (failed(exit_code=0, reason="Completed"), "ended"),
        (failed(exit_code=4), "no_app"),
        (failed(exit_code=5, reason="CrashLoopBackOff"), "startup_failed"),
        (failed(exit_code=2), "platform"),
        (failed(exit_code=77), "crashed"),
        (failed(exit_code=None, reason="CrashLoopBackOff"), "crashed"),
        (failed(reason="ImagePullBackOff", exit_code=None), "image"),
        (failed(reason="Unschedulable", exit_code=None), "no_room"),
        (failed(reason="Evicted", exit_code=None), "evicted"),
        (failed(reason="CreateContainerConfigError", exit_code=None), "configuration"),
    ],
)
def test_kubernetes_words_become_reasons(pod, reason):
    assert explain(pod).reason == reason
