"""The examples for a cluster name every setting, and the overlays name no others."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from api.settings import Settings
from tests.deployment.built import DEPLOY, OVERLAYS

FILES = {"env": "settings.env", "secrets": "secrets.env"}


def names(path: Path, *, example: bool) -> set[str]:
    return set(
        re.findall(r"^#([A-Z_]+)=" if example else r"^([A-Z_]+)=", path.read_text(), re.MULTILINE)
    )


@pytest.mark.parametrize("form", FILES)
def test_the_example_is_what_the_code_says(form: str):
    printed = subprocess.run(
        [sys.executable, "-m", "api", "settings", "--form", form],
        cwd=DEPLOY.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    path = DEPLOY / "examples" / FILES[form]
    assert path.read_text() == printed, f"run `python -m api settings --form {form} > {path}`"


def test_together_they_name_every_setting_that_a_cluster_has():
    public, secret = (names(DEPLOY / "examples" / file, example=True) for file in FILES.values())
    assert public.isdisjoint(secret)
    embedded = {
        name.upper()
        for name, field in Settings.model_fields.items()
        if (field.description or "").endswith("(embedded).")
    }
    assert public | secret == {name.upper() for name in Settings.model_fields} - embedded
    assert {"SECRET_KEY", "PREVIOUS_SECRET_KEY"} <= secret


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_sets_what_is_no_secret_and_exists(name: str):
    used = names(DEPLOY / "overlays" / name / "settings.env", example=False)
    assert used <= names(DEPLOY / "examples/settings.env", example=True)
