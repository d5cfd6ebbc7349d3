"""What the platform seals opens at its own place only."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from api.domain import sealing, sops
from api.domain.names import AppRef
from api.domain.sealing import Place, SealingKey
from api.domain.sops_shape import check_secret

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
IDENTITY = sops.new_identity()
RECIPIENTS = [sops.recipient_of(IDENTITY)]
KEY = SealingKey.new()
PLACE = Place.of(AppRef("ualice", "shop-1"), "API_KEY")
FILE = sealing.seal(PLACE, "canary-8d1f", RECIPIENTS, KEY, NOW)


def test_a_sealed_value_is_read_with_the_identity():
    assert sealing.unseal(FILE, [IDENTITY]) == {"API_KEY": "canary-8d1f"}


def test_a_secret_of_several_keys_is_sealed_as_one():
    place = Place("ualice", None, "LOGIN")
    file = sealing.seal(place, {"user": "a", "password": ""}, RECIPIENTS, KEY, NOW)
    assert sealing.unseal(file, [IDENTITY]) == {"user": "a", "password": ""}
    assert sealing.signature_fault(place, file, [KEY.public]) is None
    assert check_secret("secrets/LOGIN.sops.yaml", file) == []


def test_sops_reads_a_sealed_file_with_the_signature_in_it(tmp_path):
    path = tmp_path / "API_KEY.sops.yaml"
    path.write_bytes(FILE)
    read = subprocess.run(
        [Path(sys.executable).parent / "sops", "decrypt", path],
        env=os.environ | {"SOPS_AGE_KEY": IDENTITY},
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    assert yaml.safe_load(read) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": PLACE.object_name, "namespace": "user-ualice"},
        "type": "Opaque",
        "stringData": {"API_KEY": "canary-8d1f"},
    }


def test_it_stands_where_it_was_sealed_for_under_any_of_the_keys():
    other = SealingKey.new().public
    assert sealing.signature_fault(PLACE, FILE, [other, KEY.public]) is None
    assert sealing.signature_fault(PLACE, FILE, [other])
    assert sealing.signature_fault(PLACE, FILE, [])
    assert sealing.signature_fault(PLACE, FILE, ["ed25519:nonsense"])


@pytest.mark.parametrize(
    "place",
    [
        Place("ubob", "shop-1", "API_KEY"),
        Place("ualice", "shop-2", "API_KEY"),
        Place("ualice", None, "API_KEY"),
        Place("ualice", "shop-1", "OTHER"),
        Place("ualice", "shop-1", "api_key"),
    ],
)
def test_it_stands_nowhere_else(place):
    assert sealing.signature_fault(place, FILE, [KEY.public])


def test_a_copy_with_its_namespace_changed_stands_nowhere():
    place = Place("ubob", "shop-1", "API_KEY")
    changed = FILE.replace(b"user-ualice", b"user-ubob")
    assert changed != FILE
    assert sealing.signature_fault(place, changed, [KEY.public])
    assert sealing.signature_fault(PLACE, changed, [KEY.public])


def test_a_file_that_somebody_else_signed_is_told_from_an_unsigned_one():
    foreign = sealing.seal(PLACE, "x", RECIPIENTS, SealingKey.new(), NOW)
    assert "not one of the platform's" in (sealing.signature_fault(PLACE, foreign, [KEY.public]))
    unsigned = FILE.partition(b"\n")[2]
    assert "not signed" in (sealing.signature_fault(PLACE, unsigned, [KEY.public]))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(FILE) * 8 - 1))
def test_every_flipped_bit_is_refused(bit):
    flipped = bytearray(FILE)
    flipped[bit // 8] ^= 1 << bit % 8
    assert sealing.signature_fault(PLACE, bytes(flipped), [KEY.public])


@given(st.integers(0, len(FILE)), st.binary(min_size=1, max_size=3))
def test_no_byte_can_be_put_in(at, more):
    assert sealing.signature_fault(PLACE, FILE[:at] + more + FILE[at:], [KEY.public])


@given(st.binary(max_size=200))
def test_any_bytes_have_an_answer(data):
    assert sealing.signature_fault(PLACE, data, [KEY.public])


def test_a_key_is_read_as_it_is_written_and_as_openssl_writes_it():
    assert SealingKey.load(KEY.pem).public == KEY.public
    made = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519"],
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout
    assert sealing.is_public_key(SealingKey.load(made).public)
    with pytest.raises(ValueError, match="no open private key"):
        SealingKey.load(b"nonsense")


def test_names_of_objects_are_valid_and_never_meet():
    places = [
        Place(user, app, name)
        for user in ("ualice",)
        for app in (None, "tenant", "a", "a-code", "x" * 40)
        for name in ("A", "a", "_A", "A_B", "N" * 128)
    ]
    names = [place.object_name for place in places]
    assert len(set(names)) == len(names)
    assert all(
        len(name) <= 63 and name.replace(".", "").replace("-", "").isalnum() for name in names
    )
