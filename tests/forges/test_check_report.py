"""What a status and a comment say, whatever was named by whoever made the change."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.check_report import unfinished, verdict
from api.domain.source_check import Diagnostic
from tests.forges.messages import HEAD


def found(path: str, code: str = "import", **more: str) -> Diagnostic:
    said = {"severity": "error", "message": "No `os`.", "hint": "Leave it out."} | more
    return Diagnostic(path=path, line=3, column=1, end_line=3, end_column=2, code=code, **said)


def test_nothing_found_is_a_success():
    told = verdict(HEAD, 1, [], ["who"])
    assert (told.state, told.description) == (
        "success",
        "1 app checked. Nothing stands in the way.",
    )
    assert told.details is not None
    assert "Not judged: who." in told.details


def test_warnings_alone_are_a_success_that_tells_them():
    told = verdict(HEAD, 2, [found("a.py", severity="warning")], [])
    assert told.state == "success"
    assert "a.py:3: warning import" in (told.details or "")


def test_an_error_is_a_failure_with_file_and_line():
    told = verdict(HEAD, 1, [found("w.py", severity="warning"), found("a.py")], [])
    assert (told.state, told.description) == ("failure", "1 to correct: a.py:3: import")
    assert (told.details or "").index("a.py:3") < (told.details or "").index("w.py:3")


def test_many_findings_are_cut():
    told = verdict(HEAD, 1, [found(f"{n}.py") for n in range(500)], [])
    assert "… and 450 more" in (told.details or "")


def test_a_check_that_could_not_be_made_is_an_error_that_says_why():
    told = unfinished(HEAD, "The forge has no head of it.\nReally.")
    assert told.state == "error"
    assert told.description == "Not checked: The forge has no head of it. Really."
    assert "again" in (told.details or "")


_text = st.text(max_size=400) | st.sampled_from(
    ["```", "`" * 9, "@everyone", "\n```\n# Approved", "<!-- x -->", "[x](javascript:1)", "~~~"]
)


@given(_text, _text, _text)
def test_nothing_that_others_wrote_leaves_its_block(path: str, message: str, hint: str):
    told = verdict(HEAD, 1, [found(path, message=message, hint=hint)] * 60, [])
    for said in (told, unfinished(HEAD, message)):
        details = said.details or ""
        assert len(said.description) <= 140
        assert said.description.isprintable()
        assert len(details) < 65_000
        fences = re.findall(r"(?m)^\s*(`{3,}).*$", details)
        assert fences == ["```", "```"]
        outside = re.sub(r"(?s)```text\n.*?\n```", "", details)
        assert "@" not in outside
        assert "<" not in outside


@pytest.mark.parametrize("length", [10, 1000])
def test_a_long_line_is_cut(length: int):
    told = verdict(HEAD, 1, [found("a.py", message="x" * length)], [])
    assert ("…" in (told.details or "")) is (length > 800)
