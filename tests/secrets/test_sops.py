"""Files of SOPS as written here, against the real program, and its files as read here."""

import json
import os
import re
import string
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from api.domain import sops
from api.domain.yaml_text import load_all, quote

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
IDENTITY = sops.new_identity()
RECIPIENT = sops.recipient_of(IDENTITY)
SOPS = Path(sys.executable).parent / "sops"

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"))
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True).filter(
    lambda name: name not in {"null", "true", "false"}
)
VALUES = st.one_of(
    TEXTS,
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(-1e15, 1e15, allow_nan=False, allow_infinity=False),
)
HOSTILE = {
    "empty": "",
    "lines": "a\n\n  b\r\n\tc\n",
    "unicode": "Zoë 🦆 \u2028 ключ",
    "looks": "ENC[AES256_GCM,data:,iv:,tag:,type:str]",
    "word": "yes",
    "number": "1e3",
    "int": 42,
    "negative": -7,
    "float": 0.1,
    "whole": 3.0,
    "shown": True,
    "hidden": False,
    "long": "x" * 5000,
}


def secret(values):
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "labels": {"replicas": 3, "open": True}, "list": ["a", "b"]},
        "stringData": values,
    }


def run_sops(*arguments, data, identity=IDENTITY, check=True):
    result = subprocess.run(
        [SOPS, *arguments, "--input-type", "yaml", "--output-type", "yaml", "/dev/stdin"],
        input=data,
        env={"PATH": os.environ["PATH"], "SOPS_AGE_KEY": identity},
        capture_output=True,
        check=False,
        timeout=60,
    )
    if check:
        assert result.returncode == 0, result.stderr.decode()
    return result


def test_sops_reads_what_is_written_here_and_finds_the_mac_right():
    data = sops.encrypt(secret(HOSTILE), [RECIPIENT], NOW)
    read = yaml.safe_load(run_sops("decrypt", data=data).stdout)
    assert read == secret(HOSTILE)


@settings(max_examples=10, deadline=None)
@given(st.dictionaries(NAMES, VALUES))
def test_sops_reads_any_value_of_ours(values):
    data = sops.encrypt(secret(values), [RECIPIENT], NOW)
    read = run_sops("decrypt", data=data).stdout
    assert sops.decrypt(data, [IDENTITY]) == secret(values)
    assert load_all(read) == [secret(values)]


def test_a_file_made_by_sops_is_read_here():
    head, _, _ = yaml.safe_dump(secret({}), sort_keys=False).partition("stringData")
    values = [
        f"  {name}: {quote(value) if isinstance(value, str) else json.dumps(value)}\n"
        for name, value in HOSTILE.items()
    ]
    clear = f"{head}stringData:\n{''.join(values)}".encode()
    made = run_sops(
        "encrypt", "--age", RECIPIENT, "--encrypted-regex", sops.ENCRYPTED_REGEX, data=clear
    ).stdout
    assert b"\xd0\xba\xd0\xbb\xd1\x8e\xd1\x87" not in made
    assert sops.decrypt(made, [IDENTITY]) == secret(HOSTILE)
    assert sops.recipients_of(made) == (RECIPIENT,)


@settings(deadline=None)
@given(st.dictionaries(NAMES, VALUES))
def test_every_value_comes_back_with_its_type(values):
    read = sops.decrypt(sops.encrypt(secret(values), [RECIPIENT], NOW), [IDENTITY])
    assert read == secret(values)
    assert [type(value) for value in read["stringData"].values()] == [
        type(value) for value in values.values()
    ]


def test_each_recipient_can_read_and_nobody_else():
    other = sops.new_identity()
    data = sops.encrypt(secret({"A": "x"}), [RECIPIENT, sops.recipient_of(other)], NOW)
    assert sops.decrypt(data, [other]) == sops.decrypt(data, [IDENTITY]) == secret({"A": "x"})
    with pytest.raises(sops.Unreadable, match="not encrypted for this key"):
        sops.decrypt(data, [sops.new_identity()])


def test_a_secret_without_recipient_or_for_a_wrong_one_is_refused():
    with pytest.raises(ValueError, match="recipient"):
        sops.encrypt(secret({}), [], NOW)
    with pytest.raises(ValueError, match="no public key of age"):
        sops.encrypt(secret({}), ["age1nonsense"], NOW)


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f["stringData"].update(A=f["stringData"]["B"]),
        lambda f: f["stringData"].update(A=""),
        lambda f: f["stringData"].pop("A"),
        lambda f: f["stringData"].update(A="in clear"),
        lambda f: f["metadata"].update(name="t"),
        lambda f: f["metadata"].update(namespace="user-b"),
        lambda f: f["sops"].update(lastmodified="2030-01-02T03:04:06Z"),
        lambda f: f["sops"].update(mac=f["stringData"]["A"]),
        lambda f: f["sops"].update(mac=""),
        lambda f: f["sops"].pop("mac"),
        lambda f: f["sops"].update(mac_only_encrypted=True),
        lambda f: f["sops"].update(encrypted_regex="^nothing$"),
        lambda f: f["sops"].update(age=[]),
        lambda f: f["sops"].update(age="x"),
        lambda f: f.pop("sops"),
    ],
)
def test_what_was_altered_is_not_read(change):
    file = yaml.safe_load(sops.encrypt(secret({"A": "one", "B": "two"}), [RECIPIENT], NOW))
    change(file)
    with pytest.raises(sops.Unreadable):
        sops.decrypt(yaml.safe_dump(file, sort_keys=False).encode(), [IDENTITY])


@settings(deadline=None)
@given(st.data())
def test_no_flipped_bit_of_a_value_passes(data):
    file = yaml.safe_load(sops.encrypt(secret({"A": "secret"}), [RECIPIENT], NOW))
    where = data.draw(st.sampled_from(["A", "mac"]))
    part = file["stringData"] if where == "A" else file["sops"]
    text = part[where].encode()
    bit = data.draw(st.integers(0, len(text) * 8 - 1))
    flipped = bytearray(text)
    flipped[bit // 8] ^= 1 << bit % 8
    part[where] = flipped.decode("latin-1")
    with pytest.raises(sops.Unreadable) as refused:
        sops.decrypt(yaml.safe_dump(file, sort_keys=False).encode(), [IDENTITY])
    assert "secret" not in str(refused.value)


def test_the_bits_of_base64_that_say_nothing_count_as_well():
    file = sops.encrypt(secret({"A": "secret"}), [RECIPIENT], NOW).decode()
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    places = [match.end(1) - 1 for match in re.finditer(r",(?:iv|tag):([^=]+)=", file)]
    assert len(places) == 4
    for at in places:
        other = letters[letters.index(file[at]) ^ 1]
        altered = file[:at] + other + file[at + 1 :]
        with pytest.raises(sops.Unreadable):
            sops.decrypt(altered.encode(), [IDENTITY])


@given(st.binary(max_size=300))
def test_anything_else_is_refused_with_words(data):
    with pytest.raises(sops.Unreadable):
        sops.decrypt(data, [IDENTITY])


def test_no_value_stands_in_the_file():
    data = sops.encrypt(secret({"A": "canary-8d1f"}), [RECIPIENT], NOW)
    assert b"canary" not in data
    assert b"A: ENC[AES256_GCM" in data


def test_a_private_key_is_told_from_other_text():
    with pytest.raises(sops.Unreadable, match="private key"):
        sops.recipient_of("nonsense")
    assert sops.is_recipient(RECIPIENT)
    assert not sops.is_recipient(IDENTITY)
    assert not sops.is_recipient("age1")
