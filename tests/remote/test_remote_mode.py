"""The whole platform on a remote repository: made, served, cut off, and back without a restart."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.product import ROOT, Product, eventually
from tests.publishing.stack import HELLO
from tests.remote.conftest import git
from tests.remote.git_server import GitServer, bare

TOKEN = "t0ken-of-the-platform"


@pytest.fixture
def key(tmp_path) -> Path:
    path = tmp_path / "signing-key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture
def settings(tmp_path, server, key) -> dict[str, str]:
    bare(server.root, "apps.git")
    server.users["x-access-token"] = TOKEN
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    return {
        "GIT_REMOTE": server.url("apps.git"),
        "GIT_TOKEN_FILE": str(token),
        "GIT_SIGNING_KEY_FILE": str(key),
        "GIT_POLL_SECONDS": "0.5",
    }


def run(data_dir: Path, settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess:
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(data_dir), **settings}
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def branches(path: Path) -> dict[str, str]:
    lines = git(path, "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)").splitlines()
    return dict(line.split() for line in lines)


def test_the_branches_are_made_in_few_pushes_and_never_overwritten(tmp_path, server, settings):
    remote = server.root / "apps.git"
    done = run(tmp_path / "data", settings, "init-repo", "--json")
    assert done.returncode == 0, done.stderr
    nothing = {"written": [], "kept": [], "waiting": []}
    answer = {"path": settings["GIT_REMOTE"], "created": True}
    assert json.loads(done.stdout) == answer | nothing
    made = branches(remote)
    assert len(made) == 257
    assert server.counts["push"] == 1
    subprocess.run(["git", "-C", remote, "fsck", "--full", "--strict"], check=True)

    assert not json.loads(run(tmp_path, settings, "init-repo", "--json").stdout)["created"]
    assert branches(remote) == made

    git(remote, "update-ref", "-d", "refs/heads/flux/3f")
    assert json.loads(run(tmp_path, settings, "init-repo", "--json").stdout)["created"]
    again = branches(remote)
    assert again.keys() == made.keys()
    assert {b for b in made if again[b] != made[b]} <= {"flux/3f"}


def test_a_main_of_somebody_else_is_left_alone(tmp_path, server, settings):
    remote = server.root / "apps.git"
    blob = git(remote, "hash-object", "-w", "-t", "blob", "--", "/dev/null")
    tree = subprocess.run(
        ["git", "-C", remote, "mktree"], input=f"100644 blob {blob}\tREADME.md\n",
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    theirs = git(
        remote, "-c", "user.name=E", "-c", "user.email=e@x", "commit-tree", tree, "-m", "x"
    )
    git(remote, "update-ref", "refs/heads/main", theirs)
    done = run(tmp_path / "data", settings, "init-repo")
    assert done.returncode == 1
    assert "platform.yaml" in done.stderr
    assert branches(remote) == {"main": theirs}


def test_a_wrong_token_is_told_without_the_token(tmp_path, settings):
    Path(settings["GIT_TOKEN_FILE"]).write_text("wr0ng")
    done = run(tmp_path / "data", settings, "init-repo")
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "wr0ng" not in done.stdout + done.stderr


def test_a_repository_of_its_own_is_neither_overwritten_nor_forgotten(tmp_path, settings):
    data = tmp_path / "data"
    assert run(data, {}, "init-repo").returncode == 0
    before = branches(data / "repo.git")
    assert run(data, settings, "init-repo").returncode == 0
    done = run(data, settings, "serve")
    assert done.returncode == 1
    assert "repository of its own" in done.stderr
    assert branches(data / "repo.git") == before


def test_it_serves_from_the_remote_and_comes_back_by_itself(tmp_path, settings, key):
    # A server of its own, which can be stopped and started on the same port.
    root = tmp_path / "elsewhere"
    root.mkdir()
    remote = bare(root, "apps.git")
    server = GitServer(root, users={"x-access-token": TOKEN})
    with server.running():
        settings |= {"GIT_REMOTE": server.url("apps.git")}
        assert run(tmp_path / "data", settings, "init-repo").returncode == 0
        product = Product(tmp_path / "data", settings).start()
    with product_until_the_end(product):
        eventually("the outage is told", lambda: "repository" in unready(product))
        with server.running():
            eventually("it is back", lambda: not unready(product))
            owner = product.sign_up()
            app = owner.create("Remote", {"user_code.py": HELLO})
            assert git(remote, "rev-parse", "main") == app["commit"]
            owner.live(app["app_id"])
            by_hand(tmp_path, remote, server, app["app_id"])
            eventually("published", lambda: "by hand" in live_files(owner, app["app_id"]))
        eventually("the outage is told", lambda: "repository" in unready(product))
        path = f"/api/apps/{app['app_id']}"
        started = time.monotonic()
        answer = owner.http.put(path, json={"code": "# lost\n" + HELLO})
        assert answer.status_code == 503
        assert "cannot be reached" in answer.json()["error"]["message"]
        assert time.monotonic() - started < 60, "bounded"
        assert len(owner.ok("GET", f"{path}/history")["entries"]) == 2, "reading goes on"
        with server.running():
            eventually("it is back", lambda: not unready(product))
            again = owner.ok("PUT", path, json={"code": "# saved\n" + HELLO})
            assert git(remote, "rev-parse", "main") == again["commit"]
    signers = tmp_path / "signers"
    signers.write_text(f"platform {key.with_suffix('.pub').read_text()}")
    option = f"gpg.ssh.allowedSignersFile={signers}"
    shown = git(remote, "-c", option, "log", "--format=%G? %s", "main")
    assert [line[0] for line in shown.splitlines()] == ["G", "N", "G", "G"], "a person's is not"
    subprocess.run(["git", "-C", remote, "fsck", "--full", "--strict"], check=True)
    assert TOKEN not in product.log


@contextmanager
def product_until_the_end(product: Product) -> Iterator[None]:
    try:
        yield
    finally:
        product.__exit__(None, None, None)


def unready(product: Product) -> str:
    """What `/readyz` complains of; empty when it is ready."""
    answer = httpx2.get(f"{product.origin}/readyz", timeout=10, trust_env=False)
    return "" if answer.status_code == 200 else answer.text


def live_files(owner, app_id: str) -> str:
    return json.dumps(owner.ok("GET", f"/api/apps/{app_id}"))


def by_hand(tmp_path: Path, remote: Path, server: GitServer, app_id: str) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(remote), str(clone))
    [code] = clone.glob(f"apps/*/*/{app_id}/code/user_code.py")
    code.write_text("# by hand\n" + code.read_text())
    git(clone, "-c", "user.name=E", "-c", "user.email=e@x", "commit", "-qam", "By hand")
    url = server.url("apps.git").replace("http://", f"http://x-access-token:{TOKEN}@")
    git(clone, "push", "-q", url, "HEAD:main")
