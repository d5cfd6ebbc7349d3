"""Overlays of people, honest and hostile: read, built by the real kustomize, and compared."""

import asyncio
import json
from datetime import UTC, datetime
from tempfile import gettempdir

import pytest
import yaml

from api.clients.kustomize import Kustomize, KustomizeRefused
from api.domain import overlay_check
from api.domain.intent_check import problem
from api.domain.manifests import AppSource, RenderSettings, Serving, Templates, render_app
from api.domain.repo_layout import EMPTY_OVERLAY, AppFile, Ceilings
from api.domain.source_check import Diagnostic
from tests.cluster.variants import POWERS

APP = AppFile(id="shop1", user="uabc", name="Shop")
HEAD = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
LEAVE = "{apiVersion: apps/v1, kind: %s, metadata: {name: %s}}"
CONTAINER = "spec: {template: {spec: {containers: [{name: app, %s}]}}}"


def component(*patches: dict[str, object]) -> dict[str, bytes]:
    return {"kustomization.yaml": HEAD.encode() + yaml.safe_dump({"patches": patches}).encode()}


def merge(text: str, kind: str = "Deployment", name: str = "shop1") -> dict[str, object]:
    """A strategic merge patch without a target."""
    version = {"Deployment": "apps/v1", "Service": "v1"}.get(kind, "traefik.io/v1alpha1")
    patch = yaml.safe_load(f"{{{text}}}")
    patch["metadata"] = {"name": name} | patch.get("metadata", {})
    return {"patch": yaml.safe_dump({"apiVersion": version, "kind": kind} | patch)}


def on(kind: str, text: str, **other: object) -> dict[str, object]:
    """A patch with a target; operations are JSON, because they begin with a bracket."""
    return {"target": {"kind": kind}, "patch": json.dumps(yaml.safe_load(text)), **other}


def with_resources(resources: str) -> dict[str, bytes]:
    return component(merge(CONTAINER % f"resources: {resources}"))


def with_annotation(pair: str) -> dict[str, bytes]:
    return component(merge(f"spec: {{template: {{metadata: {{annotations: {{{pair}}}}}}}}}"))


@pytest.fixture(scope="module")
def plain(rendered):
    return asyncio.run(Kustomize().build(rendered))


@pytest.fixture(scope="module")
def rendered() -> dict[str, bytes]:
    source = AppSource(APP, ("user_code.py",), (), "0" * 64)
    settings = RenderSettings("registry.example/runner:1")
    files = render_app(Templates.load(), source, settings, running=True, serving=None)
    return {
        **files,
        "code/user_code.py": b"app = 1\n",
        "overlay/kustomization.yaml": EMPTY_OVERLAY,
    }


async def check(rendered, plain, overlay: dict[str, bytes]) -> list[Diagnostic]:
    """The two halves as the check of an intent joins them."""
    return overlay_check.check_files(overlay) or await effect(rendered, plain, overlay)


async def effect(rendered, plain, overlay: dict[str, bytes]) -> list[Diagnostic]:
    files = {f"overlay/{name}": data for name, data in overlay.items()}
    return overlay_check.compare(plain, await Kustomize().build(rendered | files), Ceilings())


HONEST = {
    "limits and requests": with_resources(
        "{limits: {cpu: 500m, memory: 256Mi}, requests: {cpu: 100m, memory: 128Mi}}"
    ),
    "half a cpu as a number": with_resources("{limits: {cpu: 0.5}}"),
    "a whole grace period": component(
        merge("spec: {template: {spec: {terminationGracePeriodSeconds: 120}}}")
    ),
    "no grace at all": component(
        merge("spec: {template: {spec: {terminationGracePeriodSeconds: 0}}}")
    ),
    "an annotation on the pods": with_annotation('prometheus.io/scrape: "true"'),
    "an annotation called name": with_annotation('name: "x", namespace: "y"'),
    "annotations on everything": component(
        *(
            on(kind, '[{op: add, path: /metadata/annotations, value: {owner: "ann"}}]')
            for kind in ("Deployment", "Service", "Middleware", "IngressRoute")
        )
    ),
    "operations": component(
        on(
            "Deployment",
            "[{op: replace, path: /spec/template/spec/containers/0/resources/limits/memory, "
            "value: 200Mi}, "
            "{op: remove, path: /spec/template/spec/containers/0/resources/requests}, "
            "{op: add, path: /spec/template/metadata/annotations/example.org~1team, value: blue}]",
        )
    ),
    "a patch in a file beside it": {
        "kustomization.yaml": f"{HEAD}patches:\n- path: more.yaml\n".encode(),
        "more.yaml": (
            b"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: shop1\n"
            b"  annotations:\n    owner: ann\n"
        ),
    },
}


@pytest.mark.parametrize("overlay", HONEST.values(), ids=HONEST)
async def test_an_honest_overlay_passes(rendered, plain, overlay):
    assert await check(rendered, plain, overlay) == []


@pytest.mark.parametrize("overlay", HONEST.values(), ids=HONEST)
async def test_an_honest_overlay_builds_in_every_form_of_the_folder(overlay):
    # Asleep there is no route, beside an older version another ConfigMap; restarts leave a mark.
    app = APP.model_copy(update={"restarted_at": datetime(2026, 1, 1, tzinfo=UTC)})
    source = AppSource(app, ("user_code.py",), (), "1" * 64)
    serving = Serving("2" * 64, "shop1-code-0123456789", ("user_code.py",))
    settings = RenderSettings("registry.example/runner:2")
    patched = {f"overlay/{name}": data for name, data in overlay.items()}
    for running, older in ((False, None), (True, serving)):
        files = render_app(Templates.load(), source, settings, running=running, serving=older)
        folder = {**files, "code/user_code.py": b"app = 1\n", "serving/user_code.py": b"app = 0\n"}
        without = await Kustomize().build(folder | {"overlay/kustomization.yaml": EMPTY_OVERLAY})
        assert (
            overlay_check.compare(without, await Kustomize().build(folder | patched), Ceilings())
            == []
        )


HOSTILE = {
    "another image": component(merge(CONTAINER % "image: evil")),
    "the same image, pinned": component(merge(CONTAINER % "image: registry.example/runner:1")),
    "the same number of replicas": component(merge("spec: {replicas: 1}")),
    "many replicas": component(merge("spec: {replicas: 50}")),
    "a second container": component(
        merge("spec: {template: {spec: {containers: [{name: miner, image: evil}]}}}")
    ),
    "a second container by resources": component(
        merge("spec: {template: {spec: {containers: [{name: b, resources: {limits: {cpu: 1}}}]}}}")
    ),
    "an init container": component(
        merge("spec: {template: {spec: {initContainers: [{name: i, image: evil}]}}}")
    ),
    "the host's network": component(merge("spec: {template: {spec: {hostNetwork: true}}}")),
    "the host's folder": component(
        merge("spec: {template: {spec: {volumes: [{name: h, hostPath: {path: /}}]}}}")
    ),
    "another service account": component(
        merge("spec: {template: {spec: {serviceAccountName: default}}}")
    ),
    "a token": component(merge("spec: {template: {spec: {automountServiceAccountToken: true}}}")),
    "root": component(merge(CONTAINER % "securityContext: {runAsUser: 0}")),
    "privileged": component(merge(CONTAINER % "securityContext: {privileged: true}")),
    "the platform's variable": component(
        merge(CONTAINER % 'env: [{name: FASTAPI_PLATFORM_INTENT, value: "0"}]')
    ),
    "a probe": component(merge(CONTAINER % "livenessProbe: null")),
    "a command": component(merge(CONTAINER % "command: [sh]")),
    "another route": component(
        on("IngressRoute", "[{op: replace, path: /spec/routes/0/match, value: PathPrefix(`/`)}]")
    ),
    "a higher priority": component(
        on("IngressRoute", "[{op: replace, path: /spec/routes/0/priority, value: 9999}]")
    ),
    "another prefix": component(
        on("Middleware", "[{op: replace, path: /spec/stripPrefix/prefixes, value: [/]}]")
    ),
    "another selector": component(merge("spec: {selector: {a: b}}", "Service")),
    "a load balancer": component(merge("spec: {type: LoadBalancer}", "Service")),
    "the ConfigMap": component(on("ConfigMap", "[{op: add, path: /data/x, value: y}]")),
    "the older ConfigMap": component(
        {"target": {"kind": "ConfigMap", "name": "shop1-code-.*"}, "patch": "{data: {x: y}}"}
    ),
    "every kind at once": component(on(".*", "[{op: remove, path: /spec}]")),
    "no kind": component(
        {"target": {"name": "shop1"}, "patch": '[{"op": "remove", "path": "/spec"}]'}
    ),
    "a route without target": component(merge('metadata: {annotations: {a: "b"}}', "IngressRoute")),
    "delete": component(merge("$patch: delete")),
    "delete by target": component(
        on("Service", "{apiVersion: v1, kind: Service, metadata: {name: x}, $patch: delete}")
    ),
    "replace": component(merge("$patch: replace, spec: {}")),
    "a list directive": component(
        merge(CONTAINER % "resources: {$patch: replace, limits: {cpu: 1m}}")
    ),
    "another name": component(
        on("Deployment", "[{op: replace, path: /metadata/name, value: shop2}]")
    ),
    "another name with leave": component(
        on("Deployment", LEAVE % ("Deployment", "other"), options={"allowNameChange": True})
    ),
    "another kind with leave": component(
        on("Deployment", LEAVE % ("DaemonSet", "shop1"), options={"allowKindChange": True})
    ),
    "another namespace": component(
        on("Deployment", "[{op: add, path: /metadata/namespace, value: kube-system}]")
    ),
    "another app": component(merge('metadata: {annotations: {a: "b"}}', name="shop2")),
    "a test that only passes now": component(
        on("Deployment", "[{op: test, path: /spec/replicas, value: 1}]")
    ),
    "a copy": component(
        on("Deployment", "[{op: copy, from: /metadata/name, path: /metadata/annotations}]")
    ),
    "the platform's annotation": with_annotation('fastapi-platform/intent: "x"'),
    "the platform's annotation removed": with_annotation("fastapi-platform/intent: null"),
    "all annotations of the pods": component(
        on(
            "Deployment",
            "[{op: replace, path: /spec/template/metadata/annotations, value: "
            '{fastapi-platform/intent: "' + "0" * 64 + '"}}]',
        )
    ),
    **{
        f"power: {name}": with_annotation(f"{key}: {value!r}")
        for name, (key, value) in POWERS.items()
    },
    "never pruned": with_annotation("kustomize.toolkit.fluxcd.io/prune: disabled"),
    "left out by kustomize": with_annotation('config.kubernetes.io/local-config: "true"'),
    "a number as annotation": with_annotation("a: 1"),
    "an annotation's name too long": with_annotation(f'{"a" * 64}: "x"'),
    "an annotation's name with a space": with_annotation('"a b": "x"'),
    "annotations too large": with_annotation(f'a: "{"x" * 20000}"'),
    "a label": component(merge("metadata: {labels: {a: b}}")),
    "resources gone": with_resources("null"),
    "no limits": with_resources("{limits: null}"),
    "no memory limit": with_resources("{limits: {memory: null}}"),
    "above the ceiling": with_resources("{limits: {memory: 257Mi}}"),
    "huge": with_resources("{limits: {cpu: 1E}}"),
    "negative": with_resources('{limits: {cpu: "-1"}}'),
    "nothing": with_resources('{limits: {memory: "0"}}'),
    "milli-bytes": with_resources("{limits: {memory: 128m}}"),
    "requests above limits": with_resources("{requests: {memory: 200Mi}}"),
    "not a quantity": with_resources("{limits: {cpu: lots}}"),
    "a boolean": with_resources("{limits: {cpu: true}}"),
    "a GPU": with_resources('{limits: {nvidia.com/gpu: "1"}}'),
    "claims": with_resources("{claims: [{name: x}]}"),
    "grace without end": component(
        merge("spec: {template: {spec: {terminationGracePeriodSeconds: 100000}}}")
    ),
    "grace as text": component(
        merge('spec: {template: {spec: {terminationGracePeriodSeconds: "30"}}}')
    ),
    "grace gone": component(
        merge("spec: {template: {spec: {terminationGracePeriodSeconds: null}}}")
    ),
    "a name prefix": {"kustomization.yaml": f"{HEAD}namePrefix: x-\n".encode()},
    "a namespace": {"kustomization.yaml": f"{HEAD}namespace: kube-system\n".encode()},
    "a generator": {
        "kustomization.yaml": f"{HEAD}configMapGenerator: [{{name: a, literals: [a=b]}}]\n".encode()
    },
    "another resource": {"kustomization.yaml": f"{HEAD}resources: [more.yaml]\n".encode()},
    "a remote resource": {
        "kustomization.yaml": f"{HEAD}resources: ['https://example.org/a?ref=main']\n".encode()
    },
    "a remote component": {
        "kustomization.yaml": f"{HEAD}components: ['https://example.org/a']\n".encode()
    },
    "images": {"kustomization.yaml": f"{HEAD}images: [{{name: a, newName: b}}]\n".encode()},
    "a transformer": {"kustomization.yaml": f"{HEAD}transformers: [t.yaml]\n".encode()},
    "a Helm chart": {"kustomization.yaml": f"{HEAD}helmCharts: [{{name: a}}]\n".encode()},
    "openapi": {"kustomization.yaml": f"{HEAD}openapi: {{path: x}}\n".encode()},
    "key in another case": {"kustomization.yaml": f"{HEAD}Resources: [x]\n".encode()},
    "patches twice": {"kustomization.yaml": f"{HEAD}patches: []\npatches: []\n".encode()},
    "a Kustomization": {
        "kustomization.yaml": b"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    },
    "a patch from elsewhere": component({"path": "https://example.org/p.yaml"}),
    "a patch from above": component({"path": "../code/user_code.py"}),
    "a patch from nowhere": component({"path": "no.yaml"}),
    "itself as patch": component({"path": "kustomization.yaml"}),
    "both": component({"path": "a.yaml", "patch": "{}"}),
    "an empty patch": component({"patch": ""}),
    "not a mapping": {"kustomization.yaml": b"- a\n"},
    "nothing at all": {"kustomization.yaml": b""},
    "two documents": {"kustomization.yaml": f"{HEAD}---\n{HEAD}".encode()},
    "no file": {},
    "the other name of the file": {
        "kustomization.yaml": EMPTY_OVERLAY,
        "Kustomization": EMPTY_OVERLAY,
    },
    "a stray file": {"kustomization.yaml": EMPTY_OVERLAY, "notes.txt": b"hello"},
    "anchors": {"kustomization.yaml": f"{HEAD}patches: [&a {{patch: ''}}, *a]\n".encode()},
    "a tag": {"kustomization.yaml": f"{HEAD}patches: !!python/tuple []\n".encode()},
    "a merge key": {"kustomization.yaml": f"{HEAD}patches: [{{<<: {{path: x}}}}]".encode()},
    "deep": {"kustomization.yaml": f"{HEAD}patches: {'[' * 30000}\n".encode()},
    "large": {"kustomization.yaml": HEAD.encode() + b"#" * 70000},
    "many patches": component(*(merge('metadata: {annotations: {a: "b"}}') for _ in range(21))),
    "not UTF-8": {"kustomization.yaml": HEAD.encode() + b"# \xff\n"},
    "not YAML": {"kustomization.yaml": b"a: [\n"},
    "a second document": component(
        {"patch": f"{LEAVE % ('Deployment', 'shop1')}\n---\n{LEAVE % ('Secret', 'x')}\n"}
    ),
    "a key twice": component(
        {"patch": f"{(LEAVE % ('Deployment', 'shop1'))[:-1]}, metadata: {{labels: {{a: b}}}}}}"}
    ),
}


@pytest.mark.parametrize("overlay", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_overlay_is_refused_with_words(rendered, plain, overlay):
    try:
        found = await check(rendered, plain, overlay)
    except KustomizeRefused as refused:
        found = [problem("overlay/kustomization.yaml", "overlay", refused.message, refused.hint)]
    assert found
    assert not any(gettempdir() in d.message for d in found)
    assert all(d.path.startswith("overlay/") and d.message and d.hint for d in found)


#: What the build shows by itself, should reading the patches ever let one through.
SEEN_IN_THE_BUILD = (
    "another image", "many replicas", "a second container", "the host's network",
    "another service account", "root", "the platform's variable", "another route",
    "another selector", "the ConfigMap", "delete by target",
    "another name with leave",
    "the platform's annotation", "never pruned", "a label", "a generator",
    "resources gone", "above the ceiling", "grace without end", "another kind with leave",
)  # fmt: skip


@pytest.mark.parametrize("name", SEEN_IN_THE_BUILD)
async def test_the_build_alone_shows_what_changed(rendered, plain, name):
    assert await effect(rendered, plain, HOSTILE[name])


def test_the_overlay_that_every_app_begins_with_needs_no_build():
    assert overlay_check.is_empty({"kustomization.yaml": EMPTY_OVERLAY})
    assert overlay_check.check_files({"kustomization.yaml": EMPTY_OVERLAY}) == []


@pytest.mark.parametrize("overlay", [*HONEST.values(), {}, {"kustomization.yaml": b"patches: ["}])
def test_an_overlay_that_may_change_something_is_not_empty(overlay):
    assert not overlay_check.is_empty(overlay)


def test_a_mistake_names_its_line():
    (found,) = overlay_check.check_files({"kustomization.yaml": f"{HEAD}patches: [}}\n".encode()})
    assert (found.path, found.line) == ("overlay/kustomization.yaml", 3)


async def test_a_refusal_names_the_field(rendered, plain):
    (found,) = await check(rendered, plain, HOSTILE["another image"])
    assert "spec.template.spec.containers.0.image" in found.message
