"""Commits that people make on `main` in a plain clone: published when they pass, else held."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from api.domain.names import AppRef, shard_of
from api.domain.repo_layout import EMPTY_OVERLAY, app_folder
from tests.product import Person, Product, eventually

DIGITS = 2


def says(word: str) -> str:
    return (
        "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n"
        f'@app.get("/")\ndef root() -> str:\n    return "{word}"\n'
    )


class Clone:
    """A person's working copy of the repository, and one live app to change in it."""

    def __init__(self, product: Product, owner: Person, folder: Path) -> None:
        self.product = product
        self.owner = owner
        self.folder = folder
        self.app: dict[str, Any] = owner.create("By hand", {"user_code.py": says("first")})
        self.ref = AppRef(owner.user_id, self.app["app_id"])
        self.first = owner.live(self.ref.app_id)["commit"]
        product.git("clone", "-q", str(product.repository), str(folder), cwd=folder.parent)

    @property
    def app_folder(self) -> Path:
        return self.folder / app_folder(self.ref, DIGITS)

    @property
    def branch(self) -> str:
        return f"flux/{shard_of(self.ref.user_id, DIGITS)}"

    def write(self, path: str, text: str) -> None:
        """Write a file, relative to the app's folder."""
        target = self.app_folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def push(self, subject: str = "Change something by hand") -> str:
        """Commit everything and push it to `main`; the commit's id."""
        git = self.product.git
        git("add", "--all", "--force", ".", cwd=self.folder)
        git("commit", "-q", "-m", subject, cwd=self.folder)
        git("push", "-q", "origin", "HEAD:main", cwd=self.folder)
        return git("rev-parse", "HEAD", cwd=self.folder).strip()

    def published(self, path: str = "") -> str:
        """A published file of the app."""
        ref = self.ref
        return self.product.git("show", f"{self.branch}:{ref.user_id}/{ref.app_id}/{path}")

    def published_paths(self) -> list[str]:
        """Every path of the tenant's shard."""
        return self.product.git("ls-tree", "-r", "--name-only", self.branch).splitlines()

    def served(self) -> str:
        """What the app's address answers now."""
        return str(self.product.visit(self.app["url"]).json())

    def held(self, commit: str) -> dict[str, Any]:
        """The error of a commit that was refused; everything else must be as it was."""
        status = self.owner.settled(self.ref.app_id, commit)
        assert status["stage"] == "failed", status
        assert status["error"]["stage"] == "committed", status
        assert status["error"]["message"], status
        assert status["error"]["hint"], status
        running = self.owner.ok("GET", f"/api/apps/{self.ref.app_id}/status")
        assert running["ready"], running
        assert running["commit"] == self.first, running
        assert self.served() == "first"
        assert self.published("code/user_code.py") == says("first")
        return dict(status["error"])


@pytest.fixture
def clone(product: Product, tmp_path: Path) -> Clone:
    return Clone(product, product.sign_up(), tmp_path / "clone")


def test_good_code_goes_live(clone: Clone):
    clone.write("code/user_code.py", says("by hand"))
    commit = clone.push("Say something else")
    clone.owner.live(clone.ref.app_id, commit)
    assert clone.served() == "by hand"
    assert clone.published("code/user_code.py") == says("by hand")
    tip = clone.product.git(
        "log", "-1", "--format=%(trailers:key=Source-Commit,valueonly)", clone.branch
    )
    assert tip.strip() == commit


def test_a_forbidden_import_is_held_with_its_line(clone: Clone):
    clone.write("code/user_code.py", "import os\n" + says("secrets"))
    error = clone.held(clone.push())
    assert "`os`" in error["message"]
    assert (error["path"], error["line"]) == ("user_code.py", 1)


def test_a_held_app_goes_on_once_it_is_mended(clone: Clone):
    clone.write("code/user_code.py", "import os\n" + says("secrets"))
    clone.held(clone.push())
    clone.write("code/user_code.py", says("mended"))
    clone.owner.live(clone.ref.app_id, clone.push("Mend it"))
    assert clone.served() == "mended"


def test_the_newest_version_that_passes_is_published_when_a_later_one_does_not(clone: Clone):
    git = clone.product.git
    clone.write("code/user_code.py", says("good"))
    git("commit", "-q", "-a", "-m", "Good", cwd=clone.folder)
    clone.write("code/user_code.py", "import os\n" + says("bad"))
    commit = clone.push("Bad")
    status = clone.owner.settled(clone.ref.app_id, commit)
    assert (status["stage"], status["error"]["stage"]) == ("failed", "committed")
    eventually("the good one is served", lambda: clone.served() == "good")


COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"


def container_patch(change: str, name: str = "APP") -> str:
    """A component that changes the app's one container; APP stands for the app's id."""
    return COMPONENT + (
        "patches:\n- patch: |\n"
        "    apiVersion: apps/v1\n    kind: Deployment\n"
        f"    metadata: {{name: {name}}}\n"
        f"    spec: {{template: {{spec: {{containers: [{{name: app, {change}}}]}}}}}}\n"
    )


OVERLAYS = {
    "does not build": container_patch("image: x", name="nobody"),
    "is not YAML": "patches: [",
    "has resources": COMPONENT + "resources: [https://example.org/evil.yaml]\n",
    "swaps the image": container_patch("image: docker.io/library/evil"),
    "asks for more than the ceiling": container_patch("resources: {limits: {memory: 64Gi}}"),
    "adds a container": COMPONENT
    + "patches:\n- target: {kind: Deployment}\n  patch: |\n    - op: add\n"
    "      path: /spec/template/spec/containers/-\n"
    "      value: {name: miner, image: docker.io/library/miner}\n",
    "touches another kind": COMPONENT + "patches:\n- target: {kind: Service}\n  patch: |\n"
    "    - {op: replace, path: /spec/type, value: LoadBalancer}\n",
}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_that_goes_too_far_is_held(clone: Clone, overlay: str):
    clone.write("overlay/kustomization.yaml", OVERLAYS[overlay].replace("APP", clone.ref.app_id))
    clone.held(clone.push())
    assert clone.published("overlay/kustomization.yaml").encode() == EMPTY_OVERLAY


def test_an_overlay_within_the_ceilings_is_published(clone: Clone):
    overlay = container_patch("resources: {requests: {memory: 96Mi}}", clone.ref.app_id)
    clone.write("overlay/kustomization.yaml", overlay)
    clone.owner.live(clone.ref.app_id, clone.push())
    assert clone.published("overlay/kustomization.yaml") == overlay


def test_stray_files_are_left_out(clone: Clone):
    clone.write("notes.txt", "outside the four entries")
    clone.write("generated/evil.yaml", "kind: ClusterRoleBinding")
    clone.write("kustomization.yaml", "resources: [generated/evil.yaml]")
    clone.write("../kustomization.yaml", "resources: []")
    clone.write("../../kustomization.yaml", "resources: []")
    clone.write("../../loose.yaml", "kind: Namespace")
    clone.write("code/user_code.py", says("strays"))
    clone.owner.live(clone.ref.app_id, clone.push())
    assert clone.served() == "strays"
    strays = {"notes.txt", "evil.yaml", "loose.yaml"}
    paths = clone.published_paths()
    assert [path for path in paths if Path(path).name in strays] == []
    assert "kustomization.yaml" not in paths
    assert f"{clone.ref.user_id}/kustomization.yaml" not in paths
    assert "evil" not in clone.published("kustomization.yaml")


@pytest.mark.parametrize("name", [".hidden.py", "with space.py", "sub/.git-keep", "a..b.py"])
def test_odd_names_among_the_code_are_held(clone: Clone, name: str):
    clone.write(f"code/{name}", "x = 1\n")
    clone.held(clone.push())


def test_a_symbolic_link_among_the_code_is_held(clone: Clone):
    (clone.app_folder / "code/link.py").symlink_to("/etc/passwd")
    clone.held(clone.push())


def test_an_executable_file_among_the_code_is_held(clone: Clone):
    clone.write("code/tool.py", "x = 1\n")
    (clone.app_folder / "code/tool.py").chmod(0o755)
    clone.held(clone.push())


def test_a_file_among_the_secrets_is_held(clone: Clone):
    clone.write("secrets/TOKEN.sops.yaml", "apiVersion: v1\nkind: Secret\n")
    clone.held(clone.push())


OTHERS_SETTINGS = "apiVersion: fastapi-platform/v1\nkind: App\nname: X\nid: other\nuser: other\n"


@pytest.mark.parametrize("settings", ["", "[]", "kind: App\n", OTHERS_SETTINGS])
def test_settings_that_do_not_fit_are_held(clone: Clone, settings: str):
    clone.write("app.yaml", settings)
    clone.held(clone.push())


def test_a_missing_tenant_file_holds_the_tenant_and_stops_nothing(clone: Clone):
    tenant = clone.app_folder.parent / "tenant.yaml"
    kept = tenant.read_text(encoding="utf-8")
    tenant.unlink()
    clone.write("code/user_code.py", says("orphan"))
    clone.held(clone.push("Remove the tenant's file"))
    tenant.write_text(kept, encoding="utf-8")
    clone.push("Bring it back")
    eventually("the change is served", lambda: clone.served() == "orphan")


@pytest.mark.parametrize("rewritten", [False, True], ids=["verbatim", "with another owner inside"])
def test_an_app_copied_to_another_tenant_is_held_there(
    clone: Clone, product: Product, *, rewritten: bool
):
    thief = product.sign_up()
    own = thief.create("Own", {"user_code.py": says("own")})
    thief.live(own["app_id"])
    product.git("pull", "-q", "--rebase", cwd=clone.folder)
    copy = clone.folder / app_folder(AppRef(thief.user_id, clone.ref.app_id), DIGITS)
    shutil.copytree(clone.app_folder, copy)
    if rewritten:
        settings = (copy / "app.yaml").read_text(encoding="utf-8")
        settings = settings.replace(clone.ref.user_id, thief.user_id)
        (copy / "app.yaml").write_text(settings, encoding="utf-8")
    (copy / "code/user_code.py").write_text(says("stolen"), encoding="utf-8")
    commit = clone.push("Copy somebody's app")
    status = thief.settled(clone.ref.app_id, commit)
    assert (status["stage"], status["error"]["stage"]) == ("failed", "committed"), status
    branch = f"flux/{shard_of(thief.user_id, DIGITS)}"
    paths = product.git("ls-tree", "-r", "--name-only", branch).splitlines()
    assert [path for path in paths if path.startswith(f"{thief.user_id}/{clone.ref.app_id}/")] == []
    assert clone.owner.live(clone.ref.app_id, clone.first)
    assert clone.served() == "first"
    assert product.visit(own["url"]).json() == "own"


def test_a_folder_removed_by_hand_ends_the_app(clone: Clone):
    shutil.rmtree(clone.app_folder)
    clone.push("Remove the app")
    visit = clone.product.visit
    eventually("nobody answers", lambda: visit(clone.app["url"]).status_code == 410)
    prefix = f"{clone.ref.user_id}/{clone.ref.app_id}/"
    assert [path for path in clone.published_paths() if path.startswith(prefix)] == []


def test_one_persons_held_commit_is_not_noticed_by_anybody_else(clone: Clone, product: Product):
    neighbour = product.sign_up()
    app = neighbour.create("Quiet", {"user_code.py": says("quiet")})
    before = neighbour.live(app["app_id"])
    product.git("pull", "-q", "--rebase", cwd=clone.folder)
    clone.write("code/user_code.py", "import os\n" + says("secrets"))
    clone.held(clone.push())
    assert neighbour.deploy_status(app["app_id"]) == before
    changed = neighbour.ok(
        "PUT", f"/api/apps/{app['app_id']}", json={"files": {"user_code.py": says("changed")}}
    )
    neighbour.live(app["app_id"], changed["commit"])
    assert product.visit(app["url"]).json() == "changed"
