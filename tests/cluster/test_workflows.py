"""Workflows are what GitHub understands, and Flux takes the newest image.

Both are judged by their own programs, which Go builds.
"""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.cluster.build import programs

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = [
    *sorted((ROOT / ".github/workflows").glob("*.y*ml")),
    *sorted((ROOT / "gitops-repo-template/main/.github/workflows").glob("*.y*ml")),
]


def test_actionlint_has_nothing_to_say():
    assert len(WORKFLOWS) >= 3
    program = programs(["actionlint"])["actionlint"]
    done = subprocess.run(
        [program, "-no-color", *WORKFLOWS], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")


def policies() -> dict[str, dict]:
    text = (ROOT / "deploy/fleet/images.yaml").read_text()
    found = [each for each in yaml.safe_load_all(text) if each["kind"] == "ImagePolicy"]
    return {each["metadata"]["name"]: each["spec"] for each in found}


def chosen(policy: str, *tags: str) -> subprocess.CompletedProcess[str]:
    """What Flux's own code says to these tags."""
    spec = policies()[policy]
    question = {**spec["filterTags"], **spec["policy"]["numerical"], "tags": tags}
    return subprocess.run(
        [programs(["image-policy"])["image-policy"]],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("policy", policies())
@pytest.mark.parametrize(
    ("newest", "others"),
    [
        ("ts-20261231235959-aaaaaaa", ["ts-20261231235958-fffffff", "ts-20251231235959-9999999"]),
        ("ts-20270101000000-0000000", ["ts-20261231235959-fffffff"]),
        # As text, 9999 would come after 10000.
        ("ts-10000-aaaaaaa", ["ts-9999-fffffff", "ts-999-fffffff"]),
        ("ts-9999999999-0", ["ts-999999999-f"]),
        # What is no image of main does not count.
        ("ts-5-aaaaaaa", ["latest", "v9.9.9", "ts-7-", "ts-8-xyz", "pr-ts-9-aaaaaaa", "ts-9-ab-c"]),
    ],
)
def test_flux_takes_the_newest_image(policy: str, newest: str, others: list[str]):
    assert chosen(policy, newest, *others).stdout.strip() == newest
    assert chosen(policy, *reversed(others), newest).stdout.strip() == newest


def test_without_a_fitting_tag_flux_says_so_and_takes_none():
    done = chosen("fastapi-platform-backend", "latest")
    assert done.returncode == 1
    assert "cannot be empty" in done.stderr
