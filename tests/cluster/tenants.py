"""A tenant's manifests as the platform renders them, and what installs the admission policies."""

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import yaml

from api.domain.flux_objects import NAMESPACE, ClusterOptions, render_cluster
from api.domain.manifests import RenderSettings, render_tenant
from api.domain.names import namespace_of, shard_of
from api.domain.networks import NOT_PUBLIC
from api.domain.repo_layout import Ceilings, PlatformFile, TenantFile
from api.init_repo import TEMPLATE, read_folder
from tests.cluster.plane.cluster import Cluster
from tests.cluster.plane.slot import PlaneFailed
from tests.cluster.platform import UNFETCHABLE_IMAGE
from tests.manifests.folders import TENANT, TEXTS, app, build, render

Object = dict[str, Any]
#: What all tests of one cluster agree on, for its policies know one host and one list of images.
APPS_HOST: Final = "apps.localhost"
_SECONDS: Final = 30.0


def shard_account(shard: str) -> str:
    """The user name of a shard's service account."""
    return f"system:serviceaccount:{NAMESPACE}:shard-{shard}"


def install_policies(cluster: Cluster) -> None:
    """What `init-repo --cluster` writes but Flux' own objects; what is there already stays."""
    found = cluster.kubectl("get", "configmaps", "-A", "--field-selector=metadata.name=admission")
    if NAMESPACE in found:
        return
    files = {path: data.decode() for path, data in read_folder(TEMPLATE / "cluster").items()}
    options = ClusterOptions("test", "https://git.invalid/x.git", None, (), (UNFETCHABLE_IMAGE,))
    settings = RenderSettings(cluster.runner_image, apps_host=APPS_HOST)
    rendered = render_cluster(files, PlatformFile(), settings, options)
    for path in ["access.yaml", *sorted(p for p in rendered if p.startswith("admission/"))]:
        cluster.apply(rendered[path].decode())


def settings_of(cluster: Cluster) -> RenderSettings:
    """Rendering as the cluster's admission policies expect it."""
    get = ("get", "configmap", "admission", "-n", NAMESPACE, "-o=jsonpath={.data}")
    data: dict[str, str] = json.loads(cluster.kubectl(*get))
    host = data["hostRule"].partition("`")[2].partition("`")[0]
    return RenderSettings(
        data["images"].split()[0],
        apps_host=host or None,
        entry_points=tuple(data["entryPoints"].split()),
        blocked_cidrs=tuple(set(data["blockedCidrs"].split()) - set(NOT_PUBLIC)),
        traefik_namespace=data["traefikNamespace"],
        platform_namespace=data["platformNamespace"],
        image_pull_secret=data["pullSecret"] or None,
        ceilings=Ceilings(
            cpu=data["cpu"], memory=data["memory"], ephemeral_storage=data["ephemeral-storage"]
        ),
    )


@dataclass(frozen=True)
class Tenant:
    """One tenant of the cluster, with the manifests of their app `shop1`."""

    cluster: Cluster
    user: str
    settings: RenderSettings
    app: dict[str, Object]  # by kind, Middlewares by name
    own: dict[str, Object]  # the tenant's objects, NetworkPolicies by name
    shard: str

    @property
    def namespace(self) -> str:
        """Where all of it belongs."""
        return namespace_of(self.user)

    @property
    def account(self) -> str:
        """The only shard's account that may write there."""
        return shard_account(self.shard)

    def dry_run(self, manifest: Object, account: str | None = None) -> str:
        """Have the API server judge a manifest; raises PlaneFailed with its words."""
        options = ["--dry-run=server", *([f"--as={account}"] if account else [])]
        text = yaml.safe_dump(manifest)
        return self.cluster.kubectl("apply", *options, "-f", "-", given=text)


async def render_one(cluster: Cluster, *, shard: str | None = None, running: bool = True) -> Tenant:
    """A tenant of a new user id, of whom nothing is applied yet."""
    user = "u" + secrets.token_hex(5)
    shard = shard or shard_of(user, 2)
    settings = settings_of(cluster)
    objects = await build(render(app(user=user), settings=settings, running=running))
    shaped = {name if kind == "Middleware" else kind: o for (kind, name), o in objects.items()}
    person = TenantFile(user=user, username="ann", created=TENANT.created)
    own: dict[str, Object] = {}
    for text in render_tenant(TEXTS, person, settings, shard).values():
        for entry in yaml.safe_load_all(text):
            network = entry["kind"] == "NetworkPolicy"
            own[entry["metadata"]["name"] if network else entry["kind"]] = entry
    return Tenant(cluster, user, settings, shaped, own, shard)


async def make_tenant(cluster: Cluster) -> Tenant:
    """A tenant of a new user id; their own objects are applied by their shard's account."""
    tenant = await render_one(cluster)
    apply = ("apply", "--server-side", f"--as={tenant.account}", "-f", "-")
    for entry in tenant.own.values():
        eventually(partial(cluster.kubectl, *apply, given=yaml.safe_dump(entry)))
    return tenant


def eventually(step: Callable[[], object]) -> None:
    """Until the API server knows of a new namespace or policy everywhere."""
    end = time.monotonic() + _SECONDS
    while True:
        try:
            step()
        except PlaneFailed:
            if time.monotonic() > end:
                raise
            time.sleep(0.3)
        else:
            return
