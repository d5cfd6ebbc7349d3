"""The client around `kubectl kustomize`: its words, its limits, and what it leaves behind."""

import asyncio
import sys
import tempfile
from pathlib import Path

import pytest

from api.clients import kustomize as client
from api.clients.kustomize import Kustomize, KustomizeRefused
from api.errors import CheckUnavailable

FOLDER = {
    "kustomization.yaml": b"resources: [a.yaml]\n",
    "a.yaml": b"apiVersion: v1\nkind: Service\nmetadata: {name: a}\n",
}


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert not list(tmp_path.glob("kustomize-*")), "a build left its folder behind"


def program(path: Path, code: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{code}\n")
    path.chmod(0o700)
    return path


async def test_a_folder_becomes_objects():
    (service,) = await Kustomize().build(FOLDER)
    assert (service["kind"], service["metadata"]["name"]) == ("Service", "a")


async def test_an_existing_folder_is_built_where_it_is(tmp_path):
    for name, content in FOLDER.items():
        (tmp_path / name).write_bytes(content)
    (service,) = await Kustomize().build_folder(tmp_path)
    assert service["metadata"]["name"] == "a"


async def test_a_refusal_has_kustomizes_words_and_none_of_our_paths(tmp_path):
    with pytest.raises(KustomizeRefused) as caught:
        await Kustomize().build({"kustomization.yaml": b"resources: [missing.yaml]\n"})
    assert "missing.yaml" in caught.value.message
    assert str(tmp_path) not in caught.value.message


async def test_two_objects_of_one_name_are_a_refusal_although_kustomize_panics():
    first = b"configMapGenerator:\n- {name: a, literals: [x=y]}\n"
    (built,) = await Kustomize().build({"kustomization.yaml": first})
    name = built["metadata"]["name"]
    twice = f"- {{name: {name}, literals: [x=y], options: {{disableNameSuffixHash: true}}}}\n"
    with pytest.raises(KustomizeRefused, match="already registered"):
        await Kustomize().build({"kustomization.yaml": first + twice.encode()})


@pytest.mark.parametrize(
    "resource", ["https://example.org/a.yaml", "https://github.com/example/example?ref=main"]
)
async def test_nothing_is_fetched_from_elsewhere(resource):
    with pytest.raises(KustomizeRefused):
        await Kustomize().build({"kustomization.yaml": f"resources: ['{resource}']\n".encode()})


@pytest.mark.parametrize("name", ["../a", "/etc/a", "a/../../b"])
async def test_a_file_stays_in_its_folder(name):
    with pytest.raises(ValueError, match="leads out"):
        await Kustomize().build({name: b""})


async def test_a_build_that_never_ends_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "_SECONDS", 1.0)
    endless = program(tmp_path / "kubectl", "import time\ntime.sleep(60)")
    with pytest.raises(CheckUnavailable, match="no answer"):
        await Kustomize(endless).build(FOLDER)


async def test_a_build_that_needs_too_much_memory_is_unknown_not_refused(tmp_path):
    hungry = program(tmp_path / "kubectl", "x = bytearray(2_000_000_000)\nprint('kind: A')")
    with pytest.raises((CheckUnavailable, KustomizeRefused)):
        await Kustomize(hungry).build(FOLDER)


async def test_a_build_that_writes_without_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "_OUTPUT_BYTES", 100_000)
    talker = program(tmp_path / "kubectl", "while True: print('a' * 10000)")
    with pytest.raises(CheckUnavailable, match="more than"):
        await Kustomize(talker).build(FOLDER)


async def test_a_program_that_dies_is_unknown_not_refused(tmp_path):
    dying = program(tmp_path / "kubectl", "import os\nos.kill(os.getpid(), 9)")
    with pytest.raises(CheckUnavailable):
        await Kustomize(dying).build(FOLDER)


async def test_a_missing_program_is_said(tmp_path):
    with pytest.raises(CheckUnavailable):
        await Kustomize(tmp_path / "nothing").build(FOLDER)


async def test_nothing_of_our_environment_reaches_the_program(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "do not tell")
    teller = program(
        tmp_path / "kubectl",
        "import json, os\nprint(json.dumps({'kind': 'A', 'env': dict(os.environ)}))",
    )
    (told,) = await Kustomize(teller).build(FOLDER)
    assert "SECRET_KEY" not in told["env"]
    assert "PATH" not in told["env"]


async def test_only_so_many_run_at_once_and_a_cancelled_one_frees_its_place(tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    slow = program(
        tmp_path / "kubectl",
        f"import os, time\nopen(f'{marks}/{{os.getpid()}}', 'w').close()\ntime.sleep(60)",
    )
    builds = Kustomize(slow, at_once=1)
    tasks = [asyncio.create_task(builds.build(FOLDER)) for _ in range(3)]
    async with asyncio.timeout(10):
        while not list(marks.iterdir()):  # noqa: ASYNC110  (another process makes the mark)
            await asyncio.sleep(0.02)
    assert len(list(marks.iterdir())) == 1
    for task in tasks:
        task.cancel()
    assert all(
        isinstance(end, asyncio.CancelledError)
        for end in await asyncio.gather(*tasks, return_exceptions=True)
    )
