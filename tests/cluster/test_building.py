"""The programs of a plane are built once, whole, and with words that say what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GIVEN = bool(os.environ.get("KUBECONFIG"))
PAUSE = (sys.executable, "-m", "tests.cluster.build", "pause")  # the smallest: a second

pytestmark = pytest.mark.skipif(GIVEN, reason="nothing is built for the cluster of KUBECONFIG")


def environment(cache: Path) -> dict[str, str]:
    """Our cache is the test's own; Go's, else looked for in the same place, stays where it is."""
    go = subprocess.run(["go", "env", "GOCACHE"], capture_output=True, text=True, check=True)
    return os.environ | {"XDG_CACHE_HOME": str(cache), "GOCACHE": go.stdout.strip()}


def built(cache: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command or PAUSE,
        cwd=ROOT,
        env=environment(cache) | more,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_program_is_built_once(tmp_path: Path):
    first, second = built(tmp_path), built(tmp_path)
    assert "Built pause (1 of 1)" in first.stdout
    assert "Built" not in second.stdout
    path = Path(second.stdout.split()[-1])
    assert path.is_relative_to(tmp_path)
    assert os.access(path, os.X_OK)
    assert [each.name for each in path.parent.iterdir()] == ["pause"]


def test_two_who_want_it_at_once_build_it_once(tmp_path: Path):
    here, pipe = environment(tmp_path), subprocess.PIPE
    both = [subprocess.Popen(PAUSE, cwd=ROOT, env=here, stdout=pipe, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert "".join(said).count("Built pause") == 1
    assert said[0].splitlines()[-1] == said[1].splitlines()[-1]


def test_without_go_it_says_what_to_do(tmp_path: Path):
    done = built(tmp_path, PATH="/nonexistent")
    assert done.returncode == 1
    assert "Go is not on the PATH" in done.stderr
    assert "KUBECONFIG" in done.stderr


def test_without_the_module_proxy_it_says_so(tmp_path: Path):
    nowhere = {"GOPROXY": "http://127.0.0.1:9", "GOMODCACHE": str(tmp_path / "modules")}
    done = built(tmp_path, sys.executable, "-m", "tests.cluster.build", "etcd", **nowhere)
    assert done.returncode == 1
    assert "module proxy does not answer" in done.stderr
    assert list((tmp_path / "fastapi-platform/tools").glob("*/etcd")) == []
