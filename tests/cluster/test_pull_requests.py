"""Pull requests on a real Gitea: its webhook tells, the platform checks, its status says what."""

import base64
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.domain.names import AppRef
from api.domain.repo_layout import app_folder
from tests.cluster.test_forge import init_repo
from tests.gitea import Gitea
from tests.guarding.changes import memory
from tests.product import Person, Product, eventually
from tests.whole.test_commits_by_hand import says

_SECONDS = 60.0
_DIGITS = 2


@dataclass
class Forged:
    """A platform whose repository is on a forge; only webhooks tell it that something moved."""

    gitea: Gitea
    product: Product
    repository: str
    folder: Path

    def clone(self, name: str) -> Path:
        """Alice's clone, as she is told to make it."""
        folder = self.folder / name
        token = self.gitea.tokens["alice"]
        address = self.gitea.remote(self.repository).replace("://", f"://alice:{token}@")
        self.product.git("clone", "-q", address, str(folder), cwd=self.folder)
        return folder

    def call(self, method: str, path: str, by: str = "alice", **values: Any) -> Any:
        return self.gitea.call(method, f"/repos/{self.repository}{path}", values or None, by=by)

    def status(self, head: str, *states: str) -> dict[str, Any]:
        """The status of a commit, once it is one of these."""

        def told() -> dict[str, Any] | None:
            found = self.call("GET", f"/commits/{head}/statuses")
            newest = max(found, key=lambda each: each["id"], default=None)
            return newest if newest and newest["status"] in states else None

        return dict(eventually(f"{head} is {states}", told, _SECONDS))

    def comments(self, number: int) -> list[dict[str, Any]]:
        return list(self.call("GET", f"/issues/{number}/comments"))


@pytest.fixture(scope="module")
def forged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forged]:
    folder = tmp_path_factory.mktemp("forged")
    with Gitea(folder / "gitea").running() as gitea:
        for name in ("platform", "operator", "alice"):
            gitea.user(name)
            (folder / name).write_text(gitea.tokens[name])
        repository = gitea.repository("operator", "apps", platform="write", alice="write")
        secret = secrets.token_hex(32)
        (folder / "secret").write_text(f"{secret}\n")
        settings = {
            "GIT_REMOTE": gitea.remote(repository),
            "GIT_TOKEN_FILE": str(folder / "platform"),
            "FORGE_WEBHOOK_SECRET_FILE": str(folder / "secret"),
            "GIT_POLL_SECONDS": "600",
        }
        product = Product(folder / "data", settings)
        done = init_repo(
            {**settings, "GIT_TOKEN_FILE": str(folder / "operator"), "DATA_DIR": str(folder / "d")}
            | {"BASE_DOMAIN": "platform.localhost", "RUNNER_IMAGE": "runner:test"}
            | {"GIT_SIGNING_KEY_FILE": _signing_key(folder)},
            "--git-secret",
            "git",
        )
        assert done.returncode == 0, done.stdout + done.stderr
        with product:
            hook = {"url": f"{product.origin}/api/hooks/gitea", "content_type": "json"}
            gitea.call(
                "POST",
                f"/repos/{repository}/hooks",
                {
                    "type": "gitea",
                    "active": True,
                    "events": ["push", "pull_request"],
                    "config": {**hook, "secret": secret},
                },
                by="operator",
            )
            yield Forged(gitea, product, repository, folder)


def _signing_key(folder: Path) -> str:
    key = folder / "signing"
    subprocess.run(("ssh-keygen", "-qt", "ed25519", "-N", "", "-f", key), check=True)
    return str(key)


@pytest.fixture(scope="module")
def alice(forged: Forged) -> Person:
    """Somebody with an account here and one at the forge, as an operator wrote down."""
    person = forged.product.sign_up("alice")
    content = (
        f"apiVersion: fastapi-platform/v1\nkind: People\npeople: {{alice: {person.user_id}}}\n"
    )
    there = forged.call("GET", "/contents/people.yaml", by="operator")
    forged.call(
        "PUT",
        "/contents/people.yaml",
        by="operator",
        sha=there["sha"],
        branch="main",
        content=_base64(content),
        message="Alice is alice",
    )
    return person


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@dataclass
class Change:
    """A branch of Alice's, and the pull request that it became."""

    forged: Forged
    clone: Path
    branch: str
    number: int = 0

    def push(self, path: str, content: str | bytes, subject: str) -> str:
        """Write a file of the clone and push it on the branch; the commit's id."""
        git = self.forged.product.git
        target = self.clone / path
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        git("add", "--all", ".", cwd=self.clone)
        git("commit", "-q", "-m", subject, cwd=self.clone)
        git("push", "-q", "origin", f"HEAD:refs/heads/{self.branch}", cwd=self.clone)
        return git("rev-parse", "HEAD", cwd=self.clone).strip()

    def open(self, title: str) -> None:
        values = {"head": self.branch, "base": "main", "title": title}
        self.number = self.forged.call("POST", "/pulls", **values)["number"]

    def merge(self, by: str = "operator") -> None:
        self.forged.call("POST", f"/pulls/{self.number}/merge", by=by, Do="merge")


def test_a_change_of_code_is_refused_mended_merged_and_goes_live(forged: Forged, alice: Person):
    app = alice.create("Asked for", {"user_code.py": says("first")})
    ref = AppRef(alice.user_id, app["app_id"])
    alice.live(ref.app_id)
    change = Change(forged, forged.clone("code"), "say-something-else")
    code = f"{app_folder(ref, _DIGITS)}/code/user_code.py"

    refused = change.push(code, "import subprocess\n" + says("second"), "Say something else")
    change.open("Say something else")
    status = forged.status(refused, "failure", "error", "success")
    assert status["status"] == "failure", status
    assert status["context"] == "fastapi-platform/check"
    [comment] = forged.comments(change.number)
    assert f"{code}:1: " in comment["body"]
    assert "subprocess" in comment["body"]
    assert status["target_url"] == comment["html_url"]

    mended = change.push(code, says("second"), "Say it without a subprocess")
    status = forged.status(mended, "failure", "error", "success")
    assert status["status"] == "success", status
    [comment] = forged.comments(change.number)
    assert "Nothing stands in the way" in comment["body"]
    assert "subprocess" not in comment["body"]

    change.merge()
    eventually("it is served", lambda: _served(forged, app) == "second", _SECONDS)
    assert alice.ok("GET", f"/api/apps/{ref.app_id}")["files"] == {"user_code.py": says("second")}
    entries = alice.ok("GET", f"/api/apps/{ref.app_id}/history")["entries"]
    assert [e["commit"] for e in entries[:2]] == [mended, refused]
    assert {(e["who"]["name"], e["who"]["kind"]) for e in entries[:2]} == {
        ("Grace", "pull_request")
    }
    page = f"{forged.gitea.url}/{forged.repository}/pulls/{change.number}"
    assert [e["who"]["pull_request"] for e in entries[:3]] == [page, page, None]


def test_a_limit_in_the_overlay_is_refused_mended_merged_and_published(
    forged: Forged, alice: Person
):
    app = alice.create("More memory", {"user_code.py": says("first")})
    ref = AppRef(alice.user_id, app["app_id"])
    alice.live(ref.app_id)
    change = Change(forged, forged.clone("overlay"), "more-memory")
    overlay = f"{app_folder(ref, _DIGITS)}/overlay/kustomization.yaml"

    too_much = change.push(overlay, memory("64Gi"), "Take everything")
    change.open("More memory")
    status = forged.status(too_much, "failure", "error", "success")
    assert status["status"] == "failure", status
    assert overlay in status["description"] + forged.comments(change.number)[0]["body"]

    enough = change.push(overlay, memory("192Mi"), "Take a little more")
    assert forged.status(enough, "failure", "error", "success")["status"] == "success"
    change.merge()

    def published() -> bool:
        shard = f"flux/{app_folder(ref, _DIGITS).split('/')[1]}"
        path = f"{shard}:{ref.user_id}/{ref.app_id}/overlay/kustomization.yaml"
        return "192Mi" in forged.product.git("show", path)

    eventually("the overlay is published", published, _SECONDS)


def test_a_change_of_somebody_elses_app_is_refused(forged: Forged, alice: Person):
    other = forged.product.sign_up()
    app = other.create("Not yours", {"user_code.py": says("mine")})
    other.live(app["app_id"])
    change = Change(forged, forged.clone("theirs"), "take-over")
    ref = AppRef(other.user_id, app["app_id"])
    head = change.push(
        f"{app_folder(ref, _DIGITS)}/code/user_code.py", says("hers"), "Say hers instead"
    )
    change.open("Take over")
    status = forged.status(head, "failure", "error", "success")
    assert (status["status"], "not_yours" in status["description"]) == ("failure", True), status
    assert alice.user_id in forged.comments(change.number)[0]["body"]


def test_nothing_of_a_pull_request_comes_into_the_platforms_clone(forged: Forged, alice: Person):
    app = alice.create("Left alone", {"user_code.py": says("first")})
    alice.live(app["app_id"])
    change = Change(forged, forged.clone("refused"), "refused")
    path = f"{app_folder(AppRef(alice.user_id, app['app_id']), _DIGITS)}/code/user_code.py"
    head = change.push(path, "import ctypes\n" + says("never"), "Never to be merged")
    change.open("Refused")
    forged.status(head, "failure")
    known = subprocess.run(
        ("git", "-C", forged.product.repository, "cat-file", "-e", head), check=False
    )
    assert known.returncode != 0
    eventually(
        "what was fetched is gone",
        lambda: not list(forged.product.data_dir.glob("pull-request-*")),
    )


def _served(forged: Forged, app: dict[str, Any]) -> Any:
    return forged.product.visit(app["url"]).json()
