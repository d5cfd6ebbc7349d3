"""A learner's app on the cluster, rendered as the platform renders it and applied by hand."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import yaml

from api.clients.kustomize import Kustomize
from api.domain.manifests import (
    AppSource,
    RenderSettings,
    Templates,
    render_app,
    render_tenant,
)
from api.domain.names import AppRef, namespace_of, shard_of
from api.domain.repo_layout import EMPTY_OVERLAY, AppFile, TenantFile
from tests.cluster.plane.cluster import Cluster

TEMPLATES = Templates.load()


@dataclass(frozen=True)
class Learner:
    """One tenant with one app."""

    cluster: Cluster
    ref: AppRef
    settings: RenderSettings

    @classmethod
    def on(cls, cluster: Cluster, apps_host: str, ref: AppRef | None = None) -> "Learner":
        """A tenant of the test's own, with namespace, quota and all."""
        mark = secrets.token_hex(3)
        settings = RenderSettings(cluster.runner_image, apps_host=apps_host)
        learner = cls(cluster, ref or AppRef(f"u{mark}", f"shop-{mark}"), settings)
        tenant = TenantFile(user=learner.ref.user_id, username="ann", created=datetime.now(UTC))
        shard = shard_of(learner.ref.user_id, 2)
        files = render_tenant(TEMPLATES, tenant, settings, shard)
        cluster.apply(files["namespace.yaml"].decode())
        cluster.apply("\n---\n".join(text.decode() for text in files.values()))
        return learner

    @property
    def namespace(self) -> str:
        return namespace_of(self.ref.user_id)

    async def apply(self, code: Mapping[str, str] | str, image: str | None = None) -> str:
        """Make this what shall run; its intent."""
        code = {"user_code.py": code} if isinstance(code, str) else code
        app = AppFile(id=self.ref.app_id, user=self.ref.user_id, name="A test")
        settings = RenderSettings(
            image or self.settings.runner_image, apps_host=self.settings.apps_host
        )
        intent = hashlib.sha256(repr((sorted(code.items()), settings)).encode()).hexdigest()
        source = AppSource(app, tuple(code), (), intent)
        files = {
            "overlay/kustomization.yaml": EMPTY_OVERLAY,
            **{f"code/{name}": text.encode() for name, text in code.items()},
            **render_app(TEMPLATES, source, settings, running=True, serving=None),
        }
        self.cluster.apply(yaml.safe_dump_all(await Kustomize().build(files)))
        return intent

    def leave(self) -> None:
        """Everything of it goes; nobody waits for that."""
        self.cluster.kubectl(
            "delete", "namespace", self.namespace, "--wait=false", "--ignore-not-found"
        )
