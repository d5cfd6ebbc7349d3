"""The whole platform installed on a cluster, as its guides say: repository, Flux' objects, server.

The server is a process of this machine with the rights of the backend's service account; what it
commits, Flux applies with signatures verified, and Traefik serves.
"""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import yaml

from api.domain.flux_objects import NAMESPACE, RECEIVER
from tests import mongodb
from tests.cluster.lines import Lines
from tests.cluster.plane.cluster import Cluster
from tests.product import ROOT, Product, eventually
from tests.remote.git_server import GitServer, bare

#: Names below it lead to the router, in this process: RFC 6761, section 6.3.
ZONE: Final = "localhost"
APPS_HOST: Final = f"apps.{ZONE}"
REPOSITORY: Final = "platform.git"
#: The policies let it pass, and no registry has it.
UNFETCHABLE_IMAGE: Final = "localhost:1/none:1"
#: 257 sources are fetched and applied once, two at a time.
FIRST_APPLY_SECONDS: Final = 400.0
_SHARDS: Final = 256


@dataclass
class Installed:
    """A platform that serves a cluster."""

    cluster: Cluster
    git: GitServer
    product: Product
    lines: Lines | None = None  # that the server's requests go over; on a throwaway plane only

    def address(self, url: str) -> str:
        """Where the router answers for an app's public address."""
        port = urlsplit(self.cluster.apps_url).port
        return url.replace(f"https://{APPS_HOST}", f"http://{APPS_HOST}:{port}", 1)

    def visit(self, url: str, **arguments: Any) -> httpx2.Response:
        """What a stranger's browser gets at an app's public address."""
        return self.product.visit(self.address(url), **arguments)

    def repository(self, *arguments: str) -> str:
        """What git prints in the shared repository."""
        return self.product.git(*arguments, cwd=self.git.root / REPOSITORY)

    def flux(self, kind: str, name: str) -> dict[str, Any]:
        """One of Flux' objects."""
        text = self.cluster.kubectl("get", kind, name, "-n", NAMESPACE, "-o", "json")
        return dict(json.loads(text))


@contextmanager
def installed(
    cluster: Cluster, git: GitServer, folder: Path, lines: Lines | None = None
) -> Iterator[Installed]:
    """Install everything, wait until Flux has applied every shard once, and serve."""
    bare(git.root, REPOSITORY)
    keys = make_keys(folder)
    with mongodb.running(folder / "mongodb") as server, mongodb.own_database(server) as database:
        settings = {"MONGO_URI": database} | keys
        platform = install(cluster, git, folder, settings, lines)
        with platform.product:
            yield platform


def install(
    cluster: Cluster,
    git: GitServer,
    folder: Path,
    settings: Mapping[str, str],
    lines: Lines | None = None,
) -> Installed:
    """All steps of the guide but the making of keys, up to the server, which is not started.

    `settings` are the keys and the database's address; the repository may be there already.
    Returns when Flux has applied every shard once.
    """
    _apply_access(cluster)
    product = Product(folder / "data", {**_settings(cluster, git, folder, lines), **settings})
    where = ("--cluster", "test", "--source-url", git.url(REPOSITORY))
    operator(product, "init-repo", *where, "--image", UNFETCHABLE_IMAGE)
    _bootstrap(cluster, git, folder, Path(settings["FLUX_RECEIVER_TOKEN_FILE"]).read_text())
    eventually("Flux applied every shard", lambda: all_ready(cluster), FIRST_APPLY_SECONDS)
    return Installed(cluster, git, product, lines)


def make_keys(folder: Path) -> dict[str, str]:
    """The keys of an installation, as settings: what an operator keeps."""
    key, token = folder / "signing", folder / "receiver-token"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    token.write_text(secrets.token_hex(32))
    return {
        "SECRET_KEY": secrets.token_hex(32),
        "GIT_SIGNING_KEY_FILE": str(key),
        "FLUX_RECEIVER_TOKEN_FILE": str(token),
    }


def _settings(
    cluster: Cluster, git: GitServer, folder: Path, lines: Lines | None
) -> dict[str, str]:
    return {
        "MODE": "cluster",
        "BASE_DOMAIN": f"platform.{ZONE}",
        "GIT_REMOTE": git.url(REPOSITORY),
        "GIT_POLL_SECONDS": "2",
        "KUBECONFIG": str(_backends_kubeconfig(cluster, folder, lines)),
        "RUNNER_IMAGE": cluster.runner_image,
        "ROUTER_URL": cluster.apps_url,
        **({"TRAEFIK_METRICS_URL": metrics} if (metrics := cluster.traefik_metrics_url) else {}),
        "FLUX_RECEIVER_URL": lines.receiver.url if lines else cluster.receiver_url,
    }


def _apply_access(cluster: Cluster) -> None:
    namespaces = "".join(
        f"---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n"
        for name in ("fastapi-platform", NAMESPACE)
    )
    cluster.apply(namespaces + "---\n" + (ROOT / "deploy/base/access.yaml").read_text())


def _backends_kubeconfig(cluster: Cluster, folder: Path, lines: Lines | None) -> Path:
    """The rights of the backend's service account, and no others."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    account = ("create", "token", "backend", "-n", "fastapi-platform", "--duration=6h")
    token = cluster.kubectl(*account).strip()
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    if lines:
        config["clusters"][0]["cluster"]["server"] = lines.api.url
    path = folder / "backend.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def operator(product: Product, *arguments: str) -> str:
    """What an operator's command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        cwd=ROOT,
        env=product.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"{' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _bootstrap(cluster: Cluster, git: GitServer, folder: Path, token: str) -> None:
    """By hand once, as `clusters/<name>/README.md` says; then Flux follows flux/clusters."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "receiver-token", "namespace": NAMESPACE},
        "stringData": {"token": token},
    }
    cluster.apply(yaml.safe_dump(secret))
    checkout = folder / "clusters"
    clone = ("git", "clone", "-q", "--depth=1", "-b", "main", git.url(REPOSITORY), str(checkout))
    subprocess.run(clone, check=True, env=os.environ | {"GIT_TERMINAL_PROMPT": "0"})
    files = str(checkout / "clusters" / "test")
    no_shards = ("-l", "!fastapi-platform/shard")
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-R", "-f", files, *no_shards)
    # On a cluster that had another token, the Receiver would look at this one within ten minutes.
    now = f"reconcile.fluxcd.io/requestedAt={time.time()}"
    cluster.kubectl("annotate", "receiver", RECEIVER, "-n", NAMESPACE, "--overwrite", now)


def all_ready(cluster: Cluster) -> bool:
    """Whether Flux has applied every shard once."""
    text = cluster.kubectl("get", "kustomizations", "-n", NAMESPACE, "-o", "json")
    applied = [
        entry.get("status", {}).get("lastAppliedRevision") for entry in json.loads(text)["items"]
    ]
    return len(applied) == _SHARDS + 1 and all(applied)
