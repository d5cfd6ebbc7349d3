"""The peer: the usual layout, one source on the whole repository and one Kustomization over it.

The same rendered folders, signatures, admission policies, cluster and Receiver; what differs is
that all tenants stand on one branch, and that Flux applies them as cluster-admin. Its clock starts
when the branch moves (the platform's starts at the request, before the check and the push).
"""

import asyncio
import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import httpx2
import yaml

from api.clients.commit_signing import Signer
from api.clients.flux_receiver import signature, webhook_path
from api.clients.git_trees import Edit
from api.clients.gitops_repo import Change, GitopsRepo
from api.domain.commit_message import COMMITTER
from api.domain.flux_objects import NAMESPACE
from api.domain.manifests import RenderSettings, Templates, render_tenant
from api.domain.names import AppRef, app_path, shard_of
from api.domain.repo_layout import MAIN, AppFile, TenantFile
from bench.cluster_crowd import move, render
from bench.cluster_deploys import Visitor
from bench.deploy import says
from tests.cluster.platform import Installed
from tests.product import eventually
from tests.remote.git_server import bare

_NAME: Final = "peer"
_REF: Final = AppRef("upeer", "peer-app")
_PATIENCE_SECONDS: Final = 400.0
_FILL_SECONDS: Final = 900.0
_LOOK_SECONDS: Final = 2.0
_FLUX: Final = "toolkit.fluxcd.io/v1"


@dataclass(frozen=True)
class Peer:
    """One app deployed through a repository of the usual layout."""

    platform: Installed
    repo: GitopsRepo
    settings: RenderSettings
    token: bytes  # of the Receiver

    @classmethod
    def installed(
        cls, platform: Installed, settings: RenderSettings, signer: Signer, token: bytes
    ) -> "Peer":
        """Make the repository with the one app, and Flux' objects for it."""
        repo = GitopsRepo(bare(platform.git.root, f"{_NAME}.git"), signer)
        peer = cls(platform, repo, settings, token)
        tenant = TenantFile(user=_REF.user_id, username="peer", created=datetime.now(UTC))
        shard = shard_of(_REF.user_id, 2)
        objects = render_tenant(Templates.load(), tenant, settings, shard)
        files: dict[str, Edit] = {f"{_REF.user_id}/{path}": data for path, data in objects.items()}
        first = asyncio.run(repo.begin(files | peer.version("first"), "Begin\n"))
        move(repo, {MAIN: first})
        platform.cluster.apply(yaml.safe_dump_all(peer.objects()))
        return peer

    def version(self, word: str) -> dict[str, Edit]:
        """The app's folder with the version that says a word."""
        app = AppFile(id=_REF.app_id, user=_REF.user_id, name="Peer")
        code = says(word).encode()
        intent = hashlib.sha256(code).hexdigest()
        files = render(app, code, intent, self.settings, pods=True)
        return {f"{_REF.user_id}/{_REF.app_id}/{path}": data for path, data in files.items()}

    def objects(self) -> list[dict[str, Any]]:
        """Its source and its Kustomization."""
        metadata = {
            "name": _NAME,
            "namespace": NAMESPACE,
            "labels": {"app.kubernetes.io/part-of": "fastapi-platform"},  # the Receiver's
        }
        source = {
            "interval": "10m",
            "url": self.platform.git.url(f"{_NAME}.git"),
            "ref": {"branch": MAIN},
            "verify": {"mode": "HEAD", "secretRef": {"name": "publish-keys"}},
            "ignore": "/.none",
        }
        applied = {
            "interval": "4h",
            "retryInterval": "30s",
            "timeout": "10m",
            "path": "./",
            "prune": True,
            "wait": False,
            "deletionPolicy": "Orphan",
            "sourceRef": {"kind": "GitRepository", "name": _NAME},
        }
        return [
            {"apiVersion": f"{group}.{_FLUX}", "kind": kind, "metadata": metadata, "spec": spec}
            for group, kind, spec in (
                ("source", "GitRepository", source),
                ("kustomize", "Kustomization", applied),
            )
        ]

    def answers(self, word: str, since: float) -> float:
        """Seconds since then at the first answer with the word; infinite when none comes."""
        path = f"{app_path(_REF)}/"
        visitor = Visitor(self.platform.cluster.apps_url, patience=_PATIENCE_SECONDS)
        return visitor.until(path, word, since)

    def deploy(self, word: str) -> float:
        """Seconds from the push of a new version until it answers."""
        commit = asyncio.run(self._commit(self.version(word), f"Deploy {word}\n"))
        since = time.perf_counter()
        self._push(commit)
        return self.answers(word, since)

    def fill(self, files: dict[str, Edit]) -> float:
        """Take over what the shards hold; seconds until Flux has applied it.

        Raises AssertionError when it does not come to that.
        """
        self._suspend_shards()
        commit = asyncio.run(self._commit(files, "Take over\n"))
        since = time.perf_counter()
        self._push(commit)
        get = ("get", "kustomization", _NAME, "-n", NAMESPACE)
        jsonpath = "-o=jsonpath={.status.lastAppliedRevision}"

        def applied() -> bool:
            time.sleep(_LOOK_SECONDS)
            return self.platform.cluster.kubectl(*get, jsonpath).endswith(commit)

        eventually("the peer has applied all apps", applied, _FILL_SECONDS)
        return time.perf_counter() - since

    def _push(self, commit: str) -> None:
        move(self.repo, {MAIN: commit})
        self._poke()

    async def _commit(self, files: dict[str, Edit], message: str) -> str:
        """Written, while the branch still points at the one before."""
        tip = await self.repo.head(MAIN)
        with self.repo.gathering():
            [commit] = await self.repo.build(str(tip), [Change(files, message, COMMITTER)])
        await self.repo.store()
        return str(commit)

    def _suspend_shards(self) -> None:
        """So that two layouts do not fight over the same objects."""
        patch = '{"spec": {"suspend": true}}'
        cluster = self.platform.cluster
        get = ("get", "kustomizations", "-n", NAMESPACE, "-l", "fastapi-platform/shard", "-o=name")
        names = cluster.kubectl(*get).split()
        for first in range(0, len(names), 64):
            some = names[first : first + 64]
            cluster.kubectl("patch", *some, "-n", NAMESPACE, "--type=merge", f"--patch={patch}")

    def _poke(self) -> None:
        body = f'{{"sources": ["{_NAME}"]}}'.encode()
        url = self.platform.cluster.receiver_url.rstrip("/") + webhook_path(self.token)
        headers = {"Content-Type": "application/json", "X-Signature": signature(self.token, body)}
        answer = httpx2.post(url, content=body, headers=headers, timeout=10, trust_env=False)
        answer.raise_for_status()
