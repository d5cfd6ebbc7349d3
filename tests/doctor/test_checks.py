"""One thing is broken at a time: the doctor names it. Nothing is broken: it finds nothing."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from api.domain import forge_checks
from api.domain.access_checks import NEEDED
from api.domain.checks import CHECKS
from api.domain.diagnosis import MANY, diagnose
from api.domain.flux_objects import NAMESPACE
from api.domain.installation import (
    ALL_DEPLOY_KEYS,
    BranchRules,
    ByHand,
    DeployKey,
    Installation,
    Manifest,
    Trial,
    Unseen,
)
from tests.doctor import healthy
from tests.doctor.healthy import (
    added,
    changed,
    objects,
    with_objects,
    with_repository,
    with_settings,
    without,
)

FREE = BranchRules(no_force=True)
GUARDED = BranchRules(protected=True, no_force=True, pushers=("platform",))
KEYS = replace(GUARDED, pushers=(ALL_DEPLOY_KEYS,))
OWN = DeployKey("platform", healthy.KEY, may_push=True)
FLAGS = ("spec", "template", "spec", "containers", "0", "args")


def binding(role: str, **subject: str) -> dict[str, object]:
    return {
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "added"},
        "roleRef": {"kind": "ClusterRole", "name": role},
        "subjects": [subject],
    }


def forge(**told: object) -> Callable[[Installation], Installation]:
    return lambda seen: replace(seen, forge=replace(seen.forge, **told))


def trials(*told: Trial) -> Callable[[Installation], Installation]:
    return lambda seen: with_repository(seen, trials=told)


def branches(**moved: str | None) -> Callable[[Installation], Installation]:
    def work(seen: Installation) -> Installation:
        left = {**seen.repository.branches, **{k.replace("_", "/"): v for k, v in moved.items()}}
        return with_repository(seen, branches={k: v for k, v in left.items() if v})

    return work


def flags(kind: str, name: str, *args: str) -> Callable[[Installation], Installation]:
    return lambda seen: changed(seen, kind, name, *FLAGS, to=list(args)) if args else seen


def traefik(drop: str, *more: str) -> Callable[[Installation], Installation]:
    kept = [flag for flag in healthy.TRAEFIK_FLAGS if drop not in flag or not drop]
    return flags("Traefik", "traefik", *kept, *more)


#: What is broken → the check that names it, and a word that its finding holds.
BROKEN: dict[str, tuple[Callable[[Installation], Installation], str, str]] = {
    # settings
    "BASE_DOMAIN with https://": (
        lambda s: with_settings(s, base_domain="https://platform.example.org"),
        *("settings.base-domain", "https://platform.example.org"),
    ),
    "BASE_DOMAIN without a zone": (
        lambda s: with_settings(s, base_domain="platform"),
        *("settings.base-domain", "'platform'"),
    ),
    "BASE_DOMAIN is the apps' own host": (
        lambda s: with_settings(s, base_domain="apps.example.org"),
        *("settings.base-domain", "apps.example.org"),
    ),
    "no DNS record of the apps' host": (
        lambda s: replace(
            s, settings=replace(s.settings, unresolved={"apps.example.org": "no such name"})
        ),
        *("settings.hosts", "apps.example.org does not resolve"),
    ),
    "no signing key": (
        lambda s: with_settings(s, git_signing_key_file=None),
        *("settings.signing-key", "GIT_SIGNING_KEY_FILE"),
    ),
    "the token's file is empty": (
        lambda s: replace(s, settings=replace(s.settings, unreadable={"GIT_TOKEN_FILE": "empty"})),
        *("settings.files", "GIT_TOKEN_FILE"),
    ),
    "no remote": (
        lambda s: with_settings(s, git_remote=None),
        *("settings.git-remote", "GIT_REMOTE"),
    ),
    "a password in the remote's address": (
        lambda s: with_settings(s, git_remote="https://me:hidden@git.example.org/apps.git"),
        *("settings.passwords-in-addresses", "GIT_REMOTE"),
    ),
    "Flux is not told": (
        lambda s: with_settings(s, flux_receiver_token_file=None),
        *("settings.receiver", "FLUX_RECEIVER_TOKEN_FILE"),
    ),
    "the router is not trusted": (
        lambda s: with_settings(s, trusted_proxies=""),
        *("settings.proxies", "empty"),
    ),
    "everybody is trusted": (
        lambda s: with_settings(s, trusted_proxies="10.0.0.0/8, *"),
        *("settings.proxies", "everybody"),
    ),
    "the default runner image": (
        lambda s: replace(
            s, settings=replace(s.settings, given=s.settings.given - {"RUNNER_IMAGE"})
        ),
        *("settings.runner-image", "RUNNER_IMAGE"),
    ),
    # database
    "the database is away": (
        lambda s: replace(s, database=Unseen("no answer within 5 s")),
        *("database.reachable", "no answer within 5 s"),
    ),
    "no unique index": (
        lambda s: replace(s, database=replace(s.database, missing_indexes=("The index accounts",))),
        *("database.indexes", "The index accounts"),
    ),
    "the database's clock is wrong": (
        lambda s: replace(s, database=replace(s.database, skew=timedelta(minutes=-3))),
        *("database.clock", "-180 s"),
    ),
    # repository
    "the repository is away": (
        lambda s: replace(s, repository=Unseen("Authentication failed")),
        *("repository.reachable", "Authentication failed"),
    ),
    "no branch main": (branches(main=None), "repository.main", "main"),
    "platform.yaml of a newer layout": (
        lambda s: with_repository(s, platform=None, platform_fault="layout: should be 1"),
        *("repository.platform-file", "layout"),
    ),
    "a shard branch is missing": (branches(flux_3f=None), "repository.shards", "flux/3f"),
    "a branch that is no shard's": (branches(flux_zz="1" * 40), "repository.shards", "flux/zz"),
    "a branch named flux": (branches(flux="1" * 40), "repository.branch-flux", "flux"),
    "no flux/clusters": (branches(flux_clusters=None), "repository.clusters", "flux/clusters"),
    "no clusters/ on main": (
        lambda s: with_repository(s, clusters=()),
        *("repository.clusters", "clusters/<name>/"),
    ),
    "a change of clusters/ waits": (
        lambda s: with_repository(s, waiting=("clusters/one",)),
        *("repository.clusters-waiting", "clusters/one"),
    ),
    "clusters/ of an older release": (
        lambda s: with_repository(s, outdated=("clusters/one/access.yaml",)),
        *("repository.template", "clusters/one/access.yaml"),
    ),
    "an unsigned commit on a shard": (
        lambda s: with_repository(s, signature_faults={"flux/00": "it is not signed"}),
        *("repository.signed", "flux/00"),
    ),
    "a deploy key without push": (
        lambda s: with_repository(s, push_refusal="The key is marked as read only."),
        *("repository.credential", "read only"),
    ),
    "rules that refuse the platform": (
        trials(Trial("platform", "main", "refused", "changes must be made through a pull request")),
        *("repository.credential", "through a pull request"),
    ),
    "the platform may push flux/clusters": (
        trials(Trial("platform", "flux/clusters", "passes", "failed to update ref")),
        *("repository.clusters-protected", "flux/clusters"),
    ),
    "a person may push flux/*": (
        trials(Trial("person", "flux/00", "passes", "failed to update ref")),
        *("repository.shards-protected", "flux/00"),
    ),
    # the platform's namespace
    "the frontend is not there": (
        lambda s: without(s, "Platform", "frontend"),
        *("platform.workloads", "frontend"),
    ),
    "no pod of the backend is ready": (
        lambda s: changed(s, "Platform", "backend", "status", to={"readyReplicas": 0}),
        *("platform.workloads", "backend"),
    ),
    "no certificate of the hosts": (
        lambda s: without(s, "PlatformSecret", "platform-tls"),
        *("platform.secrets", "platform-tls"),
    ),
    "no Secret with the backend's files": (
        lambda s: without(s, "PlatformSecret", "backend-files"),
        *("platform.secrets", "backend-files"),
    ),
    "a node with a public address": (
        lambda s: changed(
            s, "Node", "one", "status", to={"addresses": [{"address": "203.0.114.7"}]}
        ),
        *("cluster.blocked-ranges", "203.0.114.7"),
    ),
    "an API server with a public IPv6 address": (
        lambda s: changed(
            s, "EndpointSlice", "kubernetes", "endpoints", to=[{"addresses": ["2001:db9::1"]}]
        ),
        *("cluster.blocked-ranges", "2001:db9::1"),
    ),
    "the router's pods have no label": (
        lambda s: changed(s, "Traefik", "traefik", "spec", "template", "metadata", to={}),
        *("traefik.pod-label", "nothing"),
    ),
    "everybody with a credential may read": (
        lambda s: added(s, binding("view", kind="Group", name="system:authenticated")),
        *("access.everybody", "ClusterRole view"),
    ),
    "everybody is made administrator by Kubernetes' own binding": (
        lambda s: added(
            s,
            {
                **binding("cluster-admin", kind="Group", name="system:unauthenticated"),
                "metadata": {
                    "name": "cluster-admin",
                    "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
                },
            },
        ),
        *("access.everybody", "cluster-admin"),
    ),
    "who is nobody may read": (
        lambda s: added(s, binding("view", kind="User", name="system:anonymous")),
        *("access.everybody", "ClusterRole view"),
    ),
    # forge
    "main requires up-to-date branches": (
        forge(main=replace(GUARDED, up_to_date=True)),
        *("forge.main-up-to-date", "up to date"),
    ),
    "main requires signatures": (
        forge(main=replace(GUARDED, signatures=True)),
        *("forge.main-signatures", "signed"),
    ),
    "main may be rewritten": (
        forge(main=BranchRules(protected=True)),
        *("forge.main-history", "force"),
    ),
    "another branch is the default": (
        forge(default_branch="flux/00"),
        *("forge.default-branch", "flux/00"),
    ),
    "somebody else may push to flux/*": (
        forge(shards=replace(GUARDED, pushers=("platform", "alice"))),
        *("forge.flux-pushers", "platform, alice"),
    ),
    "the platform may push to flux/clusters by the rule": (
        forge(clusters=replace(GUARDED, pushers=("team operators", "platform"))),
        *("forge.flux-pushers", "flux/clusters"),
    ),
    "the platform's deploy key reads only": (
        forge(deploy_keys=(replace(OWN, may_push=False),), own_key=healthy.KEY),
        *("forge.deploy-keys", "may only read"),
    ),
    "another deploy key may push to flux/*": (
        forge(
            shards=KEYS,
            deploy_keys=(OWN, DeployKey("a laptop", "ssh-ed25519 AAAA", may_push=True)),
            own_key=healthy.KEY,
        ),
        *("forge.deploy-keys", "'a laptop'"),
    ),
    "flux/* is not protected": (forge(shards=FREE), "forge.flux-rules", "flux/<shard>"),
    "flux/clusters is not protected": (forge(clusters=FREE), "forge.flux-rules", "flux/clusters"),
    # cluster
    "the API server is away": (
        lambda s: replace(s, cluster=Unseen("The API server cannot be asked")),
        *("cluster.reachable", "cannot be asked"),
    ),
    "an old cluster": (
        lambda s: replace(s, cluster=replace(s.cluster, version="v1.27.3")),
        *("cluster.version", "v1.27.3"),
    ),
    "a definition is missing": (
        lambda s: without(s, "CustomResourceDefinition", "middlewares.traefik.io"),
        *("cluster.definitions", "middlewares.traefik.io is missing"),
    ),
    "a definition of an old version": (
        lambda s: changed(
            s, "CustomResourceDefinition", "gitrepositories.source.toolkit.fluxcd.io",
            "spec", "versions", to=[{"name": "v1beta2", "served": True}],
        ),
        *("cluster.definitions", "serves v1beta2"),
    ),
    "no notification-controller": (
        lambda s: without(s, "Flux", "notification-controller"),
        *("flux.controllers", "notification-controller"),
    ),
    "kustomize-controller scaled to 0": (
        lambda s: changed(s, "Flux", "kustomize-controller", "spec", "replicas", to=0),
        *("flux.controllers", "0 replicas"),
    ),
    "Flux crosses namespaces": (
        flags("Flux", "kustomize-controller", "--no-remote-bases=true"),
        *("flux.no-cross-namespace-refs", "kustomize-controller"),
    ),
    "a flag that is switched off again": (
        flags("Flux", "kustomize-controller", *healthy.FLUX_FLAGS, "--no-remote-bases=false"),
        *("flux.no-remote-bases", "kustomize-controller"),
    ),
    "a shard has no source": (
        lambda s: without(s, "GitRepository", "shard-a0"),
        *("flux.sources", "shard-a0"),
    ),
    "a source follows another branch": (
        lambda s: changed(s, "GitRepository", "shard-a0", "spec", "ref", to={"branch": "main"}),
        *("flux.sources", "ref.branch is main"),
    ),
    "a source does not verify": (
        lambda s: changed(s, "GitRepository", "shard-a0", "spec", "verify", to=None),
        *("flux.verify", "shard-a0"),
    ),
    "Flux knows another public key": (
        lambda s: with_objects(
            s, "Secret", (Manifest("Secret", NAMESPACE, "publish-keys", {"keys": ["other"]}),)
        ),
        *("flux.publish-key", "another key"),
    ),
    "a Kustomization waits": (
        lambda s: changed(s, "Kustomization", "shard-a0", "spec", "wait", to=True),
        *("flux.kustomizations", "wait is True"),
    ),
    "a Kustomization does not prune": (
        lambda s: changed(s, "Kustomization", "shard-a0", "spec", "prune", to=False),
        *("flux.kustomizations", "prune is False"),
    ),
    "deleting a Kustomization deletes tenants": (
        lambda s: changed(s, "Kustomization", "shard-a0", "spec", "deletionPolicy", to="Delete"),
        *("flux.kustomizations", "delete its tenants"),
    ),
    "a Kustomization with another account": (
        lambda s: changed(
            s, "Kustomization", "shard-a0", "spec", "serviceAccountName", to="clusters"
        ),
        *("flux.kustomizations", "serviceAccountName is clusters"),
    ),
    "a Kustomization is suspended": (
        lambda s: changed(s, "Kustomization", "shard-a0", "spec", "suspend", to=True),
        *("flux.ready", "suspended"),
    ),
    "a shard is not applied": (
        lambda s: changed(
            s, "Kustomization", "shard-a0", "status", "conditions",
            to=[{"type": "Ready", "status": "False", "message": "no such account"}],
        ),
        *("flux.ready", "no such account"),
    ),
    "no Receiver": (
        lambda s: without(s, "Receiver", "shards"),
        *("flux.receiver", "Receiver shards"),
    ),
    "the Receiver's Secret is missing": (
        lambda s: changed(
            s, "Receiver", "shards", "status", "conditions",
            to=[{"type": "Ready", "status": "False", "message": "no Secret receiver-token"}],
        ),
        *("flux.receiver", "no Secret receiver-token"),
    ),
    "the Receiver has another token": (
        lambda s: changed(s, "Receiver", "shards", "status", "webhookPath", to="/hook/9999"),
        *("flux.receiver", "another token"),
    ),
    "the Receiver pokes every source": (
        lambda s: changed(s, "Receiver", "shards", "spec", "resourceFilter", to=None),
        *("flux.receiver", "resourceFilter"),
    ),
    # access
    "a shard has no account": (
        lambda s: without(s, "ServiceAccount", "shard-a0"),
        *("access.shard-accounts", "shard-a0"),
    ),
    "the shards' role may do everything": (
        lambda s: changed(
            s, "ClusterRole", "fastapi-platform-shard", "rules",
            to=[{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
        ),
        *("access.shard-role", "fastapi-platform-shard"),
    ),
    "a shard's account is cluster-admin": (
        lambda s: added(
            s, binding("cluster-admin", kind="ServiceAccount", namespace=NAMESPACE, name="shard-a0")
        ),
        *("access.shards-no-more", "cluster-admin"),
    ),
    "all shards' accounts are cluster-admin": (
        lambda s: added(
            s,
            binding("cluster-admin", kind="Group", name=f"system:serviceaccounts:{NAMESPACE}"),
        ),
        *("access.shards-no-more", "cluster-admin"),
    ),
    "the backend may not read pods": (
        lambda s: without(s, "ClusterRoleBinding", "fastapi-platform-backend"),
        *("access.backend-enough", "pods"),
    ),
    "the backend may read Secrets": (
        lambda s: changed(
            s, "Role", "fastapi-platform-backend", "rules",
            to=[
                *objects(s, "Role")[0].at("rules"),
                {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
            ],
        ),
        *("access.backend-no-more", "get secrets"),
    ),
    "the backend is cluster-admin": (
        lambda s: added(
            added(
                s,
                binding(
                    "admin", kind="ServiceAccount", namespace="fastapi-platform", name="backend"
                ),
            ),
            {
                "kind": "ClusterRole",
                "metadata": {"name": "admin"},
                "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
            },
        ),
        *("access.backend-no-more", "added"),
    ),
    "an admission policy is missing": (
        lambda s: without(s, "ValidatingAdmissionPolicy", "fastapi-platform-pods"),
        *("admission.policies", "fastapi-platform-pods"),
    ),
    "an admission policy ignores errors": (
        lambda s: changed(
            s, "ValidatingAdmissionPolicy", "fastapi-platform-pods",
            "spec", "failurePolicy", to="Ignore",
        ),
        *("admission.policies", "failurePolicy is Ignore"),
    ),
    "an admission policy has a rule less": (
        lambda s: changed(
            s, "ValidatingAdmissionPolicy", "fastapi-platform-pods", "spec", "validations", to=[]
        ),
        *("admission.policies", "validations"),
    ),
    "a policy is not bound": (
        lambda s: without(s, "ValidatingAdmissionPolicyBinding", "fastapi-platform-kinds"),
        *("admission.bindings", "fastapi-platform-kinds"),
    ),
    "a binding only warns": (
        lambda s: changed(
            s, "ValidatingAdmissionPolicyBinding", "fastapi-platform-kinds",
            "spec", "validationActions", to=["Warn"],
        ),
        *("admission.bindings", "Warn"),
    ),
    "the policies know another host": (
        lambda s: changed(s, "ConfigMap", "admission", "data", "hostRule", to="Host(`x`) && "),
        *("admission.settings", "hostRule"),
    ),
    "the runner's image is not allowed": (
        lambda s: changed(s, "ConfigMap", "admission", "data", "images", to="other:1"),
        *("admission.runner-image", healthy.IMAGE),
    ),
    "a tenant's namespace enforces nothing": (
        lambda s: with_objects(
            s,
            "Namespace",
            (
                *objects(s, "Namespace"),
                healthy.namespace(
                    "user-u2",
                    **{
                        "fastapi-platform/user-id": "u2",
                        "pod-security.kubernetes.io/enforce": "baseline",
                    },
                ),
            ),
        ),
        *("access.pod-security", "user-u2"),
    ),
    "the platform's namespace is missing": (
        lambda s: without(s, "Namespace", "fastapi-platform"),
        *("access.pod-security", "Namespace fastapi-platform is missing"),
    ),
    # router
    "no Traefik where it should be": (
        lambda s: with_objects(s, "Traefik", ()),
        *("traefik.there", "namespace traefik"),
    ),
    "routes cross namespaces": (
        traefik("", "--providers.kubernetescrd.allowCrossNamespace"),
        *("traefik.same-namespace", "allowcrossnamespace"),
    ),
    "routes lead to outside names": (
        traefik("", "--providers.kubernetesCRD.allowExternalNameServices=true"),
        *("traefik.same-namespace", "allowexternalnameservices"),
    ),
    "no safe naming": (traefik("safeNaming"), "traefik.safe-naming", "safeNaming"),
    "encoded slashes pass": (
        traefik("EncodedSlash"),
        *("traefik.encoded-characters", "encoded slash"),
    ),
    "no metrics of the router": (traefik("metrics"), "traefik.metrics", "metrics"),
}  # fmt: skip


def test_nothing_is_found_on_a_healthy_installation():
    found = diagnose(CHECKS, healthy.installation())
    assert found.findings == ()
    assert found.unlooked == ()
    assert found.status == 0
    assert set(found.passed) == {check.name for check in CHECKS}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_named(what: str):
    broken, check, word = BROKEN[what]
    found = diagnose(CHECKS, broken(healthy.installation()))
    assert found.status == 1
    named = [f for f in found.findings if f.check == check]
    assert any(word in finding.missing for finding in named), [*found.findings]
    assert all(finding.why and finding.mend for finding in found.findings)


def test_every_check_is_seen_to_find_something():
    assert {check for _, check, _ in BROKEN.values()} == {check.name for check in CHECKS}


def test_a_mark_of_the_fault_is_in_no_other_check():
    """A single fault leads an operator to one place; what follows from it is not told as well."""
    alone = {
        what: {
            finding.check for finding in diagnose(CHECKS, broken(healthy.installation())).findings
        }
        for what, (broken, _, _) in BROKEN.items()
    }
    several = {what: checks for what, checks in alone.items() if len(checks) > 1}
    assert set(several) <= {"the default runner image", "no branch main"}, several


def test_what_could_not_be_looked_at_is_neither_well_nor_broken():
    seen = healthy.installation()
    found = diagnose(CHECKS, replace(with_objects(seen, "Flux", Unseen("not allowed"))))
    assert found.findings == ()
    assert {u.check for u in found.unlooked} == {
        *("flux.controllers", "flux.no-cross-namespace-refs", "flux.no-remote-bases"),
    }
    assert found.status == 2


def test_without_a_persons_credential_the_rule_is_for_people_to_try():
    found = diagnose(CHECKS, with_repository(healthy.installation(), person=False))
    assert [each.check for each in found.by_hand] == ["repository.shards-protected"]
    assert "repository.shards-protected" not in found.passed
    assert found.status == 0


def test_a_host_without_an_api_is_for_people_to_look_at():
    found = diagnose(CHECKS, replace(healthy.installation(), forge=ByHand("compare by hand")))
    assert {each.check for each in found.by_hand} == {c.name for c in forge_checks.CHECKS}
    assert not any(name.startswith("forge.") for name in found.passed)
    assert (found.findings, found.unlooked, found.status) == ((), (), 0)


def test_who_passes_a_rule_by_is_for_people_to_look_at_where_it_is_not_told():
    seen = forge(shards=replace(GUARDED, pushers=None))(healthy.installation())
    found = diagnose(CHECKS, seen)
    assert [each.check for each in found.by_hand] == ["forge.flux-pushers"]
    assert found.status == 0


def test_what_was_found_before_something_was_away_is_told_with_it():
    told = (
        Trial("platform", "main", "refused", "changes must be made through a pull request"),
        Trial("platform", "flux/00", "unknown", "it answered 500"),
    )
    found = diagnose(CHECKS, with_repository(healthy.installation(), trials=told, person=False))
    assert [each.check for each in found.findings] == ["repository.credential"]
    assert [each.check for each in found.unlooked] == ["repository.credential"]
    assert "repository.credential" not in found.passed
    assert found.status == 1


def test_public_addresses_that_are_blocked_are_well():
    seen = healthy.installation()
    node = {"addresses": [{"address": "203.0.114.7"}]}
    seen = changed(seen, "Node", "one", "status", to=node)
    values = healthy.settings(blocked_cidrs="203.0.114.0/24")
    cluster = replace(seen.cluster, settings=values)
    found = diagnose(CHECKS, replace(seen, cluster=cluster))
    assert "cluster.blocked-ranges" in found.passed


def test_what_kubernetes_gives_everybody_itself_is_no_finding():
    role = "system:discovery"
    raw = {**binding(role, kind="Group", name="system:authenticated"), "metadata": {"name": role}}
    assert diagnose(CHECKS, added(healthy.installation(), raw)).findings == ()


def test_readers_of_yaml_may_fold_a_text_otherwise():
    seen = healthy.installation()
    for policy in objects(seen, "ValidatingAdmissionPolicy"):
        rules = [
            {**rule, "expression": rule["expression"].replace("\n", "\n\n")}
            for rule in policy.at("spec", "validations")
        ]
        path = ("spec", "validations")
        seen = changed(seen, "ValidatingAdmissionPolicy", policy.name, *path, to=rules)
    assert diagnose(CHECKS, seen).findings == ()


def test_a_fault_of_every_shard_is_told_a_few_times_and_counted():
    seen = with_objects(healthy.installation(), "ServiceAccount", ())
    found = [f for f in diagnose(CHECKS, seen).findings if f.check == "access.shard-accounts"]
    assert len(found) == MANY + 1
    assert "252 more" in found[-1].missing


def test_what_the_backend_needs_is_what_its_roles_give():
    needed = {(group, name, verb) for (_, group, name), verbs in NEEDED.items() for verb in verbs}
    assert needed == healthy.backend_rules()


def test_an_embedded_installation_is_not_asked_for_a_cluster():
    seen = healthy.installation()
    values = healthy.settings(mode="embedded", git_remote=None, base_domain=None)
    found = diagnose(
        CHECKS,
        replace(seen, settings=replace(seen.settings, values=values), cluster=None, forge=None),
    )
    assert found.findings == ()
    assert found.unlooked == ()
    assert not any(name.startswith(("flux.", "traefik.", "forge.")) for name in found.passed)


def test_the_page_of_checks_is_what_the_code_says():
    page = (healthy.ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
    for check in CHECKS:
        assert f"| `{check.name}` | {check.about} |" in page
    written = re.findall(r"^\| `([a-z]+\.[a-z-]+)` \|", page, re.MULTILINE)
    assert written == [check.name for check in CHECKS]
