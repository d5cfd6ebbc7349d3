"""Everything that the platform renders passes the API server, under the account that applies it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
import yaml

from api.domain.manifests import Serving, render_tenant
from api.domain.names import config_key, shard_of
from api.domain.repo_layout import TenantFile
from tests.cluster.plane.cluster import Cluster
from tests.cluster.plane.slot import PlaneFailed
from tests.cluster.tenants import Tenant, make_tenant
from tests.manifests.folders import LONG_ID, TENANT, TEXTS, app, build, render

pytestmark = pytest.mark.usefixtures("policies")
SERVING = Serving("3" * 64, "shop1-code-abcdefghij", ("user_code.py",))


@pytest.fixture(scope="module")
def tenant(cluster: Cluster, policies: None):
    """A tenant whose own objects are applied."""
    made = asyncio.run(make_tenant(cluster))
    yield made
    cluster.kubectl("delete", "namespace", made.namespace, "--wait=false")


@pytest.fixture
def apply(tenant: Tenant) -> Callable[[dict], None]:
    """Have the API server judge every object, as Flux applies it: server-side, as the shard."""

    def run(objects: dict) -> None:
        text = yaml.safe_dump_all(list(objects.values()))
        options = ("--server-side", "--dry-run=server", f"--as={tenant.account}")
        told = tenant.cluster.kubectl("apply", *options, "-f", "-", given=text)
        assert len(told.splitlines()) == len(objects)

    return run


def test_what_a_tenant_is_given_is_admitted(tenant: Tenant, apply):
    assert len(tenant.own) == 6
    apply(tenant.own)


@pytest.mark.parametrize("running", [True, False])
async def test_an_app_is_admitted_awake_and_asleep(tenant: Tenant, apply, running):
    file = app(user=tenant.user, env={"A": "$(B) ü ${x}", "Z": ""})
    objects = await build(render(file, settings=tenant.settings, running=running))
    assert (("IngressRoute", "shop1") in objects) is running
    await asyncio.to_thread(apply, objects)


async def test_an_update_with_the_code_that_still_serves_is_admitted(tenant: Tenant, apply):
    files = render(app(user=tenant.user), settings=tenant.settings, serving=SERVING)
    objects = await build(files, **{"serving/user_code.py": b"# before\n"})
    assert len([kind for kind, _ in objects if kind == "ConfigMap"]) == 2
    await asyncio.to_thread(apply, objects)


async def test_ids_of_full_length_are_admitted(tenant: Tenant, apply):
    file = app(user=tenant.user, id=LONG_ID)
    await asyncio.to_thread(apply, await build(render(file, settings=tenant.settings)))


async def test_an_overlay_up_to_the_ceilings_is_admitted_and_one_above_is_not(tenant, apply):
    ceilings = tenant.settings.ceilings
    for cpu, passes in ((ceilings.cpu, True), ("64", False)):
        limits = {"cpu": cpu, "memory": ceilings.memory}
        patch = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shop1", "annotations": {"example.org/team": "red"}},
            "spec": {
                "template": {
                    "spec": {
                        "terminationGracePeriodSeconds": 120,
                        "containers": [{"name": "app", "resources": {"limits": limits}}],
                    }
                }
            },
        }
        overlay = {
            "apiVersion": "kustomize.config.k8s.io/v1alpha1",
            "kind": "Component",
            "patches": [{"patch": yaml.safe_dump(patch)}],
        }
        files = render(app(user=tenant.user), settings=tenant.settings)
        more = {"overlay/kustomization.yaml": yaml.safe_dump(overlay).encode()}
        objects = await build(files, **more)
        if passes:
            await asyncio.to_thread(apply, objects)
        else:
            with pytest.raises(PlaneFailed, match="rule pod-resources: "):
                await asyncio.to_thread(apply, objects)


async def test_code_is_kept_byte_for_byte(tenant: Tenant):
    text = 'é "quoted" \\ $(A) ${B} {{ c }}\n\ttab\n# ---\n\U0001f600 \u2028 end'
    files = render(app(user=tenant.user), settings=tenant.settings)
    objects = await build(files, **{"code/user_code.py": text.encode()})
    code = next(entry for (kind, _), entry in objects.items() if kind == "ConfigMap")
    options = ("--server-side", "--dry-run=server", f"--as={tenant.account}", "-o=yaml")
    told = await asyncio.to_thread(
        tenant.cluster.kubectl, "apply", *options, "-f", "-", given=yaml.safe_dump(code)
    )
    assert yaml.safe_load(told)["data"][config_key("user_code.py")] == text


async def test_what_an_operator_sets_gives_valid_objects_and_the_policies_must_know_it(
    tenant: Tenant,
):
    settings = replace(
        tenant.settings,
        apps_host="elsewhere.example.org",
        blocked_cidrs=(
            *tenant.settings.blocked_cidrs,
            "203.0.113.0/24",
            "2001:db8::/32",
            "fd00::/8",
        ),
        image_pull_secret="registry",
    )
    person = TenantFile(user=tenant.user, username="ann", created=TENANT.created)
    own = render_tenant(TEXTS, person, settings, shard_of(tenant.user, 2))
    for policy in yaml.safe_load_all(own["network.yaml"]):
        await asyncio.to_thread(tenant.dry_run, policy, tenant.account)
    objects = await build(render(app(user=tenant.user), settings=settings))
    for manifest, rule in (
        (objects["IngressRoute", "shop1"], "rule route-path: "),
        (yaml.safe_load(own["service-account.yaml"]), "rule service-account: "),
    ):
        with pytest.raises(PlaneFailed, match=rule):
            await asyncio.to_thread(tenant.dry_run, manifest, tenant.account)
