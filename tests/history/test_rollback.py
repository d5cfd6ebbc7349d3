"""Going back is going forward: an earlier version, or a deleted app, by a new commit."""

import asyncio

import pytest
from pygit2.enums import FileMode

from api.clients.git_trees import Same
from api.domain.commit_message import trailers
from api.domain.drafts import AppDraft
from api.domain.names import AppRef
from api.domain.repo_layout import dump
from api.errors import Conflict, InvalidRequest, NotFound, SourceRefused
from api.rollback import Rollbacks
from tests.publishing.stack import FORBIDDEN, HELLO, account, folder

BOB, EVE = account("ubob"), account("ueve")
RESOURCES = """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
- patch: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: APP}
    spec: {template: {spec: {containers: [{name: app, resources: {limits: {memory: 160Mi}}}]}}}
"""


@pytest.fixture
def rollbacks(stack) -> Rollbacks:
    return Rollbacks(stack.repo, stack.intents, stack.history, stack.deployments)


async def update(stack, ref, **draft):
    return await stack.deployments.update(BOB, ref, AppDraft(**draft), None, "r")


async def test_code_entrypoint_env_and_overlay_come_back_and_the_rest_stays(
    stack, people, rollbacks
):
    app = await stack.deployments.create(
        BOB,
        AppDraft(name="One", files={"a.py": HELLO, "b.py": ""}, entrypoint="a.py", env={"A": "1"}),
        "r",
    )
    overlay = f"{folder(app.ref)}/overlay/kustomization.yaml"
    first = people.push({overlay: RESOURCES.replace("APP", app.ref.app_id).encode()})
    await update(
        stack, app.ref, name="Two", files={"c.py": HELLO}, entrypoint="c.py", env={"B": "2"}
    )
    stored = await stack.intents.app(app.ref)
    pinned = stored.file.model_copy(update={"pinned": True, "review": True})
    people.push(
        {
            f"{folder(app.ref)}/app.yaml": dump(pinned),
            overlay: b"kind: Component\npatches: []\napiVersion: "
            b"kustomize.config.k8s.io/v1alpha1\n",
        }
    )
    back = await rollbacks.rollback(BOB, app.ref, first, "req-9")
    assert (back.name, back.entrypoint, back.env) == ("Two", "a.py", {"A": "1"})
    assert (back.file.pinned, back.file.review) == (True, True)
    assert back.files == {"a.py": HELLO.encode(), "b.py": b""}
    files = await stack.repo.files(back.commit, folder(app.ref))
    assert b"160Mi" in files["overlay/kustomization.yaml"]
    info = await stack.repo.info(back.commit)
    assert info.message.startswith(f"rollback {app.ref.app_id}: Two\n")
    assert trailers(info.message) == {
        "App-Id": [app.ref.app_id],
        "User-Id": ["ubob"],
        "Action": ["rollback"],
        "Request-Id": ["req-9"],
    }
    assert info.author.name == "name-ubob"
    published = await stack.published(app.ref)
    assert published["code/a.py"] == HELLO.encode()
    assert b"160Mi" in published["overlay/kustomization.yaml"]


async def test_going_back_to_what_is_there_already_makes_no_commit(stack, rollbacks):
    app = await stack.deploy(BOB)
    again = await rollbacks.rollback(BOB, app.ref, app.commit, "r")
    assert again.commit == app.commit
    renamed = await update(stack, app.ref, name="Two")
    again = await rollbacks.rollback(BOB, app.ref, app.commit, "r")
    assert (again.commit, again.name) == (renamed.commit, "Two")


async def test_a_version_that_no_longer_passes_is_refused_by_its_rule(stack, people, rollbacks):
    app = await stack.deploy(BOB)
    bad = people.push({f"{folder(app.ref)}/code/user_code.py": FORBIDDEN.encode()})
    await update(stack, app.ref, code=HELLO + "# good\n")
    before = people.head()
    with pytest.raises(SourceRefused, match="line 1") as refused:
        await rollbacks.rollback(BOB, app.ref, bad, "r")
    assert "os" in refused.value.message
    assert "editor" in refused.value.hint
    assert refused.value.details["commit"] == bad
    assert refused.value.details["diagnostics"][0]["line"] == 1
    assert people.head() == before


@pytest.mark.parametrize(
    "edits",
    [
        {"app.yaml": b"kind: [App"},
        {"app.yaml": None},
        {"code": None},
        {"code": b"a file"},
        {"overlay": None, "code/user_code.py": b"\xff"},
        {"code/.hidden": b""},
    ],
)
async def test_a_version_that_never_passed_is_refused_and_nothing_is_committed(
    stack, people, rollbacks, edits
):
    app = await stack.deploy(BOB)
    bad = people.push({f"{folder(app.ref)}/{path}": edit for path, edit in edits.items()})
    people.push({folder(app.ref): Same(app.tree, "folder")})
    before = people.head()
    with pytest.raises(SourceRefused, match=bad[:7]):
        await rollbacks.rollback(BOB, app.ref, bad, "r")
    assert people.head() == before


async def test_a_link_among_the_code_of_then_is_refused(stack, people, rollbacks):
    app = await stack.deploy(BOB)
    git2 = people.git2
    code = git2[people.head()].tree[f"{folder(app.ref)}/code"]
    builder = git2.TreeBuilder(code)
    builder.insert("link.py", git2.create_blob(b"/etc/passwd"), FileMode.LINK)
    bad = people.push({f"{folder(app.ref)}/code": Same(str(builder.write()), "folder")})
    await update(stack, app.ref, files={"user_code.py": HELLO + "# good\n"})
    with pytest.raises(SourceRefused, match="link"):
        await rollbacks.rollback(BOB, app.ref, bad, "r")


async def test_an_app_that_cannot_be_read_now_can_go_back(stack, people, rollbacks):
    app = await stack.deploy(BOB)
    people.push({f"{folder(app.ref)}/app.yaml": b"broken: ["})
    back = await rollbacks.rollback(BOB, app.ref, app.commit, "r")
    assert back.file == app.file
    assert (await stack.published(app.ref))["app.yaml"] == dump(app.file)


async def test_only_the_apps_own_commits_can_be_gone_back_to(stack, people, rollbacks):
    app, other = await stack.deploy(BOB), await stack.deploy(BOB, "Other")
    for commit in (other.commit, app.commit[:12], "HEAD", "", "0" * 40, people.push({"x": b""})):
        with pytest.raises(NotFound, match="has no commit"):
            await rollbacks.rollback(BOB, app.ref, commit, "r")
    with pytest.raises(NotFound, match="no app"):
        await rollbacks.rollback(EVE, AppRef("ueve", app.ref.app_id), app.commit, "r")


async def test_there_is_no_going_back_to_a_deletion(stack, people, rollbacks):
    app = await stack.deploy(BOB)
    gone = await stack.deployments.delete(BOB, app.ref, "r")
    with pytest.raises(Conflict, match="deleted") as deleted:
        await rollbacks.rollback(BOB, app.ref, app.commit, "r")
    assert deleted.value.code == "app_deleted"
    await rollbacks.restore(BOB, app.ref, "r")
    with pytest.raises(InvalidRequest, match="deleted") as nothing:
        await rollbacks.rollback(BOB, app.ref, gone, "r")
    assert nothing.value.code == "no_version"


async def test_a_deleted_app_comes_back_as_it_was_last(stack, rollbacks):
    app = await stack.deploy(BOB)
    last = await update(stack, app.ref, name="Two", env={"A": "1"}, code=HELLO + "# two\n")
    await stack.deployments.delete(BOB, app.ref, "r")
    back = await rollbacks.restore(BOB, app.ref, "req-5")
    assert (back.ref, back.file, back.files) == (app.ref, last.file, last.files)
    assert back.tree == last.tree
    info = await stack.repo.info(back.commit)
    assert info.message.startswith(f"restore {app.ref.app_id}: Two\n")
    assert trailers(info.message)["Action"] == ["restore"]
    published = await stack.published(app.ref)
    assert published["code/user_code.py"] == last.files["user_code.py"]
    page = await stack.history.page(app.ref, None, 9)
    assert [e.commit.action for e in page.entries] == ["restore", "delete", "deploy", "deploy"]


async def test_an_app_that_is_there_is_restored_without_a_commit(stack, rollbacks):
    app = await stack.deploy(BOB)
    assert (await rollbacks.restore(BOB, app.ref, "r")).commit == app.commit


async def test_a_hibernated_app_comes_back_running(stack, people, rollbacks):
    app = await stack.deploy(BOB)
    asleep = app.file.model_copy(update={"state": "hibernated"})
    people.push({f"{folder(app.ref)}/app.yaml": dump(asleep)})
    people.push({folder(app.ref): None})
    back = await rollbacks.restore(BOB, app.ref, "r")
    assert back.file == app.file


async def test_the_limit_of_apps_holds_for_restored_ones_also_in_a_race(stack, rollbacks):
    gone = []
    for n in range(3):
        app = await stack.deploy(BOB, f"Gone {n}")
        await stack.deployments.delete(BOB, app.ref, "r")
        gone.append(app.ref)
    await stack.deploy(BOB, "Stays")
    done = await asyncio.gather(
        *(rollbacks.restore(BOB, ref, "r") for ref in gone), return_exceptions=True
    )
    refused = [error for error in done if isinstance(error, Conflict)]
    assert [error.code for error in refused] == ["app_limit"]
    assert len(await stack.intents.apps("ubob")) == 3


async def test_a_missing_tenant_file_comes_back_with_the_app(stack, people, rollbacks):
    app = await stack.deploy(BOB)
    tenant = folder(app.ref).rpartition("/")[0]
    people.push({tenant: None})
    back = await rollbacks.restore(BOB, app.ref, "r")
    assert b"user: ubob" in await stack.repo.read(back.commit, f"{tenant}/tenant.yaml")
    assert "code/user_code.py" in await stack.published(app.ref)


async def test_a_copy_of_somebody_elses_app_is_not_restored(stack, people, rollbacks):
    app = await stack.deploy(BOB)
    copy = AppRef("ueve", app.ref.app_id)
    people.push({f"{folder(copy)}/app.yaml": dump(app.file)})
    people.push({folder(copy): None})
    with pytest.raises(Conflict, match="another tenant"):
        await rollbacks.restore(EVE, copy, "r")
    with pytest.raises(NotFound, match="no app"):
        await rollbacks.restore(EVE, AppRef("ueve", "never"), "r")


async def test_a_deleted_version_that_no_longer_passes_is_refused(stack, people, rollbacks):
    app = await stack.deploy(BOB)
    people.push({f"{folder(app.ref)}/code/user_code.py": FORBIDDEN.encode()})
    people.push({folder(app.ref): None})
    before = people.head()
    with pytest.raises(SourceRefused, match="os"):
        await rollbacks.restore(BOB, app.ref, "r")
    assert people.head() == before


async def test_a_change_in_between_is_not_lost(stack, rollbacks):
    app = await stack.deploy(BOB)
    await update(stack, app.ref, code=HELLO + "# two\n")
    await asyncio.gather(
        rollbacks.rollback(BOB, app.ref, app.commit, "r"), update(stack, app.ref, name="Renamed")
    )
    now = await stack.intents.app(app.ref)
    assert (now.name, now.files) == ("Renamed", app.files)
