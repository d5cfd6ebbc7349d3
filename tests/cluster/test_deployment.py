"""docs/DEPLOYMENT.md, line by line, on an empty cluster: the platform runs in pods and serves.

Doctor finds nothing there, and each of many faults when one at a time is made.

The plane is this module's own. FerretDB, a process of this machine, stands in for the component
mongodb, whose image is nowhere to be had here; everything else is what the guide says.
"""

import json
import os
import re
import secrets
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.sync_api import BrowserContext

from api.routes.middleware import SECURITY_HEADERS
from tests.browser.conftest import chromium, context, picture  # noqa: F401  (fixtures)
from tests.browser.editor_page import EditorPage
from tests.cluster import build, guide
from tests.cluster.breaking import Installation, operated, protect, workloads
from tests.cluster.consulting import ZONE, looked_up
from tests.cluster.faults import FAULTS
from tests.cluster.plane import images, starting
from tests.cluster.plane.cluster import KUBECTL, Cluster
from tests.cluster.plane.components import run
from tests.cluster.plane.relay import relayed
from tests.cluster.plane.slot import Slot
from tests.cluster.platform import FIRST_APPLY_SECONDS, all_ready
from tests.mongodb import FerretDB
from tests.product import ROOT, Product, eventually
from tests.remote.git_server import GitServer, bare

PLATFORM, APPS, MONGO = (f"{name}.{ZONE}" for name in ("platform", "apps", "mongo"))
HELLO = """\
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def hello():
    return "hello"
"""
_IMPORT_SECONDS = 180


@dataclass
class Site(Product):
    """The platform behind its public addresses, as the guide leaves it."""

    trust: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    @property
    def origin(self) -> str:
        return f"https://{PLATFORM}"

    def client(self, token: str | None = None) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self._clients.enter_context(
            httpx2.Client(
                base_url=self.origin,
                headers=headers,
                timeout=60,
                trust_env=False,
                verify=self.trust,
            )
        )

    def get(self, url: str) -> httpx2.Response:
        return httpx2.get(url, timeout=10, trust_env=False, verify=self.trust)


@dataclass
class Deployed:
    """What following the guide gave."""

    cluster: Cluster
    site: Site
    printed: list[str]  # by each block
    installation: Installation


@pytest.fixture(scope="module")
def plane() -> Iterator[Cluster]:
    """A cluster in which nothing of the platform is yet."""
    given = os.environ.get("KUBECONFIG")
    if not given:
        with starting.running() as cluster:
            yield cluster
        return
    if not (Path(given).parent / "plane.json").exists():
        pytest.skip("the guide is followed on a throwaway plane only")
    cluster = Cluster.recorded(Path(given).parent)
    for name in ("fastapi-platform", "fastapi-platform-flux"):
        cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--timeout=110s")
    yield cluster


@pytest.fixture(scope="module")
def deployed(plane: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("operator")
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(socket, "getaddrinfo", looked_up(socket.getaddrinfo))
        yield _follow(plane, folder, stack)


def _follow(plane: Cluster, folder: Path, stack: ExitStack) -> Deployed:
    assert plane.folder is not None
    assert plane.slot is not None
    _load(plane, images.BACKEND, images.FRONTEND)
    plane.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": workloads()}))
    address = Slot(plane.slot).address
    git = stack.enter_context(GitServer(folder / "git", host=address).running())
    git.root.mkdir()
    protect(bare(git.root, "apps.git"))
    database = FerretDB(folder / "ferretdb", build.programs(["ferretdb"])["ferretdb"])

    def reachable(url: str | None) -> str:
        """An address of this machine's loopback, as pods reach it."""
        to = urlsplit(url or "")
        assert to.port
        _, port = stack.enter_context(relayed((address, 0), ("127.0.0.1", to.port)))
        return f"{address}:{port}"

    secure = urlsplit(plane.secure_url or "").port or 0
    stack.enter_context(relayed(("127.0.0.1", 443), ("127.0.0.1", secure)))
    install, keys = folder / "install", folder / "keys"
    values = {
        "BASE_DOMAIN": PLATFORM,
        "GIT_REMOTE": git.url("apps.git"),
        "OVERLAY": "local",
        "INSTALL": str(install),
        "KEYS": str(keys),
        "MONGODB": reachable(f"mongodb://127.0.0.1:{database.port}"),
    }
    first, second, third, *rest = guide.blocks(ROOT / "docs/DEPLOYMENT.md")
    shell = stack.enter_context(
        guide.Shell(ROOT, _environment(plane, folder), folder / "errors.log")
    )
    printed = [shell.run(guide.with_values(first, values)), shell.run(second)]
    overlay = install / "overlays/local"
    _edit(
        overlay / "settings.env",
        TRAEFIK_NAMESPACE="traefik",
        TRUSTED_PROXIES=f"{address}/24",
        ROUTER_URL=f"http://{reachable(plane.apps_url)}",
        FLUX_RECEIVER_URL=f"http://{reachable(plane.receiver_url)}",
    )
    component = "  - ../../components/mongodb\n"
    text = (overlay / "kustomization.yaml").read_text()
    assert component in text
    (overlay / "kustomization.yaml").write_text(text.replace(component, ""))
    printed.append(shell.run(third))
    for name in ("git-token", "git-token-flux"):
        (keys / name).write_text(secrets.token_hex(20))  # this host lets in everybody
    database.password = (keys / "mongodb-password").read_text()
    database.start()
    stack.callback(database.kill)
    for number, block in enumerate(rest, len(printed) + 1):
        print(f"block {number} of {len(rest) + 3}", flush=True)  # noqa: T201  (minutes)
        printed.append(shell.run(block))
    eventually("Flux has applied every shard", lambda: all_ready(plane), FIRST_APPLY_SECONDS)
    trust = ssl.create_default_context(cafile=str(keys / "tls.crt"))
    site = Site(folder / "unused", trust=trust)
    stack.callback(site._clients.close)
    uri = f"{database.uri.partition('?')[0]}fastapi_platform?authSource=admin"
    looked_at = stack.enter_context(operated(plane, git, keys, overlay, uri))
    return Deployed(plane, site, printed, looked_at)


def _load(plane: Cluster, *wanted: images.Image) -> None:
    """Onto the node, as `k3s ctr images import` does."""
    assert plane.folder is not None
    ctr = ("ctr", f"--address={plane.folder / 'containerd.sock'}", "--namespace=k8s.io")
    for image in wanted:
        run(*ctr, "images", "import", images.packed(image), seconds=_IMPORT_SECONDS)


def _environment(plane: Cluster, folder: Path) -> dict[str, str]:
    """An operator's: this kubectl and this cluster."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    return kept | {
        "PATH": f"{KUBECTL.parent}:{os.environ['PATH']}",
        "KUBECONFIG": str(plane.kubeconfig),
        "GIT_TERMINAL_PROMPT": "0",
        "TMPDIR": str(folder),
    }


def _edit(path: Path, **values: str) -> None:
    """Set these lines, as an operator does in an editor."""
    lines = [line for line in path.read_text().splitlines() if line.partition("=")[0] not in values]
    path.write_text("\n".join([*lines, *(f"{k}={v}" for k, v in values.items())]) + "\n")


@pytest.fixture
def product(deployed: Deployed) -> Product:
    return deployed.site


@pytest.fixture
def profile() -> dict[str, Any]:
    """A browser that clicks the warning about the guide's own certificate away."""
    return {"ignore_https_errors": True}


def test_the_platform_runs_in_pods_under_its_own_service_account(deployed: Deployed):
    # Every quarter of an hour the cleanup has a pod for a moment.
    kind = "app.kubernetes.io/component!=cleanup"
    listed = ("get", "pods", "-n", "fastapi-platform", "-l", kind, "-o", "json")
    pods = json.loads(deployed.cluster.kubectl(*listed))["items"]
    accounts = {
        (pod["spec"]["containers"][0]["name"], pod["spec"]["serviceAccountName"]) for pod in pods
    }
    assert accounts == {("backend", "backend"), ("frontend", "default")}
    assert all(each["ready"] for pod in pods for each in pod["status"]["containerStatuses"])
    assert len([pod for pod in pods if pod["spec"]["serviceAccountName"] == "backend"]) == 2
    meta, _ = deployed.printed[-1].split("}", 1)  # what curl printed
    assert json.loads(meta + "}")["apps_origin"] == f"https://{APPS}"


def test_somebody_signs_up_and_deploys_over_tls_on_three_hosts(deployed: Deployed):
    site = deployed.site
    person = site.sign_up()
    app = person.create("Hello", {"user_code.py": HELLO})
    person.live(app["app_id"], app["commit"], 90)
    assert app["url"].startswith(f"https://{APPS}/user/")
    assert site.get(app["url"]).json() == "hello"
    elsewhere = site.get(app["url"].replace(APPS, PLATFORM))
    assert (elsewhere.status_code, elsewhere.headers["Location"]) == (308, app["url"])
    nobody = site.get(app["url"].replace(app["app_id"], f"{app['app_id']}x"))
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (404, "app_unknown")
    nowhere = site.get(f"https://{APPS}/")
    assert (nowhere.status_code, "No app here" in nowhere.text) == (404, True)
    assert site.get(f"https://{MONGO}/").status_code == 404


def test_editor_and_api_send_the_same_headers(deployed: Deployed):
    for path in ("/", "/dashboard", "/theme.js", "/api/meta", "/api/nothing"):
        answer = deployed.site.get(f"https://{PLATFORM}{path}")
        assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
    page = deployed.site.get(f"https://{PLATFORM}/apps/some-app").text
    [script] = re.findall(r'src="(/assets/[^"]+\.js)"', page)
    asset = deployed.site.get(f"https://{PLATFORM}{script}")
    assert "immutable" in asset.headers["Cache-Control"]


def test_a_log_in_at_one_replica_holds_at_the_other(deployed: Deployed):
    person = deployed.site.sign_up()
    listed = ("get", "pods", "-n", "fastapi-platform", "-l", "app.kubernetes.io/component=backend")
    names = deployed.cluster.kubectl(*listed, "-o=name").split()
    assert len(names) == 2
    look = (
        "import urllib.request as u, sys; r = u.Request('http://localhost:8000/api/auth/me',"
        " headers={'Authorization': 'Bearer ' + sys.argv[1]}); print(u.urlopen(r).read().decode())"
    )
    for name in names:
        command = ("exec", "-n", "fastapi-platform", name, "--", "python", "-c", look, person.token)
        assert json.loads(deployed.cluster.kubectl(*command))["user_id"] == person.user_id


def test_a_browser_signs_up_and_deploys(
    deployed: Deployed,
    context: BrowserContext,  # noqa: F811  (the fixture that is imported above)
    picture,  # noqa: F811
) -> None:
    editor = EditorPage(context.new_page())
    editor.sign_up("grace")
    editor.begin("Hello API")
    editor.deploy()
    editor.expect_live()
    picture(editor.page, "live")
    assert "Hello, world" in deployed.site.get(editor.app_url).text


def test_doctor_finds_nothing_on_a_healthy_installation(deployed: Deployed):
    told = deployed.installation.doctor()
    assert (told.findings, told.unlooked, told.status) == ((), (), 0)
    # No API tells the rules of a plain git server; test_forge.py has one that does.
    assert {each["check"].partition(".")[0] for each in told.by_hand} == {"forge"}


@pytest.mark.parametrize("fault", FAULTS)
def test_doctor_names_a_single_fault(deployed: Deployed, fault: str):
    there = deployed.installation
    broken, checks = FAULTS[fault]
    with broken(there) as changed:
        told = there.doctor(**(changed or {}))
    assert told.named == checks, told.findings
    assert told.status == 1


def test_doctor_finds_nothing_when_every_fault_is_mended(deployed: Deployed):
    told = deployed.installation.doctor()
    assert (told.findings, told.unlooked, told.status) == ((), (), 0)
