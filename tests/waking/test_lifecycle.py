"""Sleep, wake and pin: each a commit that changes one line, and what it leaves alone."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from api.domain.commit_message import COMMITTER, VISITOR, intent_message, trailers
from api.domain.drafts import AppDraft
from api.domain.names import AppRef
from api.domain.repo_layout import TenantFile, dump, tenant_folder
from api.errors import Conflict, Gone, InvalidRequest, NotFound, StaleBase
from api.lifecycle import Lifecycle
from api.resting import RESERVED, Resting
from tests.publishing.stack import FORBIDDEN, HELLO, account, folder

BOB, EVE = account("ubob"), account("ueve")


def clean_up(people, *refs):
    """Remove apps as the cleanup does."""
    message = intent_message("cleanup", refs, "idle")
    edits = {folder(ref): None for ref in refs}
    return people.push(edits, message, author=COMMITTER, committer=COMMITTER, at=now())


def now() -> int:
    return int(datetime.now(UTC).timestamp())


async def is_routed(stack, ref) -> bool:
    return "generated/ingressroute.yaml" in await stack.published(ref)


async def replicas(stack, ref) -> str:
    text = (await stack.published(ref))["generated/deployment.yaml"].decode()
    return next(line for line in text.splitlines() if "replicas:" in line).strip()


async def test_a_sleeping_app_has_no_replicas_and_no_route_and_a_wake_brings_both_back(stack):
    app = await stack.deploy(BOB)
    asleep = await stack.lifecycle.hibernate(BOB, app.ref, "r-1")
    assert (asleep.file.state, asleep.files) == ("hibernated", app.files)
    assert await replicas(stack, app.ref) == "replicas: 0"
    assert not await is_routed(stack, app.ref)
    assert (await stack.resting.look(app.ref)).state == "asleep"

    awake = await stack.lifecycle.wake(BOB, app.ref, "r-2")
    assert awake.file == app.file
    assert await replicas(stack, app.ref) == "replicas: 1"
    assert await is_routed(stack, app.ref)
    info = await stack.repo.info(awake.commit)
    assert info.message.startswith(f"wake {app.ref.app_id}: One\n")
    assert trailers(info.message)["Action"] == ["wake"]
    assert trailers(info.message)["Request-Id"] == ["r-2"]
    assert info.author.name == "name-ubob"


async def test_what_is_so_already_makes_no_commit(stack):
    app = await stack.deploy(BOB)
    assert (await stack.lifecycle.wake(BOB, app.ref, "r")).commit == app.commit
    assert (await stack.lifecycle.unpin(BOB, app.ref, "r")).commit == app.commit
    woken = [stack.lifecycle.hibernate(BOB, app.ref, "r") for _ in range(3)]
    assert len({asleep.commit for asleep in await asyncio.gather(*woken)}) == 1


async def test_a_visitor_wakes_in_a_name_of_their_own_and_history_says_so(stack):
    app = await stack.deploy(BOB)
    await stack.lifecycle.hibernate(BOB, app.ref, "r")
    woken = await stack.lifecycle.wake(BOB, app.ref, "r", by=VISITOR)
    newest = (await stack.history.page(app.ref, None, 1)).entries[0].commit
    assert (newest.commit, newest.action) == (woken.commit, "wake")
    assert (newest.by.kind, newest.by.name) == ("visitor", "A visitor")


async def test_an_app_that_the_cleanup_removed_comes_back_as_it_was_when_it_is_woken(stack, people):
    app = await stack.deploy(BOB)
    await stack.lifecycle.hibernate(BOB, app.ref, "r")
    clean_up(people, app.ref)
    await stack.look()
    assert (await stack.resting.look(app.ref)).state == "removed"
    woken = await stack.lifecycle.wake(BOB, app.ref, "r", by=VISITOR)
    assert (woken.files, woken.file) == (app.files, app.file)
    info = await stack.repo.info(woken.commit)
    assert trailers(info.message)["Action"] == ["wake"]
    assert info.author == VISITOR
    assert await is_routed(stack, app.ref)


async def test_a_visitor_wakes_also_where_the_owner_has_no_account(stack, people):
    asleep, removed = await stack.deploy(BOB, "Asleep"), await stack.deploy(BOB, "Removed")
    await stack.lifecycle.hibernate(BOB, asleep.ref, "r")
    clean_up(people, removed.ref)
    for app in (asleep, removed):
        woken = await stack.lifecycle.wake(None, app.ref, "r", by=VISITOR)
        assert woken.file == app.file


async def test_an_app_that_its_owner_deleted_does_not_wake(stack):
    app = await stack.deploy(BOB)
    await stack.deployments.delete(BOB, app.ref, "r")
    assert (await stack.resting.look(app.ref)).state == "deleted"
    with pytest.raises(Gone, match="deleted"):
        await stack.lifecycle.wake(BOB, app.ref, "r")
    assert (await stack.rollbacks.restore(BOB, app.ref, "r")).files == app.files


@pytest.mark.parametrize("name", ["hibernate", "wake", "pin", "unpin"])
async def test_nobody_touches_another_persons_app(stack, name):
    app = await stack.deploy(BOB)
    with pytest.raises(NotFound):
        await getattr(stack.lifecycle, name)(EVE, AppRef("ueve", app.ref.app_id), "r")


async def test_a_held_app_sleeps_and_wakes_with_the_version_that_was_accepted(stack, people):
    app = await stack.deploy(BOB)
    await stack.lifecycle.hibernate(BOB, app.ref, "r")
    people.push({f"{folder(app.ref)}/code/user_code.py": FORBIDDEN.encode()}, at=now())
    await stack.look()
    await stack.lifecycle.wake(BOB, app.ref, "r")
    assert await is_routed(stack, app.ref)
    published = await stack.published(app.ref)
    assert published["code/user_code.py"] == app.files["user_code.py"]


async def test_settings_that_cannot_be_read_are_not_written_over(stack, people):
    app = await stack.deploy(BOB)
    people.push({f"{folder(app.ref)}/app.yaml": b"state: [\n"}, at=now())
    with pytest.raises(InvalidRequest, match=r"app\.yaml"):
        await stack.lifecycle.hibernate(BOB, app.ref, "r")


async def test_pinning_restarts_nothing_and_stops_at_the_limit(stack):
    one, two = await stack.deploy(BOB, "One"), await stack.deploy(BOB, "Two")
    before = (await stack.published(one.ref))["generated/deployment.yaml"]
    pinned = await stack.lifecycle.pin(BOB, one.ref, "r")
    assert pinned.file.pinned
    assert (await stack.published(one.ref))["generated/deployment.yaml"] == before
    with pytest.raises(Conflict, match="may pin 1") as refused:
        await stack.lifecycle.pin(BOB, two.ref, "r")
    assert refused.value.code == "pin_limit"
    await stack.lifecycle.unpin(BOB, one.ref, "r")
    assert (await stack.lifecycle.pin(BOB, two.ref, "r")).file.pinned
    assert (await stack.deploy(EVE)).file.pinned is False


async def test_the_limit_of_pinned_apps_holds_in_a_race(stack):
    apps = [await stack.deploy(BOB, name) for name in ("One", "Two", "Three")]
    pins = [stack.lifecycle.pin(BOB, app.ref, "r") for app in apps]
    answers = await asyncio.gather(*pins, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == [
        "Conflict",
        "Conflict",
        "StoredApp",
    ]


async def test_a_platform_without_pins_says_so(stack):
    app = await stack.deploy(BOB)
    none = Lifecycle(
        stack.repo, stack.intents, stack.resting, stack.deployments, stack.rollbacks, max_pinned=0
    )
    with pytest.raises(Conflict) as refused:
        await none.pin(BOB, app.ref, "r")
    assert "Administrators" in refused.value.hint


async def test_removed_apps_are_listed_with_name_and_reason_and_never_anothers(stack, people):
    idle, deleted = await stack.deploy(BOB, "Idle"), await stack.deploy(BOB, "Deleted")
    kept, theirs = await stack.deploy(BOB, "Kept"), await stack.deploy(EVE, "Theirs")
    removal = clean_up(people, idle.ref, theirs.ref)
    await stack.deployments.delete(BOB, deleted.ref, "r")
    found = await stack.resting.removed("ubob")
    assert [(app.ref, app.name, app.idle) for app in found] == [
        (deleted.ref, "Deleted", False),
        (idle.ref, "Idle", True),
    ]
    assert found[1].removal.commit == removal
    assert found[1].reserved_until == found[1].removal.at + RESERVED
    assert [app.ref for app in await stack.resting.removed("ueve")] == [theirs.ref]
    await stack.rollbacks.restore(BOB, idle.ref, "r")
    assert [app.ref for app in await stack.resting.removed("ubob")] == [deleted.ref]
    assert kept.ref not in [app.ref for app in found]


async def test_after_thirty_days_a_visit_does_not_wake_and_the_id_is_still_its_owners(
    stack, people
):
    app = await stack.deploy(BOB)
    clean_up(people, app.ref)
    for days, state, listed in ((29, "removed", 1), (31, "deleted", 0)):
        then = datetime.now(UTC) + timedelta(days=days)
        resting = Resting(stack.repo, stack.intents, stack.history, lambda then=then: then)
        assert (await resting.look(app.ref)).state == state
        assert len(await resting.removed("ubob")) == listed
    path = f"{tenant_folder('ueve', 2)}/{app.ref.app_id}/app.yaml"
    await stack.deploy(EVE)
    people.push({path: dump(app.file.model_copy(update={"user": "ueve"}))}, at=now())
    await stack.look()
    assert stack.hold(AppRef("ueve", app.ref.app_id))
    assert (await stack.rollbacks.restore(BOB, app.ref, "r")).files == app.files


async def test_what_an_administrator_stopped_is_suspended_wherever_it_stands(stack, people):
    app = await stack.deploy(BOB)
    tenant = await stack.repo.read(
        await stack.intents.tip(), f"{tenant_folder('ubob', 2)}/tenant.yaml"
    )
    assert tenant
    stopped = TenantFile.model_validate(
        {
            "user": "ubob",
            "username": "name-ubob",
            "created": datetime.now(UTC),
            "suspended": {"by": "root", "reason": "spam"},
        }
    )
    people.push({f"{tenant_folder('ubob', 2)}/tenant.yaml": dump(stopped)}, at=now())
    assert (await stack.resting.look(app.ref)).state == "suspended"
    clean_up(people, app.ref)
    assert (await stack.resting.look(app.ref)).state == "suspended"


@pytest.mark.parametrize("app_id", ["nothing-here", "a"])
async def test_an_id_that_was_never_used_is_unknown(stack, app_id):
    await stack.deploy(BOB)
    assert (await stack.resting.look(AppRef("ubob", app_id))).state == "unknown"
    with pytest.raises(NotFound):
        await stack.lifecycle.wake(BOB, AppRef("ubob", app_id), "r")


async def test_whoever_was_editing_while_the_app_slept_and_woke_deploys_without_a_conflict(stack):
    app = await stack.deploy(BOB)
    await stack.lifecycle.hibernate(BOB, app.ref, "r")
    await stack.lifecycle.wake(BOB, app.ref, "r", by=VISITOR)
    await stack.lifecycle.pin(BOB, app.ref, "r")
    draft = AppDraft(code=HELLO + "# more\n")
    updated = await stack.deployments.update(BOB, app.ref, draft, app.commit, "r")
    assert updated.file.pinned
    with pytest.raises(StaleBase):
        await stack.deployments.update(BOB, app.ref, AppDraft(name="Two"), app.commit, "r")
