"""Manifests that somebody might get onto a shard branch, each with the rule that refuses it."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.cluster.tenants import Object, Tenant

Edit = Callable[[Object], None]
_VICTIM: Final = "/user/uvictim/app/bank"


@dataclass(frozen=True)
class Variant:
    """An edit of a rendered object, the rule that refuses it, and an honest edit beside it.

    `by_role`: a kind that the shards' role does not have; the account is stopped before any policy.
    """

    name: str
    base: str
    rule: str
    edit: Edit
    twin: Edit | None = None
    by_role: bool = False

    def hostile(self, tenant: Tenant) -> Object:
        """The manifest that must not exist."""
        return _edited(tenant, self.base, self.edit)

    def honest(self, tenant: Tenant) -> Object:
        """Its like that must pass."""
        return _edited(tenant, self.base, self.twin or (lambda _: None))


def _edited(tenant: Tenant, base: str, edit: Edit) -> Object:
    if base == "Pod":
        template = copy.deepcopy(tenant.app["Deployment"]["spec"]["template"])
        template["metadata"] |= {"name": "shop1-extra", "namespace": tenant.namespace}
        manifest = {"apiVersion": "v1", "kind": "Pod", **template}
    else:
        manifest = copy.deepcopy({**tenant.own, **tenant.app}[base])
    edit(manifest)
    return manifest


def _pod(manifest: Object) -> Object:
    spec: Object = manifest["spec"]
    return spec if manifest["kind"] == "Pod" else spec["template"]["spec"]


def _container(manifest: Object) -> Object:
    found: Object = _pod(manifest)["containers"][0]
    return found


def pod(**fields: Any) -> Edit:
    """Set fields of the pod."""
    return lambda manifest: _pod(manifest).update(fields)


def container(**fields: Any) -> Edit:
    """Set fields of its container."""
    return lambda manifest: _container(manifest).update(fields)


def security(**fields: Any) -> Edit:
    """Set fields of the container's securityContext."""
    return lambda manifest: _container(manifest)["securityContext"].update(fields)


def user(**fields: Any) -> Edit:
    """Set fields of the pod's securityContext."""
    return lambda manifest: _pod(manifest)["securityContext"].update(fields)


def volume(**source: Any) -> Edit:
    """Add a volume."""
    return lambda manifest: _pod(manifest)["volumes"].append({"name": "more", **source})


def variable(**fields: Any) -> Edit:
    """Add a variable."""
    return lambda manifest: _container(manifest)["env"].append({"name": "MORE", **fields})


def limit(**limits: str) -> Edit:
    """Set limits."""
    return lambda manifest: _container(manifest)["resources"]["limits"].update(limits)


def spec(**fields: Any) -> Edit:
    """Set fields of the object's spec."""
    return lambda manifest: manifest["spec"].update(fields)


def top(**fields: Any) -> Edit:
    """Set fields of the object itself."""
    return lambda manifest: manifest.update(fields)


def labels(**changes: str) -> Edit:
    """Set labels of the object; `_` stands for the slash."""
    return lambda manifest: manifest["metadata"]["labels"].update(
        {key.replace("__", "/").replace("_", "-"): value for key, value in changes.items()}
    )


def route(**fields: Any) -> Edit:
    """Set fields of the first route."""
    return lambda manifest: manifest["spec"]["routes"][0].update(fields)


def second_route(rule: str) -> Edit:
    """Add a route to the app's own Service."""

    def edit(manifest: Object) -> None:
        routes = manifest["spec"]["routes"]
        routes.append({**routes[1], "match": rule})

    return edit


def probe(**fields: Any) -> Edit:
    """Set fields of the readiness probe's request."""
    return lambda manifest: _container(manifest)["readinessProbe"]["httpGet"].update(fields)


def other_kind(kind: str, version: str, **fields: Any) -> Edit:
    """Make it an object of another kind in the same namespace."""

    def edit(manifest: Object) -> None:
        namespace = manifest["metadata"]["namespace"]
        manifest.clear()
        metadata = {"name": "more", "namespace": namespace}
        manifest.update(apiVersion=version, kind=kind, metadata=metadata, **fields)

    return edit


def _annotation(key: str, value: str = "true") -> Edit:
    return lambda m: m["metadata"].setdefault("annotations", {}).update({key: value})


def _pod_annotation(key: str, value: str = "true") -> Edit:
    return lambda m: m["spec"]["template"]["metadata"]["annotations"].update({key: value})


_annotated = _annotation("example.org/owner", "ann")
_pod_own = _pod_annotation("prometheus.io/scrape")
#: By which controllers, injectors and runtimes give a pod what it may not have; the check of
#: overlays refuses the same.
POWERS: Final = {
    "no_apparmor": ("container.apparmor.security.beta.kubernetes.io/app", "unconfined"),
    # Kubernetes itself refuses one that is not what the pod's own field says.
    "seccomp": ("seccomp.security.alpha.kubernetes.io/pod", "runtime/default"),
    "never_evicted": ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
    "never_disrupted": ("karpenter.sh/do-not-disrupt", "true"),
    "sidecar_of_istio": ("sidecar.istio.io/inject", "true"),
    "sidecar_of_linkerd": ("linkerd.io/inject", "enabled"),
    "sidecar_of_dapr": ("dapr.io/enabled", "true"),
    "agent_of_opentelemetry": ("instrumentation.opentelemetry.io/inject-python", "true"),
    "secrets_of_vault": ("vault.hashicorp.com/agent-inject", "true"),
    "network_interface": ("k8s.v1.cni.cncf.io/networks", "other"),
    "address_of_its_own": ("cni.projectcalico.org/ipAddrs", '["10.0.0.1"]'),
    "bandwidth": ("kubernetes.io/egress-bandwidth", "10G"),
    "device": ("io.kubernetes.cri-o.Devices", "/dev/kmsg"),
    "never_pruned": ("kustomize.toolkit.fluxcd.io/prune", "disabled"),
    "default_container": ("kubectl.kubernetes.io/default-container", "other"),
}
_OBJECT_POWERS: Final = {
    "dns_name": ("Service", "external-dns.alpha.kubernetes.io/hostname", "pypi.org"),
    "router_settings": ("Service", "traefik.ingress.kubernetes.io/service.sticky.cookie", "true"),
    "ingress_class": ("IngressRoute", "kubernetes.io/ingress.class", "internal"),
    "route_never_pruned": ("IngressRoute", "kustomize.toolkit.fluxcd.io/prune", "disabled"),
    "middleware_kept": ("shop1-strip", "kustomize.toolkit.fluxcd.io/ssa", "Ignore"),
    "deployment_kept": ("Deployment", "kustomize.toolkit.fluxcd.io/reconcile", "disabled"),
    "upper_case": ("Deployment", "Linkerd.IO/inject", "enabled"),
}


def _renamed_prefix(manifest: Object) -> None:
    manifest["spec"]["stripPrefix"]["prefixes"] = ["/user"]


def _unlabelled(manifest: Object) -> None:
    manifest["metadata"]["labels"].pop("fastapi-platform/user-id")
    manifest["metadata"]["name"] += "x"  # a new one


def _weakened(manifest: Object) -> None:
    manifest["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "privileged"


def _renamed(name: str) -> Edit:
    return lambda manifest: manifest["metadata"].update(name=name)


def _allow(peer: Object, direction: str) -> Edit:
    key = {"ingress": "from", "egress": "to"}[direction]
    return lambda manifest: manifest["spec"][direction].append({key: [peer]})


def _fewer_exceptions(manifest: Object) -> None:
    manifest["spec"]["egress"][1]["to"][0]["ipBlock"]["except"].remove("169.254.0.0/16")


def _ceiling(manifest: Object) -> None:
    """What platform.yaml allows by default."""
    limit(cpu="500m", memory="256Mi")(manifest)


def _more(**fields: Any) -> Edit:
    return lambda manifest: _pod(manifest)["containers"].append(
        {**copy.deepcopy(_container(manifest)), "name": "side", **fields}
    )


def _init(manifest: Object) -> None:
    served = ("startupProbe", "readinessProbe", "livenessProbe", "ports", "lifecycle")
    first = {k: v for k, v in _container(manifest).items() if k not in served}
    _pod(manifest)["initContainers"] = [{**copy.deepcopy(first), "name": "first"}]


def _host_port(manifest: Object) -> None:
    _container(manifest)["ports"][0]["hostPort"] = 80


def _mount(path: str) -> Edit:
    return lambda manifest: _container(manifest)["volumeMounts"].append(
        {"name": "tmp", "mountPath": path}
    )


WORKLOADS: Final = (
    Variant("host_network", "Deployment", "pod-host", pod(hostNetwork=True)),
    Variant("host_pid", "Deployment", "pod-host", pod(hostPID=True)),
    Variant("host_ipc", "Deployment", "pod-host", pod(hostIPC=True)),
    Variant(
        "host_aliases",
        "Deployment",
        "pod-host",
        pod(hostAliases=[{"ip": "10.0.0.1", "hostnames": ["pypi.org"]}]),
    ),
    Variant(
        "foreign_image",
        "Deployment",
        "pod-image",
        container(image="docker.io/library/miner:latest"),
    ),
    Variant("second_container", "Deployment", "pod-containers", _more(image="busybox")),
    Variant("init_container", "Deployment", "pod-containers", _init),
    Variant(
        "account_token", "Deployment", "pod-service-account", pod(automountServiceAccountToken=True)
    ),
    Variant(
        "other_account", "Deployment", "pod-service-account", pod(serviceAccountName="default")
    ),
    Variant("service_links", "Deployment", "pod-service-account", pod(enableServiceLinks=True)),
    Variant("host_path", "Deployment", "pod-volumes", volume(hostPath={"path": "/"})),
    Variant(
        "secret_volume",
        "Deployment",
        "pod-volumes",
        volume(secret={"secretName": "x"}),
        volume(emptyDir={"sizeLimit": "16Mi"}),
    ),
    Variant(
        "projected_token",
        "Deployment",
        "pod-volumes",
        volume(projected={"sources": [{"serviceAccountToken": {"path": "token"}}]}),
    ),
    Variant(
        "foreign_config_map",
        "Deployment",
        "pod-volumes",
        volume(configMap={"name": "bank-code-abcdefghij"}),
        volume(configMap={"name": "shop1-code-abcdefghij"}),
    ),
    Variant("boundless_folder", "Deployment", "pod-volumes", volume(emptyDir={})),
    Variant(
        "memory_folder",
        "Deployment",
        "pod-volumes",
        volume(emptyDir={"medium": "Memory", "sizeLimit": "16Mi"}),
    ),
    Variant("mount_over_etc", "Deployment", "pod-mounts", _mount("/etc")),
    Variant(
        "variable_from_secret",
        "Deployment",
        "pod-env",
        variable(valueFrom={"secretKeyRef": {"name": "x", "key": "token"}}),
        variable(value="x"),
    ),
    Variant(
        "variables_from_config_map",
        "Deployment",
        "pod-env",
        container(envFrom=[{"configMapRef": {"name": "x"}}]),
    ),
    Variant("root", "Deployment", "pod-user", user(runAsNonRoot=False, runAsUser=0)),
    Variant("unconfined", "Deployment", "pod-user", user(seccompProfile={"type": "Unconfined"})),
    Variant(
        "privileged",
        "Deployment",
        "pod-security",
        security(privileged=True, allowPrivilegeEscalation=True),
    ),
    Variant(
        "capability",
        "Deployment",
        "pod-security",
        security(capabilities={"drop": ["ALL"], "add": ["NET_RAW"]}),
    ),
    Variant("writable_root", "Deployment", "pod-security", security(readOnlyRootFilesystem=False)),
    Variant("host_port", "Deployment", "pod-ports", _host_port),
    Variant("probe_elsewhere", "Deployment", "pod-probes", probe(host="169.254.169.254")),
    Variant(
        "probe_command",
        "Deployment",
        "pod-probes",
        container(readinessProbe={"exec": {"command": ["sh", "-c", "true"]}}),
    ),
    Variant("command", "Deployment", "container-fields", container(command=["sh", "-c", "true"])),
    Variant(
        "hook",
        "Deployment",
        "container-fields",
        container(lifecycle={"preStop": {"httpGet": {"host": "10.0.0.1", "port": 80}}}),
    ),
    Variant("too_much_memory", "Deployment", "pod-resources", limit(memory="64Gi"), _ceiling),
    Variant("no_limits", "Deployment", "pod-resources", container(resources={})),
    Variant("latest_pull", "Deployment", "pod-image-pull", container(imagePullPolicy="Always")),
    Variant("node_name", "Deployment", "pod-fields", pod(nodeName="node-1")),
    Variant("runtime_class", "Deployment", "pod-fields", pod(runtimeClassName="runc")),
    Variant(
        "tolerations", "Deployment", "pod-scheduling", pod(tolerations=[{"operator": "Exists"}])
    ),
    Variant(
        "endless_grace",
        "Deployment",
        "pod-scheduling",
        pod(terminationGracePeriodSeconds=86400),
        pod(terminationGracePeriodSeconds=120),
    ),
    Variant("node_dns", "Deployment", "pod-scheduling", pod(dnsPolicy="Default")),
    Variant("replicas", "Deployment", "deployment-replicas", spec(replicas=50), spec(replicas=0)),
    Variant("paused", "Deployment", "deployment-fields", spec(paused=True)),
    Variant("name_of_another_app", "Deployment", "deployment-name", _renamed("bank"), _annotated),
    Variant("pod_with_command", "Pod", "container-fields", container(command=["sh"]), by_role=True),
    Variant(
        "pod_with_token",
        "Pod",
        "pod-service-account",
        pod(automountServiceAccountToken=True),
        by_role=True,
    ),
    Variant("pod_of_foreign_image", "Pod", "pod-image", container(image="busybox:1"), by_role=True),
)

NETWORK: Final = (
    Variant("node_port", "Service", "service-type", spec(type="NodePort")),
    Variant("load_balancer", "Service", "service-type", spec(type="LoadBalancer")),
    Variant("external_ips", "Service", "service-external", spec(externalIPs=["1.1.1.1"])),
    Variant(
        "service_of_another_app",
        "Service",
        "service-selector",
        spec(selector={"fastapi-platform/app-id": "bank"}),
    ),
    Variant("service_without_selector", "Service", "service-selector", spec(selector=None)),
    Variant(
        "probe_port_served",
        "Service",
        "service-ports",
        spec(ports=[{"name": "http", "port": 80, "targetPort": 8001}]),
    ),
    Variant(
        "route_of_another", "IngressRoute", "route-path", route(match=f"PathPrefix(`{_VICTIM}/`)")
    ),
    Variant("route_everywhere", "IngressRoute", "route-path", second_route("PathPrefix(`/`)")),
    Variant(
        "route_of_the_platform", "IngressRoute", "route-path", second_route("PathPrefix(`/api`)")
    ),
    Variant(
        "route_with_a_trick",
        "IngressRoute",
        "route-path",
        lambda m: route(match=m["spec"]["routes"][1]["match"] + f" || Path(`{_VICTIM}`)")(m),
    ),
    Variant(
        "route_encoded",
        "IngressRoute",
        "route-path",
        lambda m: route(match=m["spec"]["routes"][1]["match"].replace("/app/", "%2fapp%2f"))(m),
    ),
    Variant(
        "route_by_prefix_alone",
        "IngressRoute",
        "route-path",
        lambda m: route(match=m["spec"]["routes"][1]["match"].replace("/`)", "`)"))(m),
    ),
    Variant("route_priority", "IngressRoute", "route-priority", route(priority=10_000)),
    Variant(
        "route_to_another_namespace",
        "IngressRoute",
        "route-service",
        route(
            services=[{"kind": "Service", "name": "shop1", "port": 80, "namespace": "kube-system"}]
        ),
    ),
    Variant(
        "route_to_a_traefik_service",
        "IngressRoute",
        "route-service",
        route(services=[{"kind": "TraefikService", "name": "api@internal"}]),
    ),
    Variant(
        "route_with_other_middleware",
        "IngressRoute",
        "route-middleware",
        route(middlewares=[{"name": "bank-strip"}]),
    ),
    Variant("route_with_tls", "IngressRoute", "route-fields", spec(tls={"secretName": "x"})),
    Variant("other_entry_point", "IngressRoute", "route-fields", spec(entryPoints=["traefik"])),
    Variant("strip_more", "shop1-strip", "middleware-kind", _renamed_prefix),
    Variant(
        "forward_auth",
        "shop1-strip",
        "middleware-kind",
        spec(forwardAuth={"address": "http://10.0.0.1/"}),
    ),
    Variant(
        "redirect_elsewhere",
        "shop1-slash",
        "middleware-kind",
        spec(redirectRegex={"regex": ".*", "replacement": "https://evil.example/"}),
    ),
    Variant(
        "other_middleware",
        "shop1-strip",
        "middleware-name",
        _renamed("shop1-more"),
    ),
    Variant("open_default", "default-deny", "network-name", spec(ingress=[{}])),
    Variant("more_policy", "apps", "network-name", _renamed("open")),
    Variant(
        "ingress_from_all", "apps", "network-ingress", _allow({"namespaceSelector": {}}, "ingress")
    ),
    Variant(
        "egress_to_all",
        "apps",
        "network-egress",
        _allow({"ipBlock": {"cidr": "10.0.0.0/8"}}, "egress"),
    ),
    Variant("egress_to_metadata", "apps", "network-egress", _fewer_exceptions),
    Variant("ingress_only", "apps", "network-types", spec(policyTypes=["Ingress"])),
)

TENANTS: Final = (
    Variant("namespace_without_user", "Namespace", "namespace-name", _unlabelled),
    Variant("namespace_without_pod_security", "Namespace", "namespace-pod-security", _weakened),
    Variant(
        "namespace_with_foreign_label", "Namespace", "namespace-labels", labels(access="database")
    ),
    Variant("quota_of_objects", "ResourceQuota", "quota", spec(hard={"count/configmaps": "5"})),
    Variant("no_limit_range", "LimitRange", "limit-range", spec(limits=[{"type": "Pod"}])),
    Variant(
        "account_with_token",
        "ServiceAccount",
        "service-account",
        top(automountServiceAccountToken=True),
    ),
    Variant("more_accounts", "ServiceAccount", "service-account", _renamed("x")),
    Variant("mutable_code", "ConfigMap", "config-map", top(immutable=False)),
    Variant("other_config_map", "ConfigMap", "config-map", _renamed("x")),
    Variant(
        "role_binding",
        "ConfigMap",
        "kinds",
        other_kind(
            "RoleBinding",
            "rbac.authorization.k8s.io/v1",
            roleRef={
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "view",
            },
            subjects=[],
        ),
        by_role=True,
    ),
    Variant(
        "token_secret",
        "ConfigMap",
        "secrets",
        other_kind("Secret", "v1", type="Opaque", stringData={"a": "b"}),
        by_role=True,
    ),
    Variant(
        "cron_job",
        "ConfigMap",
        "kinds",
        other_kind(
            "CronJob",
            "batch/v1",
            spec={
                "schedule": "* * * * *",
                "jobTemplate": {
                    "spec": {
                        "template": {
                            "spec": {
                                "restartPolicy": "Never",
                                "containers": [{"name": "a", "image": "busybox:1"}],
                            }
                        }
                    }
                },
            },
        ),
        by_role=True,
    ),
    Variant(
        "ingress",
        "ConfigMap",
        "kinds",
        other_kind(
            "Ingress",
            "networking.k8s.io/v1",
            spec={"defaultBackend": {"service": {"name": "shop1", "port": {"number": 80}}}},
        ),
        by_role=True,
    ),
    Variant(
        "traefik_options",
        "ConfigMap",
        "kinds",
        other_kind("IngressRouteTCP", "traefik.io/v1alpha1", spec={"routes": []}),
        by_role=True,
    ),
)
ANNOTATIONS: Final = (
    *(
        Variant(name, "Deployment", "annotations", _pod_annotation(key, value), _pod_own)
        for name, (key, value) in POWERS.items()
    ),
    *(
        Variant(name, base, "annotations", _annotation(key, value), _annotated)
        for name, (base, key, value) in _OBJECT_POWERS.items()
    ),
)
ALL: Final = WORKLOADS + NETWORK + TENANTS + ANNOTATIONS
