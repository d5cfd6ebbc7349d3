"""The objects of a cluster that the doctor looks at; read only, by an operator's own kubeconfig.

It lists kinds that the backend itself may not see: roles, policies, the Deployments of Flux and
Traefik. Of Secrets it keeps the public keys in `publish-keys`, and of the platform's the names.
"""

import asyncio
import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.clients.kubernetes_api import ApiRefused, KubernetesApi
from api.domain.flux_checks import DEFINITIONS
from api.domain.flux_objects import NAMESPACE
from api.domain.installation import Manifest, Unseen
from api.errors import ClusterUnavailable

_PAGE: Final = "500"
_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403
_OURS: Final = f"/namespaces/{NAMESPACE}"
_PLATFORM: Final = "/namespaces/fastapi-platform"
_RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
_ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1"
#: Kind → where all that matters of it is listed, and a selector by label.
_LISTS: Final[Mapping[str, tuple[str, str]]] = {
    "Namespace": ("/api/v1/namespaces", ""),
    "ServiceAccount": (f"/api/v1{_OURS}/serviceaccounts", ""),
    "GitRepository": (f"/apis/source.toolkit.fluxcd.io/v1{_OURS}/gitrepositories", ""),
    "Kustomization": (f"/apis/kustomize.toolkit.fluxcd.io/v1{_OURS}/kustomizations", ""),
    "Receiver": (f"/apis/notification.toolkit.fluxcd.io/v1{_OURS}/receivers", ""),
    "ValidatingAdmissionPolicy": (f"{_ADMISSION}/validatingadmissionpolicies", ""),
    "ValidatingAdmissionPolicyBinding": (f"{_ADMISSION}/validatingadmissionpolicybindings", ""),
    "ClusterRole": (f"{_RBAC}/clusterroles", ""),
    "ClusterRoleBinding": (f"{_RBAC}/clusterrolebindings", ""),
    "Role": (f"{_RBAC}/roles", ""),
    "RoleBinding": (f"{_RBAC}/rolebindings", ""),
    "Node": ("/api/v1/nodes", ""),
    "EndpointSlice": (
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
        "kubernetes.io/service-name=kubernetes",
    ),
    "Flux": ("/apis/apps/v1/deployments", "app.kubernetes.io/part-of=flux"),
}


async def version(api: KubernetesApi) -> str:
    """The API server's; raises ClusterUnavailable."""
    return str((await api.get("/version", {})).get("gitVersion", ""))


async def survey(
    api: KubernetesApi, traefik_namespace: str
) -> Mapping[str, tuple[Manifest, ...] | Unseen]:
    """Everything, by kind; what these rights do not show is told as unseen."""
    kinds = {kind: _listed(api, kind, *where) for kind, where in _LISTS.items()}
    kinds["CustomResourceDefinition"] = _definitions(api)
    kinds["ConfigMap"] = _one(api, "ConfigMap", f"/api/v1{_OURS}/configmaps/admission")
    kinds["Secret"] = _public_keys(api)
    kinds["Platform"] = _platform(api)
    kinds["PlatformSecret"] = _names(api, f"/api/v1{_PLATFORM}/secrets")
    kinds["Traefik"] = _routers(api, traefik_namespace)
    found = await asyncio.gather(*(_or_unseen(kind, work) for kind, work in kinds.items()))
    return dict(zip(kinds, found, strict=True))


async def _or_unseen(kind: str, work: Any) -> tuple[Manifest, ...] | Unseen:
    try:
        seen: tuple[Manifest, ...] = await work
    except ApiRefused as error:
        if error.answer == _FORBIDDEN:
            return Unseen(f"these rights do not show {kind}: use an operator's --kubeconfig")
        return Unseen(error.message)
    except ClusterUnavailable as error:
        return Unseen(error.message)
    return seen


async def _listed(api: KubernetesApi, kind: str, path: str, labels: str) -> tuple[Manifest, ...]:
    query = {"limit": _PAGE} | ({"labelSelector": labels} if labels else {})
    found: list[Manifest] = []
    while True:
        try:
            page = await api.get(path, query)
        except ApiRefused as error:
            if error.answer == _NOT_FOUND:  # a kind that is not defined has no objects
                return ()
            raise
        found += [Manifest.of(raw, kind) for raw in page.get("items") or ()]
        following = (page.get("metadata") or {}).get("continue")
        if not following:
            return tuple(found)
        query["continue"] = str(following)


async def _one(api: KubernetesApi, kind: str, path: str) -> tuple[Manifest, ...]:
    try:
        return (Manifest.of(await api.get(path, {}), kind),)
    except ApiRefused as error:
        if error.answer == _NOT_FOUND:
            return ()
        raise


async def _definitions(api: KubernetesApi) -> tuple[Manifest, ...]:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
    found = [await _one(api, "CustomResourceDefinition", path + name) for name in DEFINITIONS]
    return tuple(manifest for one in found for manifest in one)


async def _public_keys(api: KubernetesApi) -> tuple[Manifest, ...]:
    """`publish-keys` with the keys as text; they are public."""
    found = await _one(api, "Secret", f"/api/v1{_OURS}/secrets/publish-keys")
    return tuple(
        Manifest(m.kind, m.namespace, m.name, {"keys": _texts(m.at("data") or {})}) for m in found
    )


def _texts(data: Mapping[str, str]) -> Sequence[str]:
    texts = []
    for value in data.values():
        try:
            texts += base64.b64decode(value).decode(errors="replace").splitlines()
        except binascii.Error:
            continue  # the API server encodes; whatever else stands there is no key
    return texts


async def _platform(api: KubernetesApi) -> tuple[Manifest, ...]:
    """What of the platform's own names Secrets."""
    routes = f"/apis/traefik.io/v1alpha1{_PLATFORM}/ingressroutes"
    deployments = await _listed(api, "Deployment", f"/apis/apps/v1{_PLATFORM}/deployments", "")
    return (*deployments, *await _listed(api, "IngressRoute", routes, ""))


async def _names(api: KubernetesApi, path: str) -> tuple[Manifest, ...]:
    """Objects by name: of their content the API server is asked nothing."""
    query = {"limit": _PAGE}
    found: list[Manifest] = []
    while True:
        page = await api.table(path, query)
        for row in page.get("rows") or ():
            about = (row.get("object") or {}).get("metadata") or {}
            found.append(
                Manifest("Secret", str(about.get("namespace")), str(about.get("name")), {})
            )
        following = (page.get("metadata") or {}).get("continue")
        if not following:
            return tuple(found)
        query["continue"] = str(following)


async def _routers(api: KubernetesApi, namespace: str) -> tuple[Manifest, ...]:
    found: list[Manifest] = []
    for kind in ("Deployment", "DaemonSet"):
        path = f"/apis/apps/v1/namespaces/{namespace}/{kind.lower()}s"
        found += [m for m in await _listed(api, kind, path, "") if _runs_traefik(m)]
    return tuple(found)


def _runs_traefik(workload: Manifest) -> bool:
    containers = workload.at("spec", "template", "spec", "containers") or ()
    images = (str(c.get("image", "")).partition("@")[0] for c in containers)
    return any(image.rpartition("/")[2].partition(":")[0] == "traefik" for image in images)
