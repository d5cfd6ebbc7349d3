"""The locked dependencies: complete, consistent, and bound to no download host."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements/api.txt", "requirements/dev.txt", "runner/requirements.txt")
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==([^ ;\\]+)", re.MULTILINE | re.IGNORECASE)


def pins(lock: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / lock).read_text(encoding="utf-8")))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash_and_no_host(lock: str):
    text = (ROOT / lock).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text
    assert "--index-url" not in text


def test_the_development_lock_is_the_other_one_and_more():
    api, dev = pins("requirements/api.txt"), pins("requirements/dev.txt")
    assert {name: dev.get(name) for name in api} == api, "recompile both locks"
    assert len(dev) > len(api)


def test_the_editors_lock_names_no_host():
    lock = json.loads((ROOT / "frontend/package-lock.json").read_text(encoding="utf-8"))
    named = [name for name, package in lock["packages"].items() if "resolved" in package]
    assert named == []
    assert [
        name
        for name, package in lock["packages"].items()
        if name and "integrity" not in package and not package.get("link")
    ] == []
