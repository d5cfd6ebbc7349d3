"""A filter compares; whatever could run, join or write is refused wherever it stands."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.document_filter import MAX_FILTER_BYTES, checked_filter
from api.errors import InvalidRequest

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5).filter(lambda n: not n.startswith("$")), inner)
    ),
    max_leaves=8,
)
HOSTILE = ["$where", "$function", "$accumulator", "$expr", "$code", "$scope", "$jsonSchema", "$"]


@given(content=st.dictionaries(st.text(max_size=5).filter(lambda n: n[:1] != "$"), PLAIN))
def test_a_filter_without_operators_means_what_it_says(content: dict[str, Any]) -> None:
    try:
        sent = checked_filter(json.dumps(content))
    except InvalidRequest as error:
        reason = error.message
        assert "larger" in reason or "deep" in reason
        return
    assert json.loads(sent) == content


@given(name=st.sampled_from(HOSTILE), around=st.lists(st.sampled_from(["a", "$and", "$not", 0])))
def test_what_runs_code_is_refused_at_any_depth(name: str, around: list[str | int]) -> None:
    content: Any = {name: "function () { return true }"}
    for each in around:
        content = [content] if each == 0 else {each: content}
    with pytest.raises(InvalidRequest, match=r"may not hold|deep|not an object"):
        checked_filter(json.dumps(content))


@given(text=st.text(max_size=60))
def test_any_text_is_taken_or_refused_with_a_reason(text: str) -> None:
    try:
        sent = checked_filter(text)
    except InvalidRequest as error:
        told = (error.code, bool(error.hint))
        assert told == ("filter_refused", True)
        return
    assert isinstance(json.loads(sent), dict)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "not an object"),
        ("{", "not JSON at line 1, column 2"),
        ('{"a": ' + "[" * 20 + "1" + "]" * 20 + "}", "deep"),
        ('{"a": ' + "[" * 4000 + "]" * 4000 + "}", "deep|can be read"),
        ('{"a": "' + "x" * MAX_FILTER_BYTES + '"}', "larger"),
        ('{"a": 1, "\\u0024where": "1"}', "may not hold"),
    ],
)
def test_what_is_no_filter_is_told(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        checked_filter(text)


def test_of_two_names_that_are_the_same_the_checked_one_is_sent() -> None:
    assert checked_filter('{"a": {"$where": "1"}, "a": 2}') == '{"a": 2}'


def test_an_empty_filter_finds_everything_and_comparisons_pass() -> None:
    assert checked_filter(" ") == "{}"
    assert checked_filter('{"_id": {"$in": [{"$oid": "65f000000000000000000000"}]}}')
