"""Text as YAML: what is written is what every reader gets, or an error."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from api.clients.kustomize import Kustomize
from api.domain.safe_text import unsafe_character
from api.domain.yaml_text import (
    UnsafeText,
    compose_all,
    load_all,
    load_strict,
    quote,
    quoted_scalars,
    text_at,
)
from tests.manifests.hostile import REFUSED, VALUES


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_a_quoted_value_is_one_line_of_ascii_and_reads_back(value):
    text = quote(value)
    assert text.isascii()
    assert "\n" not in text
    assert yaml.safe_load(text) == value
    assert load_all(text) == [value]
    (document,) = compose_all(f"a: {text}\nb: [1, {text}]\n")
    assert quoted_scalars(document) == [value, value]
    assert text_at(document, "a") == value


@pytest.mark.parametrize("value", REFUSED, ids=ascii)
def test_a_character_that_tools_alter_is_refused_with_its_position(value):
    with pytest.raises(UnsafeText, match=f"character 3 .U.{ord(value):04X}"):
        quote(f"ab{value}")


@given(st.text())
def test_any_text_is_kept_or_refused(value):
    if unsafe_character(value) is None:
        assert yaml.safe_load(quote(value)) == value == load_all(quote(value))[0]
    else:
        with pytest.raises(UnsafeText):
            quote(value)


async def test_kustomize_keeps_every_value_and_its_output_reads_back():
    lines = "".join(f"    a{n}: {quote(value)}\n" for n, value in enumerate(VALUES))
    pod = f"apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  annotations:\n{lines}"
    files = {
        "kustomization.yaml": b"resources: [a.yaml]\n",
        "a.yaml": pod.encode(),
    }
    (built,) = await Kustomize().build(files)
    assert [built["metadata"]["annotations"][f"a{n}"] for n in range(len(VALUES))] == list(VALUES)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-12", -12), ("0", 0), ("1.5", 1.5), ("1e3", 1000.0), ("true", True),
        ("null", None), ("~", None), ("", None), ("=", "="), ("yes", "yes"), ("0o17", "0o17"),
        ("012", "012"), ("1:30", "1:30"), ("2001-01-01", "2001-01-01"), ("1_000", "1_000"),
        ("<<", "<<"), ("True", "True"), (".inf", ".inf"),
    ],
)  # fmt: skip
def test_plain_scalars_have_the_types_of_json_and_no_others(text, value):
    (found,) = load_all(f"a: {text}\n")
    assert found["a"] == value
    assert type(found["a"]) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "a: &x 1\nb: *x\n", "a: !!python/name:os.system\n", "a: !x 1\n", "a: 1\na: 2\n",
        "<<: {a: 1}\n", "1: a\n'1': b\n", "[" * 40 + "]" * 40, "[" * 100_000, "a: [\n", "\x00",
    ],
    ids=ascii,
)  # fmt: skip
def test_what_a_person_writes_must_be_plain(text):
    with pytest.raises(yaml.YAMLError):
        load_strict(text)
