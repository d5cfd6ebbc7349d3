"""Pull requests by somebody who means harm, each against their own app unless it says otherwise."""

from api.domain.names import AppRef
from api.domain.repo_layout import EMPTY_OVERLAY
from tests.guarding.changes import EXECUTABLE, FORBIDDEN, HELLO, LINK, SUBMODULE, app_files
from tests.guarding.pull_requests import (
    FILE,
    HOST,
    PATCH,
    TREE,
    VICTIM,
    PullRequest,
    app_of,
    copied,
    disordered,
    endless,
    files,
    in_overlay,
    odd,
    on_pods,
    padded,
    patched,
    settings,
    twice,
)  # fmt: skip

PLATFORM = b"apiVersion: fastapi-platform/v1\nkind: Platform\nlayout: 1\nshards: 256\n"
CODE = {b"user_code.py": HELLO}
EVIL = {b"user_code.py": FORBIDDEN}
APP = {b"code/user_code.py": HELLO}
ROLE = b"apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: all}\n"
LAUGHS = b"a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n"

#: Names of people are made from these keys: letters, digits and dashes.
HOSTILE: dict[str, PullRequest] = {
    # Whose it is.
    "others-code": PullRequest(
        files({"/{victim}/code/user_code.py": HELLO + b"# more\n"}),
        "{victim}/code", "not_yours", "another tenant", "goes live"),
    "others-file-added": PullRequest(
        files({"/{victim}/code/extra.py": b"x = 1\n"}),
        "{victim}/code", "not_yours", "another tenant", "goes live"),
    "own-tenant-file": PullRequest(
        files({"/{tenant}/tenant.yaml": b"apiVersion: fastapi-platform/v1\nkind: Tenant\n"}),
        "{tenant}/tenant.yaml", "not_yours", "operator"),
    "others-new-app": PullRequest(
        odd("/{theirs}/planted/app.yaml"),
        "{theirs}/planted/app.yaml", "not_yours", "another", "left out"),
    "lists-themselves": PullRequest(
        odd("/people.yaml", content=b"kind: People\noperators: [eve]\n"),
        "people.yaml", "not_yours", "operator", "left out"),
    "platform-file-of-gigabytes": PullRequest(
        files({"/platform.yaml": PLATFORM + b"#" * (17 * 1024 * 1024)}),
        "platform.yaml", "not_yours", "operator", "left out"),
    "higher-ceilings": PullRequest(
        files({"/platform.yaml": PLATFORM + b"ceilings: {memory: 64Gi}\n"}),
        "platform.yaml", "not_yours", "operator", "goes live"),
    "cluster-role-for-flux": PullRequest(
        odd("/clusters/prod/role.yaml", content=ROLE),
        "clusters/prod/role.yaml", "not_yours", "operator", "left out"),
    "workflow-of-all": PullRequest(
        odd("/.github/workflows/steal.yaml"),
        ".github/workflows/steal.yaml", "not_yours", "operator", "left out"),
    "code-owners": PullRequest(
        odd("/CODEOWNERS"), "CODEOWNERS", "not_yours", "operator", "left out"),
    "app-copied": PullRequest(
        copied, "{tenant}/victim-app/app.yaml", "foreign_id", "id of its own"),
    "app-of-another-user": PullRequest(
        app_of(VICTIM), "{app}/app.yaml", "wrong_owner", "uvictim"),
    # Things that are no files.
    "link-in-code": PullRequest(
        odd("code/passwd.txt", LINK, b"/etc/passwd"),
        "{app}/code/passwd.txt", "not_a_file", "regular file"),
    "link-to-another-app": PullRequest(
        odd("code", LINK, b"../../../../5e/uvictim/victim-app/code"),
        "{app}/code", "not_a_file", "regular file"),
    "settings-are-a-link": PullRequest(
        odd("app.yaml", LINK, b"../other/app.yaml"), "{app}/app.yaml", "not_a_file", "regular"),
    "overlay-file-is-a-link": PullRequest(
        odd(PATCH, LINK, b"/proc/self/environ"), f"{{app}}/{PATCH}", "not_a_file", "regular"),
    "app-is-a-link": PullRequest(
        odd("/{app}", LINK, b"../victim"), "{app}", "not_a_file", "a link", "withdrawn"),
    "submodule-in-code": PullRequest(
        odd("code/lib", SUBMODULE), "{app}/code/lib", "not_a_file", "regular file"),
    "app-is-a-submodule": PullRequest(
        odd("/{app}", SUBMODULE), "{app}", "not_a_file", "a submodule", "withdrawn"),
    "gitmodules": PullRequest(
        odd("/.gitmodules"), ".gitmodules", "layout", "no place", "left out"),
    "executable-code": PullRequest(
        odd("code/user_code.py", EXECUTABLE),
        "{app}/code/user_code.py", "not_a_file", "--chmod=-x"),
    "executable-settings": PullRequest(
        odd("app.yaml", EXECUTABLE), "{app}/app.yaml", "not_a_file", "--chmod=-x"),
    # Names that lead elsewhere, or are another's twin.
    "dot-dot": PullRequest(odd("code/.."), "{app}/code/..", "path", "plain path"),
    "dot-dot-folder": PullRequest(
        odd("code/../x.py"), "{app}/code/../x.py", "path", "plain path"),
    "dot-git": PullRequest(
        odd("code/.git/config"), "{app}/code/.git/config", "path", "plain path"),
    "slash-in-a-name": PullRequest(
        odd("code/..%2F..%2Fx.py"), "{app}/code/..\\x2f..\\x2fx.py", "path", "plain path"),
    "no-text": PullRequest(odd(b"code/\xff.py"), "{app}/code/\\xff.py", "path", "plain path"),
    "newline-in-a-name": PullRequest(
        odd("code/a\r\nb.py"), "{app}/code/a\r\nb.py", "path", "plain path"),
    "right-to-left-name": PullRequest(
        odd(b"code/" + "\u202eyp.py".encode()), "{app}/code/\u202eyp.py", "path", "plain path"),
    "hidden-file": PullRequest(odd("code/.env"), "{app}/code/.env", "path", "plain path"),
    "trailing-dot": PullRequest(odd("code/a."), "{app}/code/a.", "path", "plain path"),
    "case-twin": PullRequest(
        odd("code/User_Code.py"), "{app}/code/user_code.py", "twin_path", "another name"),
    "folder-case-twin": PullRequest(
        files({"code/pages/a.html": b"a", "code/Pages/b.html": b"b"}),
        "{app}/code/pages/a.html", "twin_path", "another name"),
    "unicode-twin": PullRequest(
        odd(b"code/" + "u\u0308ser.py".encode()), "{app}/code/u\u0308ser.py", "path", "letters"),
    "look-alike-twin": PullRequest(
        odd(b"code/" + "user_c\u043ede.py".encode()),
        "{app}/code/user_c\u043ede.py", "path", "letters"),
    "entry-case-twin": PullRequest(
        odd("Code/user_code.py"), "{app}/Code", "layout", "app's folder", "left out"),
    "app-case-twin": PullRequest(
        odd("/{tenant}/App/app.yaml"), "{tenant}/App", "layout", "no app id", "left out"),
    "tenant-look-alike": PullRequest(
        odd(b"/{shard}/" + "\u0443victim".encode() + b"/tenant.yaml"),
        "{shard}/\u0443victim", "layout", "no user id", "left out"),
    "another-shard": PullRequest(
        odd("/apps/00/{id}/tenant.yaml"), "apps/00/{id}", "layout", "shard of", "left out"),
    "module-twin": PullRequest(
        files({"code/shop.py": b"x = 1\n", "code/shop/__init__.py": b""}),
        "{app}/code/shop.py", "twin_path", "one module"),
    # Trees that git itself would not write.
    "file-twice": PullRequest(
        twice("{app}/code/user_code.py", FILE, {b"": HELLO}, {b"": FORBIDDEN}),
        "{app}/code", "malformed", "git itself"),
    "folder-twice-in-code": PullRequest(
        twice("{app}/code/pages", TREE, {b"a.html": b"a"}, {b"b.html": b"b"}),
        "{app}/code", "malformed", "git itself"),
    "code-twice": PullRequest(
        twice("{app}/code", TREE, CODE, EVIL), "{app}/code", "twice", "git itself"),
    "code-twice-the-other-way": PullRequest(
        twice("{app}/code", TREE, EVIL, CODE), "{app}/code", "twice", "git itself", "left out"),
    "app-twice": PullRequest(twice("{app}", TREE, APP, {b"code/user_code.py": FORBIDDEN}),
        "{app}", "twice", "git itself"),
    "settings-twice": PullRequest(
        twice("{app}/app.yaml", FILE, {b"": b"kind: App\n"}, {b"": b"kind: No\n"}),
        "{app}/app.yaml", "twice", "git itself"),
    "tenant-twice": PullRequest(
        twice("{tenant}", TREE, {b"x/app.yaml": b""}, {b"tenant.yaml": b""}),
        "{tenant}", "twice", "git itself"),
    "tenant-file-twice": PullRequest(
        twice("{tenant}/tenant.yaml", FILE, {b"": b"kind: Tenant\n"}, {b"": b"kind: No\n"}),
        "{tenant}/tenant.yaml", "twice", "git itself"),
    "names-in-no-order": PullRequest(disordered, "{app}/code", "malformed", "git itself"),
    "unheard-of-mode": PullRequest(padded, "{app}/code", "malformed", "git itself"),
    "endless-folders": PullRequest(endless, "{app}/code/d", "not_a_file", "folders deep"),
    # Too much, or not text.
    "huge-file": PullRequest(
        files({"code/data.txt": b"x" * 3_000_000}), "{app}/code/data.txt", "not_a_file", "1 MiB"),
    "large-file": PullRequest(
        files({"code/data.txt": b"x" * 300_000}),
        "{app}/code/data.txt", "file_too_large", "Split"),
    "hundreds-of-files": PullRequest(
        files({f"code/f{number}.py": b"" for number in range(300)}),
        "{app}/code", "too_many_files", "files"),
    "deep-folders": PullRequest(
        files({"code/" + "d/" * 40 + "x.py": b""}),
        "{app}/code/" + "d/" * 20 + "d", "not_a_file", "folders deep"),
    "nul": PullRequest(
        files({"code/user_code.py": HELLO + b"\0"}), "{app}/code/user_code.py", "nul", ""),
    "lone-carriage-return": PullRequest(
        files({"code/user_code.py": HELLO + b"# a\rimport os\n"}),
        "{app}/code/user_code.py", "lone_carriage_return", ""),
    "other-encoding": PullRequest(
        files({"code/user_code.py": b"# coding: utf-7\n" + HELLO}),
        "{app}/code/user_code.py", "encoding", "UTF-8"),
    "forbidden-import": PullRequest(
        files({"code/user_code.py": FORBIDDEN}),
        "{app}/code/user_code.py", "import_not_allowed", "subprocess"),
    "program": PullRequest(
        files({"code/run.sh": b"#!/bin/sh\n"}), "{app}/code/run.sh", "bad_extension", ""),
    # Settings.
    "replicas": PullRequest(settings(b"replicas: 99\n"), "{app}/app.yaml", "settings", "replicas"),
    "image-in-settings": PullRequest(
        settings(b"image: evil\n"), "{app}/app.yaml", "settings", "image"),
    "loader-variable": PullRequest(
        settings(b"env: {LD_PRELOAD: /tmp/x.so}\n"), "{app}/app.yaml", "settings", "reserved"),
    "entrypoint-elsewhere": PullRequest(
        settings(b"entrypoint: ../../x.py\n"), "{app}/app.yaml", "settings", ".py"),
    "laughs": PullRequest(settings(LAUGHS), "{app}/app.yaml", "settings", "aliases"),
    # Overlays: what kustomize would fetch, read, run or make.
    "remote-base": PullRequest(
        in_overlay(f"resources: ['http://{HOST}/base?ref=main']"),
        f"{{app}}/{PATCH}", "overlay", "resources"),
    "remote-git-base": PullRequest(
        in_overlay(f"resources: ['git::http://{HOST}/evil//base?timeout=90']"),
        f"{{app}}/{PATCH}", "overlay", "resources"),
    "remote-component": PullRequest(
        in_overlay(f"components: ['http://{HOST}/component']"),
        f"{{app}}/{PATCH}", "overlay", "components"),
    "remote-patch": PullRequest(
        files({PATCH: EMPTY_OVERLAY.replace(
            b"patches: []", f"patches: [{{path: 'http://{HOST}/patch.yaml'}}]".encode())}),
        f"{{app}}/{PATCH}", "overlay", "file beside it"),
    "remote-schema": PullRequest(
        in_overlay(f"openapi: {{path: 'http://{HOST}/schema.json'}}"),
        f"{{app}}/{PATCH}", "overlay", "openapi"),
    "another-apps-folder": PullRequest(
        in_overlay("resources: [../../../uvictim/victim-app]"),
        f"{{app}}/{PATCH}", "overlay", "resources"),
    "another-apps-patch": PullRequest(
        files({PATCH: EMPTY_OVERLAY.replace(b"[]", b"[{path: ../../victim-app/overlay/x.yaml}]")}),
        f"{{app}}/{PATCH}", "overlay", "file beside it"),
    "absolute-patch": PullRequest(
        files({PATCH: EMPTY_OVERLAY.replace(b"[]", b"[{path: /etc/passwd}]")}),
        f"{{app}}/{PATCH}", "overlay", "file beside it"),
    "bases": PullRequest(
        in_overlay("bases: [../../other]"), f"{{app}}/{PATCH}", "overlay", "bases"),
    "helm-charts": PullRequest(
        in_overlay("helmCharts: [{name: x, repo: 'https://example.org'}]"),
        f"{{app}}/{PATCH}", "overlay", "helmCharts"),
    "exec-generator": PullRequest(
        in_overlay("generators: [run.yaml]", run__yaml=b"kind: Run\nmetadata: {annotations: "
                   b"{config.kubernetes.io/function: 'exec: {path: ./run}'}}\n"),
        f"{{app}}/{PATCH}", "overlay", "generators"),
    "transformers": PullRequest(
        in_overlay("transformers: [x.yaml]"), f"{{app}}/{PATCH}", "overlay", "transformers"),
    "validators": PullRequest(
        in_overlay("validators: [x.yaml]"), f"{{app}}/{PATCH}", "overlay", "validators"),
    "load-restrictions": PullRequest(
        in_overlay("configMapGenerator: [{name: x, files: [../../../../platform.yaml]}]"),
        f"{{app}}/{PATCH}", "overlay", "configMapGenerator"),
    "secret-generator": PullRequest(
        in_overlay("secretGenerator: [{name: x, literals: [a=b]}]"),
        f"{{app}}/{PATCH}", "overlay", "secretGenerator"),
    "other-namespace": PullRequest(
        in_overlay("namespace: kube-system"), f"{{app}}/{PATCH}", "overlay", "namespace"),
    "other-images": PullRequest(
        in_overlay("images: [{name: runner, newName: evil}]"),
        f"{{app}}/{PATCH}", "overlay", "images"),
    "replacements": PullRequest(
        in_overlay("replacements: [{path: x.yaml}]"), f"{{app}}/{PATCH}", "overlay", "replace"),
    "cluster-role": PullRequest(
        in_overlay("", role__yaml=ROLE), "{app}/overlay/role.yaml", "overlay", "No patch uses"),
    "cluster-role-as-a-patch": PullRequest(
        files({PATCH: EMPTY_OVERLAY.replace(b"[]", b"[{path: role.yaml}]"),
               "overlay/role.yaml": ROLE}),
        "{app}/overlay/role.yaml", "overlay", "names no kind"),
    "second-kustomization": PullRequest(
        in_overlay("", Kustomization=b"resources: []\n"),
        "{app}/overlay/Kustomization", "overlay", "as well"),
    "a-kustomization-not-a-component": PullRequest(
        files({PATCH: b"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"}),
        f"{{app}}/{PATCH}", "overlay", "Component"),
    "laughing-overlay": PullRequest(files({PATCH: LAUGHS}), f"{{app}}/{PATCH}", "overlay", "YAML"),
    # … and the objects that patches would change.
    "image": PullRequest(
        on_pods("containers/0/image", '"evil"'), f"{{app}}/{PATCH}", "overlay", "platform"),
    "command": PullRequest(
        on_pods("containers/0/command", '["sh"]'), f"{{app}}/{PATCH}", "overlay", "platform"),
    "host-network": PullRequest(
        on_pods("hostNetwork", "true"), f"{{app}}/{PATCH}", "overlay", "platform"),
    "host-path": PullRequest(
        on_pods("volumes/-", '{"name": "h", "hostPath": {"path": "/"}}'),
        f"{{app}}/{PATCH}", "overlay", "platform"),
    "service-account": PullRequest(
        on_pods("serviceAccountName", '"default"'), f"{{app}}/{PATCH}", "overlay", "platform"),
    "privileged": PullRequest(
        on_pods("containers/0/securityContext/privileged", "true"),
        f"{{app}}/{PATCH}", "overlay", "platform"),
    "more-replicas": PullRequest(
        patched('[{"op": "replace", "path": "/spec/replicas", "value": 9}]'),
        f"{{app}}/{PATCH}", "overlay", "platform"),
    "route": PullRequest(
        patched('[{"op": "replace", "path": "/spec/routes/0/match", "value": "PathPrefix(`/`)"}]',
                "{kind: IngressRoute}"),
        f"{{app}}/{PATCH}", "overlay", "platform"),
    "moved-by-a-patch": PullRequest(
        patched('[{"op": "replace", "path": "/metadata/namespace", "value": "kube-system"}]'),
        f"{{app}}/{PATCH}", "overlay", "platform"),
    "past-the-ceiling": PullRequest(
        on_pods("containers/0/resources/limits/memory", '"4Gi"'),
        f"{{app}}/{PATCH}", "overlay", "256Mi"),
    "object-deleted": PullRequest(
        patched("{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, $patch: delete}"),
        f"{{app}}/{PATCH}", "overlay", "platform"),
    # Files that steer Flux, kustomize or git where nobody looks.
    "kustomization-of-a-shard": PullRequest(
        odd("/{shard}/kustomization.yaml"),
        "{shard}/kustomization.yaml", "layout", "steer", "left out"),
    "manifest-in-a-shard": PullRequest(
        odd("/{shard}/role.yaml", content=ROLE),
        "{shard}/role.yaml", "layout", "steer", "left out"),
    "sourceignore-in-a-shard": PullRequest(
        odd("/{shard}/.sourceignore", content=b"*\n"),
        "{shard}/.sourceignore", "layout", "steer", "left out"),
    "workflow-in-a-shard": PullRequest(
        odd("/{shard}/.github/workflows/x.yaml"), "{shard}/.github", "layout", "steer", "left out"),
    "kustomization-of-a-tenant": PullRequest(
        odd("/{tenant}/Kustomization"), "{tenant}/Kustomization", "layout", "steer", "left out"),
    "manifest-of-a-tenant": PullRequest(
        odd("/{tenant}/role.yaml", content=ROLE),
        "{tenant}/role.yaml", "layout", "steer", "left out"),
    "sourceignore-of-an-app": PullRequest(
        odd(".sourceignore", content=b"*\n"), "{app}/.sourceignore", "layout", "steer", "left out"),
    "kustomization-of-an-app": PullRequest(
        odd("kustomization.yaml"), "{app}/kustomization.yaml", "layout", "steer", "left out"),
    "generated": PullRequest(
        odd("generated/deployment.yaml"), "{app}/generated", "layout", "app's folder", "left out"),
    "serving": PullRequest(
        odd("serving/user_code.py"), "{app}/serving", "layout", "app's folder", "left out"),
    "git-attributes": PullRequest(
        odd("/{tenant}/.gitattributes"), "{tenant}/.gitattributes", "layout", "steer", "left out"),
    # Secrets.
    "secret-in-clear": PullRequest(
        files({"secrets/KEY.yaml": b"key: clear\n"}),
        "{app}/secrets/KEY.yaml", "secret", "by hand"),
    "secret-of-a-tenant": PullRequest(
        odd("/{tenant}/secrets/KEY.sops.yaml", content=b"key: clear\n"),
        "{tenant}/secrets/KEY.sops.yaml", "secret_in_clear", "", "left out"),
}  # fmt: skip


def author(name: str) -> AppRef:
    """Whose app a pull request is about, and whose change it is (login: the user id)."""
    return AppRef(f"u-{name}", f"a-{name}")


def everybody() -> dict[str, bytes]:
    """The repository before: every author's app, the victim's, and who is who."""
    refs = [*map(author, HOSTILE), VICTIM]
    start: dict[str, bytes] = {}
    for ref in refs:
        start |= app_files(ref)
    people = "".join(f"  {ref.user_id}: {ref.user_id}\n" for ref in refs)
    start["people.yaml"] = (
        "apiVersion: fastapi-platform/v1\nkind: People\noperators: [olga]\npeople:\n" + people
    ).encode()
    return start
