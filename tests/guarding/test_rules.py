"""Every rule of the check that guards the branch, each with a twin that passes."""

import pytest

from api.domain.repo_layout import EMPTY_OVERLAY
from tests.guarding.changes import (
    ANN,
    BOB,
    EXECUTABLE,
    FORBIDDEN,
    HELLO,
    LINK,
    SUBMODULE,
    app_files,
    folder,
    graft,
    memory,
    overlay,
    push_odd,
    tenant,
    tree_of,
)
from tests.history.people import Repository

APP = folder(BOB)
SHARD = APP.split("/")[1]
SECRET = tenant("ubob") + "/secrets/VIEWER.sops.yaml"
ENCRYPTED = b"ENC[AES256_GCM,data:YQ==,iv:Yg==,tag:Yw==,type:str]"
SEALED = b"""\
apiVersion: v1
kind: Secret
metadata: {name: viewer}
stringData:
  password: %s
sops:
  mac: %s
  version: 3.13.3
""" % (ENCRYPTED, ENCRYPTED)


def rules(report) -> set[tuple[str, str]]:
    return {(found.path, found.code) for found in report.findings if found.severity == "error"}


def test_nothing_is_wrong_with_a_new_app(guard, repository):
    report = guard(repository)
    assert (report.apps, list(report.findings), report.passed) == (1, [], True)


def test_a_forbidden_import_is_named_with_file_and_line(guard, repository):
    repository.push({f"{APP}/code/user_code.py": b"# hello\n" + FORBIDDEN})
    [found] = guard(repository, base="main~1").findings
    assert (found.path, found.line) == (f"{APP}/code/user_code.py", 2)
    assert "subprocess" in found.message
    repository.push({f"{APP}/code/user_code.py": b"# hello\n" + HELLO})
    assert guard(repository, base="main~2").passed


@pytest.mark.parametrize(
    ("path", "data", "rule"),
    [
        ("app.yaml", b"kind: App\n", "settings"),
        ("app.yaml", b"\xff", "settings"),
        ("app.yaml", None, "missing"),
        ("app.yaml", app_files(ANN)[f"{folder(ANN)}/app.yaml"], "wrong_owner"),
        ("code/user_code.py", HELLO + b"\x00", "nul"),
        ("code/user_code.py", HELLO + b"# a\rb\n", "lone_carriage_return"),
        ("code/big.txt", b"x" * 300_000, "file_too_large"),
        ("code/.hidden.txt", b"", "path"),
        ("code/tool.sh", b"", "bad_extension"),
        ("overlay/kustomization.yaml", EMPTY_OVERLAY + b"resources: [../../two]\n", "overlay"),
        ("overlay/kustomization.yaml", EMPTY_OVERLAY + b"helmCharts: [{name: x}]\n", "overlay"),
        ("overlay/kustomization.yaml", EMPTY_OVERLAY + b"generators: [x.yaml]\n", "overlay"),
        ("overlay/extra.yaml", b"kind: ClusterRole\n", "overlay"),
        ("overlay/kustomization.yaml", memory("4Gi"), "overlay"),
        ("secrets/KEY.sops.yaml", SEALED, "secret"),
        ("secrets/KEY.yaml", b"key: clear\n", "secret"),
    ],
)
def test_what_the_editor_refuses_is_refused(guard, repository, path, data, rule):
    repository.push({f"{APP}/{path}": data})
    assert (f"{APP}/{path}", rule) in rules(guard(repository, base="main~1"))
    assert (f"{APP}/{path}", rule) in rules(guard(repository))


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("app.yaml", app_files(BOB, state="hibernated")[f"{APP}/app.yaml"]),
        ("code/user_code.py", HELLO.replace(b"\n", b"\r\n")),
        ("code/pages/index.html", b"<p>hello</p>\n"),
        ("overlay/kustomization.yaml", memory("200Mi")),
    ],
)
def test_what_people_may_change_passes(guard, repository, path, data):
    repository.push({f"{APP}/{path}": data})
    report = guard(repository, base="main~1")
    assert rules(report) == set()
    assert report.apps == 1


def test_names_that_differ_in_case_only_are_refused(guard, repository):
    repository.push({f"{APP}/code/User_code.py": HELLO})
    assert (f"{APP}/code/user_code.py", "twin_path") in rules(guard(repository, base="main~1"))


@pytest.mark.parametrize(
    "patch",
    [
        '[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "x"}]',
        '[{"op": "add", "path": "/spec/template/spec/hostNetwork", "value": true}]',
        '[{"op": "replace", "path": "/metadata/namespace", "value": "kube-system"}]',
    ],
)
def test_an_overlay_that_swaps_what_is_the_platforms_is_refused(guard, repository, patch):
    path = f"{APP}/overlay/kustomization.yaml"
    repository.push({path: overlay(patch)})
    assert (path, "overlay") in rules(guard(repository, base="main~1"))


def test_an_overlay_that_swaps_the_route_is_refused(guard, repository):
    path = f"{APP}/overlay/kustomization.yaml"
    patch = '[{"op": "replace", "path": "/spec/routes/0/match", "value": "PathPrefix(`/`)"}]'
    repository.push({path: overlay(patch, target="{kind: IngressRoute}")})
    assert (path, "overlay") in rules(guard(repository, base="main~1"))


@pytest.mark.parametrize(
    "path",
    [
        "main.py",
        "kustomization.yaml",
        ".gitmodules",
        "apps/notes.txt",
        "apps/zz/README.md",
        "apps/5E/ubob/tenant.yaml",
        "apps/5e0/ubob/tenant.yaml",
        f"apps/{SHARD}/kustomization.yaml",
        f"apps/{SHARD}/.sourceignore",
        f"apps/{SHARD}/loose.yaml",
        f"apps/{SHARD}/.github/workflows/x.yaml",
        f"apps/{SHARD}/UBOB/tenant.yaml",
        f"apps/{SHARD}/ub\N{CYRILLIC SMALL LETTER O}b/tenant.yaml",
        f"apps/{SHARD}/uann/tenant.yaml",
        f"apps/{SHARD}/ubob/Kustomization",
        f"apps/{SHARD}/ubob/role.yaml",
        f"apps/{SHARD}/ubob/viewer/x.yaml",
        f"apps/{SHARD}/ubob/One/app.yaml",
        f"apps/{SHARD}/ubob/secrets/password.txt",
        f"apps/{SHARD}/ubob/secrets/deeper/KEY.sops.yaml",
        f"{APP}/kustomization.yaml",
        f"{APP}/generated/deployment.yaml",
        f"{APP}/serving/user_code.py",
        f"{APP}/.sourceignore",
        f"{APP}/Code/user_code.py",
        f"{APP}/README.md",
        "clusters/" + "deep/" * 20 + "x.yaml",
    ],
)
def test_what_stands_outside_of_the_layout_is_refused(guard, repository, path):
    push_odd(repository, path)
    found = rules(guard(repository, base="main~1"))
    [refused] = [where for where, rule in found if rule == "layout"]
    assert f"{path}/".startswith(f"{refused}/")
    assert found <= rules(guard(repository))


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("README.md", b"Ours.\n"),
        (".gitlab-ci.yml", b"check: {}\n"),
        (".gitea/workflows/check.yaml", b"on: pull_request\n"),
        ("clusters/prod/extra/role.yaml", b"kind: ClusterRole\n"),
        (f"apps/{SHARD}/README.md", b"A shard.\n"),
        (SECRET, SEALED),
    ],
)
def test_what_the_layout_has_a_place_for_passes(guard, repository, path, content):
    push_odd(repository, path, content=content)
    assert rules(guard(repository, base="main~1")) == set()


@pytest.mark.parametrize("mode", [LINK, SUBMODULE, EXECUTABLE])
@pytest.mark.parametrize("place", ["code/x.py", "overlay/x.yaml", "code", "app.yaml"])
def test_entries_of_apps_are_regular_files(guard, repository, mode, place):
    raw = b"\x11" * 20 if mode == SUBMODULE else None
    push_odd(repository, f"{APP}/{place}", mode, HELLO, raw=raw)
    found = rules(guard(repository, base="main~1"))
    assert (f"{APP}/{place}", "not_a_file") in found


@pytest.mark.parametrize("mode", [LINK, SUBMODULE])
@pytest.mark.parametrize("place", ["clusters/prod/x", "apps/00", f"{APP}/x", "apps", "protection"])
def test_links_and_submodules_stand_nowhere(guard, repository, mode, place):
    raw = b"\x11" * 20 if mode == SUBMODULE else None
    push_odd(repository, place, mode, b"/etc/passwd", raw=raw)
    assert (place, "not_a_file") in rules(guard(repository, base="main~1"))


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([b".."], ".."),
        ([b".git"], ".git"),
        ([b"a/b"], "a\\x2fb"),
        ([b"\xff\xfe"], "\\xff\\xfe"),
        ([b"x\ny"], "x\ny"),
        ([b"..", b"user_code.py"], "../user_code.py"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(guard, repository, names, shown):
    inside = [*APP.encode().split(b"/"), b"code", *names]
    push_odd(repository, inside)
    assert any(path == f"{APP}/code/{shown}" for path, _ in rules(guard(repository)))
    push_odd(repository, names)
    top = shown.split("/", maxsplit=1)[0]
    assert (top, "layout") in rules(guard(repository))


def test_a_name_that_stands_twice_is_refused(guard, repository):
    git2 = repository.git2
    one, other = (git2.create_blob(data).raw for data in (HELLO, FORBIDDEN))
    twice = tree_of(git2, [(b"100644", b"user_code.py", one), (b"100644", b"user_code.py", other)])
    push_odd(repository, f"{APP}/code", b"40000", raw=twice)
    assert any(p.startswith(f"{APP}/code") for p, _ in rules(guard(repository)))
    app = graft(git2, None, [b"code", b"user_code.py"], b"100644", one)
    both = tree_of(git2, [(b"40000", b"two", app), (b"40000", b"two", twice)])
    push_odd(repository, tenant("ubob"), b"40000", raw=both)
    assert (f"{tenant('ubob')}/two", "twice") in rules(guard(repository))


@pytest.mark.parametrize("where", [f"{APP}/code", "clusters", "apps", f"apps/{SHARD}"])
def test_trees_that_name_each_other_without_end_are_refused_in_time(guard, repository, where):
    git2 = repository.git2
    raw = git2.create_blob(b"x").raw
    mode = b"100644"
    for _ in range(18):
        raw = tree_of(git2, [(mode, b"n%d" % number, raw) for number in range(10)])
        mode = b"40000"
    push_odd(repository, where, b"40000", raw=raw)
    assert not guard(repository, base="main~1").passed


@pytest.mark.parametrize("where", [f"{APP}/code/x", "clusters/x", APP, "apps"])
@pytest.mark.parametrize("mode", [b"40000", b"100644"])
def test_what_is_missing_or_broken_is_said(guard, repository, where, mode):
    push_odd(repository, where, mode, raw=b"\x22" * 20)
    assert not guard(repository, base="main~1").passed
    broken = repository.git2.odb.write(2, b"no tree at all").raw
    push_odd(repository, where, b"40000", raw=broken)
    assert not guard(repository, base="main~2").passed


def test_a_file_outside_of_apps_has_a_limit_too(guard, repository):
    path = "clusters/prod/image.tar"
    repository.push({path: b"x" * (1024 * 1024 + 1)})
    assert rules(guard(repository, base="main~1")) == {(path, "file_too_large")}
    repository.push({path: b"x" * 1024 * 1024})
    assert guard(repository, base="main~2").passed


@pytest.mark.parametrize(
    "data",
    [
        b"password: clear\n",
        SEALED.replace(ENCRYPTED, b"clear", 1),
        SEALED.replace(ENCRYPTED, b"clear"),
        SEALED.replace(b"kind: Secret", b"kind: ClusterRole"),
        SEALED + b"data: {more: Y2xlYXI=}\n",
        b"stringData: &a [*a]\n",
        b"\xff",
        b"[" * 5000,
    ],
)
def test_a_secret_in_clear_is_refused(guard, repository, data):
    repository.push({SECRET: data})
    assert rules(guard(repository, base="main~1")) == {(SECRET, "secret_in_clear")}


def test_a_tenant_without_their_file_is_refused(guard, repository):
    path = f"{tenant('ubob')}/tenant.yaml"
    repository.push({path: None})
    assert rules(guard(repository, base="main~1")) == {(path, "tenant")}
    repository.push({path: app_files(ANN)[f"{tenant('uann')}/tenant.yaml"]})
    assert rules(guard(repository, base="main~2")) == {(path, "tenant")}


def test_a_tenant_who_vanishes_as_a_whole_is_refused(guard, repository):
    repository.push({tenant("ubob"): None})
    path = f"{tenant('ubob')}/tenant.yaml"
    assert rules(guard(repository, base="main~1")) == {(path, "tenant")}


def test_an_app_may_be_deleted(guard, repository):
    repository.push({APP: None})
    report = guard(repository, base="main~1")
    assert (rules(report), report.apps) == (set(), 0)


def test_an_id_that_another_tenant_had_first_is_refused(guard, repository):
    copied = {path.replace("ann-one", "one"): data for path, data in app_files(ANN).items()}
    there = folder(ANN).replace("ann-one", "one")
    copied[f"{there}/app.yaml"] = copied[f"{there}/app.yaml"].replace(b"ann-one", b"one")
    repository.push({APP: None})
    repository.push(copied)
    assert rules(guard(repository, base="main~1")) == {(f"{there}/app.yaml", "foreign_id")}
    assert rules(guard(repository)) == {(f"{there}/app.yaml", "foreign_id")}
    repository.push({there: None} | app_files(ANN))
    assert guard(repository, base="main~2").passed


def test_of_two_who_bring_one_id_the_first_has_it(guard, repository):
    mine = {path.replace("one", "new"): data for path, data in app_files(BOB).items()}
    mine[f"{tenant('ubob')}/new/app.yaml"] = app_files(BOB)[f"{APP}/app.yaml"].replace(
        b"id: one", b"id: new"
    )
    theirs = {path.replace("ann-one", "new"): data for path, data in app_files(ANN).items()}
    theirs[f"{tenant('uann')}/new/app.yaml"] = theirs[f"{tenant('uann')}/new/app.yaml"].replace(
        b"id: ann-one", b"id: new"
    )
    repository.push(mine)
    repository.push(theirs)
    assert rules(guard(repository, base="main~2")) == {
        (f"{tenant('uann')}/new/app.yaml", "foreign_id")
    }


@pytest.mark.parametrize(
    ("data", "passes"),
    [
        (b"apiVersion: fastapi-platform/v1\nkind: Platform\nlayout: 1\nshards: 256\n", True),
        (b"apiVersion: fastapi-platform/v1\nkind: Platform\nlayout: 1\nshards: 4096\n", False),
        (b"kind: Platform\nshards: 7\n", False),
        (b"\x00", False),
        (None, False),
    ],
)
def test_the_settings_of_all_stay_readable(guard, repository, data, passes):
    repository.push({"platform.yaml": data})
    report = guard(repository, base="main~1")
    assert rules(report) == (set() if passes else {("platform.yaml", "platform")})
    assert any("platform.yaml" in rule for rule in report.not_judged)


def test_only_what_a_change_touches_is_checked(guard, repository: Repository):
    repository.push(app_files(ANN) | {f"{folder(ANN)}/code/user_code.py": FORBIDDEN})
    repository.push({f"{APP}/code/user_code.py": HELLO + b"# more\n"})
    report = guard(repository, base="main~1")
    assert (report.apps, report.passed) == (1, True)
    assert not guard(repository).passed


def test_what_came_onto_main_meanwhile_is_not_the_changes(guard, repository: Repository):
    fork = repository.head()
    repository.push(app_files(ANN) | {f"{folder(ANN)}/code/user_code.py": FORBIDDEN})
    change = repository.commit([fork], {f"{APP}/code/user_code.py": HELLO + b"# more\n"})
    report = guard(repository, change, "main")
    assert (report.apps, report.passed) == (1, True)


def test_a_change_is_held_to_the_settings_that_a_merge_leaves(guard, repository: Repository):
    fork = repository.head()
    settings = repository.git2[repository.git2[fork].tree["platform.yaml"].id].data
    repository.push({"platform.yaml": settings.replace(b"memory: 256Mi", b"memory: 128Mi")})
    path = f"{APP}/overlay/kustomization.yaml"
    change = repository.commit([fork], {path: memory("200Mi")})
    assert rules(guard(repository, change, "main")) == {(path, "overlay")}
    assert rules(guard(repository, change, fork)) == set()
