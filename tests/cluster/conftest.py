"""The cluster that all these tests share: the one of KUBECONFIG, or a throwaway plane."""

import os
import secrets
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cluster.lines import Line, Lines
from tests.cluster.plane import starting
from tests.cluster.plane.cluster import Cluster
from tests.cluster.platform import ZONE, Installed, installed
from tests.cluster.tenants import install_policies
from tests.remote.git_server import GitServer

_RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}


_HOW_TO_USE = pytest.StashKey[str]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config):
    """How to use a plane that was kept, and how to stop it, where nothing hides it."""
    terminalreporter.write(config.stash.get(_HOW_TO_USE, ""))


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The cluster under test, with Flux and Traefik."""
    given = os.environ.get("KUBECONFIG")
    if given:
        yield _given(Path(given))
    elif os.environ.get("KEEP"):
        yield _kept(request.config)
    else:
        with starting.running() as plane:
            yield plane


def _given(kubeconfig: Path) -> Cluster:
    if (kubeconfig.parent / "plane.json").exists():
        return Cluster.recorded(kubeconfig.parent)  # a plane that was kept
    wanted = {
        "apps_url": "CLUSTER_APPS_URL",
        "receiver_url": "CLUSTER_RECEIVER_URL",
        "runner_image": "CLUSTER_RUNNER_IMAGE",
    }
    missing = [name for name in wanted.values() if not os.environ.get(name)]
    assert not missing, f"With a KUBECONFIG, {', '.join(missing)} must be set: see README.md"
    return Cluster(kubeconfig, **{field: os.environ[name] for field, name in wanted.items()})


def _kept(config: pytest.Config) -> Cluster:
    cluster, config.stash[_HOW_TO_USE] = starting.start_by_hand()
    return cluster


@pytest.fixture(scope="session")
def policies(cluster: Cluster) -> None:
    """The admission policies and roles that `init-repo --cluster` writes are in force."""
    install_policies(cluster)


@pytest.fixture(scope="session")
def plane(cluster: Cluster) -> Cluster:
    """The same, for tests that handle its processes: only a throwaway one will do."""
    if cluster.folder is None:
        pytest.skip("the cluster of KUBECONFIG is not ours to kill")
    return cluster


@pytest.fixture(scope="session")
def git_server(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """A git server that the cluster reaches; its faults and counts are the test's."""
    root = tmp_path_factory.mktemp("git")
    with GitServer(root, host=_own_address(cluster)).running() as server:
        yield server


def _own_address(cluster: Cluster) -> str:
    """This machine's address on the way to the cluster."""
    if cluster.folder is not None:
        return "127.0.0.1"
    server = urlsplit(_api_url(cluster))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((server.hostname or "", server.port or 443))  # sends nothing
        return str(probe.getsockname()[0])


def _api_url(cluster: Cluster) -> str:
    jsonpath = "-o=jsonpath={.clusters[0].cluster.server}"
    return cluster.kubectl("config", "view", "--minify", jsonpath)


@pytest.fixture(scope="session")
def platform(
    cluster: Cluster, git_server: GitServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    """The whole platform, installed on the cluster and served."""
    folder = tmp_path_factory.mktemp("platform")
    with (
        names_lead_to(cluster),
        _lines(cluster) as lines,
        installed(cluster, git_server, folder, lines) as platform,
    ):
        yield platform


@contextmanager
def names_lead_to(cluster: Cluster) -> Iterator[None]:
    """Every name below the zone is the router's, in this process."""
    router = urlsplit(cluster.apps_url).hostname
    look_up = socket.getaddrinfo

    def look_up_router(host: Any, *arguments: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host or ""
        return look_up(router if name.endswith(f".{ZONE}") else host, *arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up_router)
        yield


@contextmanager
def _lines(cluster: Cluster) -> Iterator[Lines | None]:
    """Lines for the server on a throwaway plane; another's certificate may be for its name only."""
    if cluster.folder is None:
        yield None
        return
    with (
        Line(_api_url(cluster)).running() as api,
        Line(cluster.receiver_url).running() as receiver,
    ):
        yield Lines(api, receiver)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own in which Pod Security enforces `restricted`."""
    make = _namespaces(cluster)
    name = next(make)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def _namespaces(cluster: Cluster) -> Iterator[str]:
    while True:
        name = f"test-{secrets.token_hex(4)}"
        cluster.kubectl("create", "namespace", name)
        labels = [f"{label}={value}" for label, value in _RESTRICTED.items()]
        cluster.kubectl("label", "namespace", name, *labels)
        yield name


@pytest.fixture
def push(git_server: GitServer, tmp_path: Path) -> Callable[[str, str, dict[str, str]], str]:
    """Commit exactly these files on a branch of a repository of the server; the commit's id."""

    def pushed(repository: str, branch: str, files: dict[str, str]) -> str:
        work = tmp_path / repository
        git = ("git", "-C", str(work), "-c", "user.name=t", "-c", "user.email=t@example.org")

        def run(*arguments: str) -> str:
            done = subprocess.run([*git, *arguments], check=True, capture_output=True, text=True)
            return done.stdout.strip()

        if not work.exists():
            work.mkdir()
            run("init", "-q", "-b", branch)
        for old in run("ls-files").splitlines():
            (work / old).unlink()
        for path, content in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_text(content)
        run("add", "-A")
        run("commit", "-q", "--allow-empty", "-m", "change")
        run("push", "-q", git_server.url(repository), f"HEAD:refs/heads/{branch}")
        return run("rev-parse", "HEAD")

    return pushed
