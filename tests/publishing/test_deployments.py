"""What people do with their apps: checked first, then one commit, and nothing lost."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from api import deployments, lifecycle
from api.domain.commit_message import trailers
from api.domain.drafts import AppDraft
from api.domain.names import AppRef
from api.domain.repo_layout import EMPTY_OVERLAY, dump
from api.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    RepositoryUnavailable,
    SourceRefused,
    StaleBase,
)
from tests.publishing.stack import FORBIDDEN, HELLO, account, folder

BOB, EVE = account("ubob"), account("ueve")


async def test_a_new_app_is_one_commit_with_everything_in_it(stack):
    app = await stack.deployments.create(
        BOB,
        AppDraft(
            name="My app",
            files={"main.py": HELLO, "static/index.html": "<h1>hi</h1>\n"},
            entrypoint="main.py",
            env={"GREETING": "1e3"},
        ),
        "req-1",
    )
    files = await stack.repo.files(app.commit, folder(app.ref))
    assert files == {
        "app.yaml": dump(app.file),
        "code/main.py": HELLO.encode(),
        "code/static/index.html": b"<h1>hi</h1>\n",
        "overlay/kustomization.yaml": EMPTY_OVERLAY,
    }
    assert (app.name, app.entrypoint, app.env) == ("My app", "main.py", {"GREETING": "1e3"})
    tenant = await stack.repo.read(app.commit, f"{folder(app.ref).rpartition('/')[0]}/tenant.yaml")
    assert b"user: ubob" in tenant
    info = await stack.repo.info(app.commit)
    assert info.message.startswith(f"deploy {app.ref.app_id}: My app\n")
    assert info.author.name == BOB.username
    assert trailers(info.message) == {
        "App-Id": [app.ref.app_id],
        "User-Id": ["ubob"],
        "Action": ["deploy"],
        "Request-Id": ["req-1"],
    }


async def test_a_refused_app_commits_nothing_and_says_where(stack):
    before = await stack.repo.head("main")
    with pytest.raises(SourceRefused) as refused:
        await stack.deploy(BOB, code=FORBIDDEN)
    assert refused.value.details["diagnostics"][0]["line"] == 1
    assert await stack.repo.head("main") == before


async def test_an_update_replaces_only_what_is_sent(stack):
    app = await stack.deployments.create(
        BOB, AppDraft(name="One", files={"user_code.py": HELLO, "b.py": "x = 1\n"}), "r"
    )
    changed = await stack.deployments.update(
        BOB, app.ref, AppDraft(code="# new\n" + HELLO), None, "r"
    )
    assert changed.texts() == {"user_code.py": "# new\n" + HELLO, "b.py": "x = 1\n"}
    fewer = await stack.deployments.update(
        BOB, app.ref, AppDraft(files={"user_code.py": HELLO}), None, "r"
    )
    assert fewer.texts() == {"user_code.py": HELLO}, "deleted files do not survive"
    named = await stack.deployments.update(BOB, app.ref, AppDraft(name="Two"), None, "r")
    assert named.name == "Two"
    assert named.texts() == fewer.texts()


async def test_the_same_content_again_makes_no_commit(stack):
    app = await stack.deploy(BOB)
    again = await stack.deployments.update(BOB, app.ref, AppDraft(code=HELLO), None, "r")
    assert again.commit == app.commit
    assert await stack.repo.head("main") == app.commit


async def test_an_update_leaves_what_people_wrote_into_the_overlay_alone(stack):
    app = await stack.deploy(BOB)
    commented = b"# why\n" + EMPTY_OVERLAY
    await stack.by_hand({f"{folder(app.ref)}/overlay/kustomization.yaml": commented})
    changed = await stack.deployments.update(
        BOB, app.ref, AppDraft(code="# new\n" + HELLO), None, "r"
    )
    files = await stack.repo.files(changed.commit, folder(app.ref))
    assert files["overlay/kustomization.yaml"] == commented


async def test_a_stale_base_shows_both_versions_and_saves_nothing(stack):
    app = await stack.deploy(BOB)
    theirs = await stack.deployments.update(
        BOB, app.ref, AppDraft(code="# theirs\n" + HELLO), app.commit, "r"
    )
    with pytest.raises(StaleBase) as stale:
        await stack.deployments.update(
            BOB, app.ref, AppDraft(code="# mine\n" + HELLO), app.commit, "r"
        )
    details = stale.value.details
    assert details["current"]["files"]["user_code.py"].startswith("# theirs")
    assert details["yours"]["files"]["user_code.py"].startswith("# mine")
    assert details["current"]["commit"] == theirs.commit
    assert (await stack.intents.app(app.ref)).commit == theirs.commit


async def test_a_base_is_stale_only_when_this_app_changed(stack):
    app = await stack.deploy(BOB)
    await stack.deploy(EVE)
    changed = await stack.deployments.update(
        BOB, app.ref, AppDraft(name="Renamed"), app.commit, "r"
    )
    assert changed.name == "Renamed"


@pytest.mark.parametrize("base", ["0" * 40, "nonsense", "", "main", "HEAD", "x" * 5000])
async def test_an_unknown_base_is_refused(stack, base):
    app = await stack.deploy(BOB)
    with pytest.raises(InvalidRequest, match="base_commit"):
        await stack.deployments.update(BOB, app.ref, AppDraft(name="x"), base, "r")


async def test_a_key_makes_a_repeated_request_harmless(stack):
    draft = AppDraft(name="One", code=HELLO)
    first = await stack.deployments.create(BOB, draft, "r", "key-1")
    again = await stack.deployments.create(BOB, draft, "r", "key-1")
    assert (again.ref, again.commit) == (first.ref, first.commit)
    assert len(await stack.intents.apps("ubob")) == 1
    with pytest.raises(Conflict, match="Idempotency-Key"):
        await stack.deployments.create(BOB, AppDraft(name="Two", code=HELLO), "r", "key-1")
    other = await stack.deployments.create(EVE, draft, "r", "key-1")
    assert other.ref.user_id == "ueve"


async def test_the_same_key_at_the_same_moment_gives_one_app(stack):
    draft = AppDraft(name="One", code=HELLO)
    made = await asyncio.gather(
        *(stack.deployments.create(BOB, draft, "r", "key-1") for _ in range(5))
    )
    assert len({app.ref for app in made}) == 1
    assert len(await stack.intents.apps("ubob")) == 1


async def test_a_refused_request_frees_its_key(stack):
    with pytest.raises(SourceRefused):
        await stack.deployments.create(BOB, AppDraft(name="One", code=FORBIDDEN), "r", "key-1")
    assert await stack.deployments.create(BOB, AppDraft(name="One", code=HELLO), "r", "key-1")


async def test_a_person_has_a_limited_number_of_apps_also_in_a_race(stack):
    done = await asyncio.gather(
        *(stack.deploy(BOB, f"App {n}") for n in range(6)), return_exceptions=True
    )
    refused = [d for d in done if isinstance(d, Conflict)]
    assert len(refused) == 3
    assert refused[0].code == "app_limit"
    assert len(await stack.intents.apps("ubob")) == 3


async def test_deleting_takes_the_folder_away_and_keeps_the_history(stack):
    app = await stack.deploy(BOB)
    commit = await stack.deployments.delete(BOB, app.ref, "r")
    with pytest.raises(NotFound):
        await stack.intents.app(app.ref)
    assert (await stack.history.newest(app.ref))[0].commit == commit
    assert await stack.published(app.ref) == {}
    with pytest.raises(NotFound):
        await stack.deployments.delete(BOB, app.ref, "r")


async def test_a_restart_is_a_commit_that_changes_only_the_time(stack):
    app = await stack.deploy(BOB)
    commit = (await stack.lifecycle.restart(BOB, app.ref, "r")).commit
    restarted = await stack.intents.app(app.ref)
    assert restarted.commit == commit
    assert restarted.file.restarted_at
    assert restarted.files == app.files


async def test_a_second_restart_within_the_second_is_the_same_one(stack, monkeypatch):
    app = await stack.deploy(BOB)
    now = datetime.now(UTC)
    monkeypatch.setattr(lifecycle, "datetime", SimpleNamespace(now=lambda _: now))
    commit = (await stack.lifecycle.restart(BOB, app.ref, "r")).commit
    await stack.by_hand({"note": b"meanwhile"})
    monkeypatch.setattr(stack.writer, "write", None)  # so it is counted as no deploy either
    assert (await stack.lifecycle.restart(BOB, app.ref, "r")).commit == commit


@pytest.mark.parametrize(
    ("error", "known"), [(RepositoryUnavailable("away"), 0), (OutcomeUnknown("cut off"), 1)]
)
async def test_an_app_that_was_not_saved_was_never_used(stack, monkeypatch, error, known):
    async def fails(*_: object) -> str:
        raise error

    monkeypatch.setattr(deployments, "new_app_id", lambda _: "shop")
    monkeypatch.setattr(stack.writer, "write", fails)
    with pytest.raises(type(error)):
        await stack.deploy(BOB)
    used = await stack.deployments._store.last_activity([AppRef(BOB.user_id, "shop")])
    assert len(used) == known


@pytest.mark.parametrize(
    "action",
    [
        lambda stack, ref: stack.intents.app(ref),
        lambda stack, ref: stack.deployments.update(EVE, ref, AppDraft(name="x"), None, "r"),
        lambda stack, ref: stack.deployments.delete(EVE, ref, "r"),
        lambda stack, ref: stack.lifecycle.restart(EVE, ref, "r"),
    ],
)
async def test_what_belongs_to_somebody_else_is_not_found(stack, action):
    app = await stack.deploy(BOB)
    with pytest.raises(NotFound):
        await action(stack, AppRef("ueve", app.ref.app_id))


@pytest.mark.parametrize(
    "draft",
    [
        AppDraft(code=HELLO),
        AppDraft(name="", code=HELLO),
        AppDraft(name="x" * 61, code=HELLO),
        AppDraft(name="a\nb", code=HELLO),
        AppDraft(name="a\u202eb", code=HELLO),
        AppDraft(name="a\x00b", code=HELLO),
        AppDraft(name="x"),
        AppDraft(name="x", code=HELLO, files={}),
        AppDraft(name="x", code=HELLO, entrypoint="../x.py"),
        AppDraft(name="x", code=HELLO, env={"PATH": "/"}),
        AppDraft(name="x", code=HELLO, env={"A": "\x00"}),
        AppDraft(name="x", code="\ud800"),
        AppDraft(name="x", files={}),
        AppDraft(name="x", files={"../x.py": HELLO}),
        AppDraft(name="x", files={"a.py": HELLO, "a.py/b.py": ""}),
    ],
)
async def test_what_cannot_be_deployed_is_a_clear_refusal_and_no_commit(stack, draft):
    before = await stack.repo.head("main")
    with pytest.raises(InvalidRequest):
        await stack.deployments.create(BOB, draft, "r")
    assert await stack.repo.head("main") == before


async def test_two_updates_at_once_both_become_history(stack):
    app = await stack.deploy(BOB)
    await asyncio.gather(
        stack.deployments.update(BOB, app.ref, AppDraft(name="A"), None, "r"),
        stack.deployments.update(BOB, app.ref, AppDraft(code="# B\n" + HELLO), None, "r"),
    )
    now = await stack.intents.app(app.ref)
    assert now.name == "A"
    assert now.texts()["user_code.py"].startswith("# B")
