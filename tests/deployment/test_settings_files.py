"""The examples for a cluster name every setting, and the overlays name no others."""

import os
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


def settings(
    *arguments: str, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api", "settings", *arguments],
        cwd=DEPLOY.parent,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=check,
        timeout=60,
    )


@pytest.mark.parametrize("form", FILES)
def test_the_example_is_what_the_code_says(form: str):
    printed = settings("--form", form).stdout
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
def test_the_hosts_of_an_overlay_are_those_that_the_code_derives(name: str):
    path = DEPLOY / "overlays" / name / "hosts.env"
    [domain] = re.findall(r"^BASE_DOMAIN=(.+)$", path.read_text(), re.MULTILINE)
    assert path.read_text() == settings("--form", "hosts", BASE_DOMAIN=domain).stdout


def test_hosts_need_a_base_domain():
    told = settings("--form", "hosts", check=False)
    assert told.returncode == 2
    assert "BASE_DOMAIN" in told.stderr


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_sets_what_is_no_secret_and_exists(name: str):
    used = names(DEPLOY / "overlays" / name / "settings.env", example=False)
    assert used <= names(DEPLOY / "examples/settings.env", example=True)
