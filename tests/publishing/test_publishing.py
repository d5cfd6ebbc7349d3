"""What people want, and what Flux applies: every case of the specification, on real branches."""

import asyncio
import subprocess

import pytest
import yaml

from api.clients import commit_index, sqlite_store
from api.clients.git_trees import Folder
from api.clients.git_upstream import LocalUpstream, Move
from api.clients.gitops_repo import GitopsRepo
from api.clients.sqlite import SqliteDatabase
from api.domain.commit_message import publish_message, trailers
from api.domain.drafts import AppDraft
from api.domain.manifests import RENDERER_VERSION
from api.domain.names import AppRef, shard_of
from api.domain.repo_layout import EMPTY_OVERLAY, dump
from api.domain.rollout import LiveVersion
from api.errors import CheckUnavailable
from tests.publishing.stack import FORBIDDEN, HELLO, account, folder, running_stack

BOB, EVE = account("ubob"), account("ueve")

OVERLAY = """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
  - patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: APP}
      spec:
        template:
          spec:
            containers:
              - name: app
                CHANGE
"""


def overlay(ref: AppRef, change: str) -> bytes:
    return OVERLAY.replace("APP", ref.app_id).replace("CHANGE", change).encode()


async def test_a_deploy_puts_the_very_objects_of_main_on_the_shard_branch(stack):
    app = await stack.deploy(BOB)
    main, tip = await stack.repo.head("main"), await stack.tip(app.ref)
    wanted = await stack.repo.children(main, folder(app.ref))
    stands = await stack.repo.children(tip, f"{BOB.user_id}/{app.ref.app_id}")
    for name in ("app.yaml", "code", "overlay"):
        assert stands[name].id == wanted[name].id
    assert {"kustomization.yaml", "generated"} < stands.keys()
    assert "namespace.yaml" in await stack.repo.children(tip, BOB.user_id)

    message = (await stack.repo.info(tip)).message
    assert message.startswith(f"publish {app.ref.app_id}\n")
    assert trailers(message) == {
        "Source-Commit": [main],
        "Renderer-Version": [str(RENDERER_VERSION)],
    }
    assert stack.poked == [shard_of(BOB.user_id, 2)]


async def test_a_look_writes_nothing_when_nothing_differs(stack):
    app = await stack.deploy(BOB)
    before = await stack.tip(app.ref)
    await stack.look()
    await stack.look()
    assert await stack.tip(app.ref) == before


async def test_a_good_commit_by_hand_goes_live(stack):
    app = await stack.deploy(BOB)
    await stack.by_hand({f"{folder(app.ref)}/code/user_code.py": f"# mine\n{HELLO}".encode()})
    await stack.look()
    assert (await stack.published(app.ref))["code/user_code.py"].startswith(b"# mine")
    assert stack.hold(app.ref) is None


async def test_a_forbidden_import_is_held_with_its_reason_and_nobody_else_notices(stack):
    app, other = await stack.deploy(BOB), await stack.deploy(BOB, "Two")
    before = await stack.published(app.ref)
    await stack.by_hand(
        {
            f"{folder(app.ref)}/code/user_code.py": FORBIDDEN.encode(),
            f"{folder(other.ref)}/code/user_code.py": f"# fine\n{HELLO}".encode(),
        }
    )
    await stack.look()
    assert await stack.published(app.ref) == before
    hold = stack.hold(app.ref)
    assert "os" in hold.first.message
    assert (hold.first.path, hold.first.line) == ("user_code.py", 1)
    assert (await stack.published(other.ref))["code/user_code.py"].startswith(b"# fine")
    assert stack.hold(other.ref) is None

    await stack.by_hand({f"{folder(app.ref)}/code/user_code.py": HELLO.encode()})
    await stack.look()
    assert stack.hold(app.ref) is None


async def test_the_newest_intent_that_passes_is_published_when_the_newest_is_refused(stack):
    app = await stack.deploy(BOB)
    path = f"{folder(app.ref)}/code/user_code.py"
    for text in ("# one\n" + HELLO, "# two\n" + HELLO, FORBIDDEN):
        await stack.by_hand({path: text.encode()})
    await stack.look()
    assert (await stack.published(app.ref))["code/user_code.py"].startswith(b"# two")
    assert stack.hold(app.ref)


async def test_sleeping_is_honoured_although_the_code_is_refused(stack):
    app = await stack.deploy(BOB)
    asleep = app.file.model_copy(update={"state": "hibernated"})
    await stack.by_hand(
        {
            f"{folder(app.ref)}/app.yaml": dump(asleep),
            f"{folder(app.ref)}/code/user_code.py": FORBIDDEN.encode(),
        }
    )
    await stack.look()
    files = await stack.published(app.ref)
    assert files["code/user_code.py"] == HELLO.encode()
    assert "generated/ingressroute.yaml" not in files
    assert yaml.safe_load(files["generated/deployment.yaml"])["spec"]["replicas"] == 0
    tip = await stack.tip(app.ref)
    await stack.look()
    assert await stack.tip(app.ref) == tip, "a hold that changes nothing writes nothing"

    await stack.by_hand({f"{folder(app.ref)}/app.yaml": dump(app.file)})
    await stack.look()
    assert "generated/ingressroute.yaml" in await stack.published(app.ref)


async def test_a_deletion_by_hand_withdraws_the_app_and_keeps_the_tenant(stack):
    app, other = await stack.deploy(BOB), await stack.deploy(BOB, "Two")
    await stack.by_hand({folder(app.ref): None})
    await stack.look()
    assert await stack.published(app.ref) == {}
    assert await stack.published(other.ref)
    await stack.by_hand({folder(other.ref): None})
    await stack.look()
    assert "namespace.yaml" in await stack.repo.children(await stack.tip(app.ref), BOB.user_id)


@pytest.mark.parametrize("content", [None, b"nonsense", b"kind: Tenant\n"])
async def test_a_missing_or_wrong_tenant_file_holds_all_of_the_tenant(stack, content):
    app = await stack.deploy(BOB)
    before = await stack.published(app.ref)
    tenant = f"{folder(app.ref).rpartition('/')[0]}/tenant.yaml"
    await stack.by_hand({tenant: content, folder(app.ref): None})
    await stack.look()
    assert await stack.published(app.ref) == before
    assert "tenant.yaml" in stack.hold(app.ref).first.message


async def test_a_whole_tenant_folder_that_vanished_withdraws_nothing(stack):
    app = await stack.deploy(BOB)
    await stack.by_hand({folder(app.ref).rpartition("/")[0]: None})
    await stack.look()
    assert await stack.published(app.ref)


async def test_an_app_folder_copied_to_another_tenant_is_held_there(stack):
    app, theirs = await stack.deploy(BOB), await stack.deploy(EVE)
    files = await stack.repo.files(await stack.repo.head("main"), folder(app.ref))
    stolen = AppRef(EVE.user_id, app.ref.app_id)
    edits = {f"{folder(stolen)}/{path}": data for path, data in files.items()}
    edits[f"{folder(stolen)}/app.yaml"] = dump(app.file.model_copy(update={"user": EVE.user_id}))
    await stack.by_hand(edits)
    await stack.look()
    assert await stack.published(stolen) == {}
    assert "another tenant" in stack.hold(stolen).first.message
    assert stack.hold(app.ref) is None
    assert await stack.published(theirs.ref)


@pytest.mark.parametrize("field", ["id", "user"])
async def test_ids_inside_must_match_the_path(stack, field):
    app = await stack.deploy(BOB)
    wrong = app.file.model_copy(update={field: "somebody"})
    await stack.by_hand({f"{folder(app.ref)}/app.yaml": dump(wrong)})
    await stack.look()
    assert stack.hold(app.ref).first.code == "wrong_owner"


async def test_stray_files_are_never_composed(stack):
    app = await stack.deploy(BOB)
    before = await stack.published(app.ref)
    shard = folder(app.ref).split("/")[1]
    await stack.by_hand(
        {
            f"{folder(app.ref)}/kustomization.yaml": b"resources: [https://evil.example]",
            f"{folder(app.ref)}/generated/deployment.yaml": b"kind: Evil",
            f"{folder(app.ref)}/serving/x.py": b"",
            f"apps/{shard}/kustomization.yaml": b"kind: Kustomization",
            f"apps/{shard}/{BOB.user_id}/kustomization.yaml": b"kind: Kustomization",
            f"apps/{shard}/{BOB.user_id}/evil.yaml": b"kind: ClusterRole",
        }
    )
    await stack.look()
    assert await stack.published(app.ref) == before
    tenant = await stack.repo.children(await stack.tip(app.ref), BOB.user_id)
    assert not {"kustomization.yaml", "evil.yaml"} & tenant.keys()
    root = await stack.repo.children(await stack.tip(app.ref))
    assert root.keys() == {"README.md", BOB.user_id}


async def test_a_folder_in_the_wrong_shard_is_held(stack):
    await stack.deploy(BOB)
    wrong = next(s for s in ("00", "01") if s != shard_of(EVE.user_id, 2))
    await stack.by_hand({f"apps/{wrong}/{EVE.user_id}/a1/app.yaml": b"x"})
    await stack.look()
    assert (
        "does not belong" in stack.publisher.holds(wrong)[AppRef(EVE.user_id, "a1")].first.message
    )


@pytest.mark.parametrize(
    "path", ["secrets/TOKEN.sops.yaml", "code/.hidden.py", "code/a b.py", "overlay"]
)
async def test_odd_files_inside_the_entries_are_held(stack, path):
    app = await stack.deploy(BOB)
    before = await stack.published(app.ref)
    await stack.by_hand({f"{folder(app.ref)}/{path}": b"x: 1\n"})
    await stack.look()
    assert stack.hold(app.ref)
    assert await stack.published(app.ref) == before


async def test_an_executable_file_is_held(stack, tmp_path):
    app = await stack.deploy(BOB)
    clone = tmp_path / "clone"

    def commit() -> None:
        def git(*arguments: str) -> None:
            subprocess.run(["git", "-C", clone, *arguments], check=True, capture_output=True)

        subprocess.run(["git", "clone", "-q", stack.repo.path, clone], check=True)
        (clone / folder(app.ref) / "code" / "user_code.py").chmod(0o755)
        git("-c", "user.name=E", "-c", "user.email=e@example.org", "commit", "-qam", "x")
        git("push", "-q", "origin", "HEAD:main")

    await asyncio.to_thread(commit)
    await stack.look()
    assert stack.hold(app.ref).first.code == "not_a_file"


async def test_an_overlay_with_resources_is_published(stack):
    app = await stack.deploy(BOB)
    change = "resources: {limits: {memory: 200Mi}}"
    path = f"{folder(app.ref)}/overlay/kustomization.yaml"
    await stack.by_hand({path: overlay(app.ref, change)})
    await stack.look()
    assert stack.hold(app.ref) is None
    assert b"200Mi" in (await stack.published(app.ref))["overlay/kustomization.yaml"]


@pytest.mark.parametrize(
    "content",
    [
        overlay(AppRef("u", "nobody"), "resources: {limits: {memory: 200Mi}}"),
        b"kind: Component\npatches: [",
        b"",
    ],
)
async def test_an_overlay_that_does_not_build_is_held(stack, content):
    app = await stack.deploy(BOB)
    await stack.by_hand({f"{folder(app.ref)}/overlay/kustomization.yaml": content})
    await stack.look()
    assert stack.hold(app.ref).first.path.startswith("overlay/")
    published = await stack.published(app.ref)
    assert published["overlay/kustomization.yaml"] == EMPTY_OVERLAY


async def test_an_overlay_that_swaps_the_image_is_held(stack):
    app = await stack.deploy(BOB)
    path = f"{folder(app.ref)}/overlay/kustomization.yaml"
    await stack.by_hand({path: overlay(app.ref, "image: evil.example/miner:1")})
    await stack.look()
    assert "image" in stack.hold(app.ref).first.message


async def test_a_rewound_main_waits_for_an_operator(stack):
    app = await stack.deploy(BOB)
    before = await stack.tip(app.ref)
    rewind = ["git", "-C", stack.repo.path, "update-ref", "refs/heads/main", "main~1"]
    await asyncio.to_thread(subprocess.run, rewind, check=True)
    await stack.look()
    assert "rewound" in stack.publisher.waiting(shard_of(BOB.user_id, 2))
    assert await stack.tip(app.ref) == before


async def test_what_a_newer_renderer_published_is_left_alone(stack):
    app = await stack.deploy(BOB)
    shard, tip = shard_of(BOB.user_id, 2), await stack.tip(app.ref)
    message = publish_message("publish", await stack.repo.head("main"), RENDERER_VERSION + 1)
    newer = await stack.repo.compose(tip, {"README.md": b"newer"}, message)
    await LocalUpstream(stack.repo.path).push([Move(f"flux/{shard}", tip, newer)])
    await stack.by_hand({f"{folder(app.ref)}/code/user_code.py": f"# x\n{HELLO}".encode()})
    await stack.look()
    assert "newer release" in stack.publisher.waiting(shard)
    assert await stack.tip(app.ref) == newer


async def test_a_check_that_cannot_be_finished_is_tried_again(stack, monkeypatch):
    app = await stack.deploy(BOB)

    async def dies(*_: object) -> None:
        raise CheckUnavailable("the helper was killed")

    with monkeypatch.context() as patched:
        patched.setattr(stack.check._sources, "check", dies)
        path = f"{folder(app.ref)}/code/user_code.py"
        await stack.by_hand({path: f"# x\n{HELLO}".encode()})
        await stack.look()
        assert stack.hold(app.ref).unknown
    await stack.look()
    assert stack.hold(app.ref) is None
    assert (await stack.published(app.ref))["code/user_code.py"].startswith(b"# x")


async def test_the_code_seen_live_is_kept_until_the_new_version_is_live(stack):
    app = await stack.deploy(BOB)
    intent = yaml.safe_load((await stack.published(app.ref))["kustomization.yaml"])["metadata"][
        "annotations"
    ]["fastapi-platform/intent"]
    stack.live[app.ref] = LiveVersion(intent, f"{app.ref.app_id}-code-abc")

    await stack.deployments.update(BOB, app.ref, AppDraft(code="# 2\n" + HELLO), None, "r")
    files = await stack.published(app.ref)
    assert files["serving/user_code.py"] == HELLO.encode()
    generators = yaml.safe_load(files["kustomization.yaml"])["configMapGenerator"]
    assert generators[1]["name"] == f"{app.ref.app_id}-code-abc"

    await stack.deployments.update(BOB, app.ref, AppDraft(code="# 3\n" + HELLO), None, "r")
    files = await stack.published(app.ref)
    assert files["serving/user_code.py"] == HELLO.encode(), "2 was never live: 1 still serves"

    intent = yaml.safe_load(files["kustomization.yaml"])["metadata"]["annotations"][
        "fastapi-platform/intent"
    ]
    stack.live[app.ref] = LiveVersion(intent, f"{app.ref.app_id}-code-def")
    await stack.deploy(BOB, "Two")
    assert "serving/user_code.py" not in await stack.published(app.ref)


async def test_going_back_to_the_code_that_serves_keeps_it_once(stack):
    app = await stack.deploy(BOB)
    intent = yaml.safe_load((await stack.published(app.ref))["kustomization.yaml"])["metadata"][
        "annotations"
    ]["fastapi-platform/intent"]
    stack.live[app.ref] = LiveVersion(intent, f"{app.ref.app_id}-code-abc")
    for code in ("# 2\n" + HELLO, HELLO):
        await stack.deployments.update(BOB, app.ref, AppDraft(code=code), None, "r")
    assert "serving/user_code.py" not in await stack.published(app.ref)


async def test_replicas_that_race_write_the_same_history(stack, tmp_path, sources):
    schema = (*sqlite_store.SCHEMA, *commit_index.SCHEMA)
    app = await stack.deploy(BOB)
    async with SqliteDatabase.open(tmp_path / "other.sqlite3", schema) as database:
        repo = GitopsRepo(stack.repo.path)
        upstream = LocalUpstream(stack.repo.path)
        async with running_stack(repo, database, sources, upstream) as replica:
            for n in range(5):
                path = f"{folder(app.ref)}/code/user_code.py"
                await stack.by_hand({path: f"# {n}\n{HELLO}".encode()})
                await asyncio.gather(stack.look(), replica.look())
        await repo.close()
    line = await stack.repo.first_parents(await stack.tip(app.ref))
    assert len(line) == 1 + 6
    assert (await stack.published(app.ref))["code/user_code.py"].startswith(b"# 4")


async def test_a_huge_folder_by_hand_is_refused_and_not_published(stack):
    app = await stack.deploy(BOB)
    files = {f"f{n}.txt": b"x" for n in range(60)} | {"user_code.py": HELLO.encode()}
    await stack.by_hand({f"{folder(app.ref)}/code": Folder(files)})
    await stack.look()
    assert stack.hold(app.ref)
