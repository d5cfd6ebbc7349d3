"""The audit log: everybody's commits, found by whom, of what, and when; from the index alone."""

from datetime import UTC, datetime

import pytest

from api.clients.commit_index import AuditFilter
from api.errors import InvalidRequest
from tests.history.people import MALLORY
from tests.publishing.stack import account, folder

BOB, EVE = account("ubob"), account("ueve")


@pytest.fixture
async def three(stack, people) -> list[str]:
    """A deploy of Bob's, an edit of it by hand, a deploy of Eve's: their commits, oldest first."""
    app = await stack.deploy(BOB)
    by_hand = people.push(
        {f"{folder(app.ref)}/code/b.py": b""}, "Help Bob\n", author=MALLORY, at=2_000_000_000
    )
    eves = await stack.deploy(EVE, "Two")
    return [app.commit, by_hand, eves.commit]


async def found(stack, **wanted) -> list[str]:
    page = await stack.history.audit(AuditFilter(**wanted), None, 100)
    return [commit.commit for commit in page.commits]


async def test_everything_is_there_newest_first(stack, people, three):
    assert await found(stack) == people.git("rev-list", "main")
    page = await stack.history.audit(AuditFilter(), None, 2)
    assert [(c.by.name, c.by.action, c.app_count) for c in page.commits] == [
        ("name-ueve", "deploy", 1),
        ("Mallory", "edit", 1),
    ]
    assert {ref.user_id for c in page.commits for ref in c.apps} == {"ubob", "ueve"}
    older = await stack.history.audit(AuditFilter(), page.next, 100)
    assert [c.commit for c in older.commits] == people.git("rev-list", "main")[2:]
    assert older.next is None


async def test_filters_go_together(stack, people, three):
    bobs, by_hand, eves = three
    app_id = (await stack.intents.apps("ubob"))[0].ref.app_id
    assert await found(stack, parties=("ubob",)) == [by_hand, bobs]
    assert await found(stack, parties=("Mallory",)) == [by_hand]
    assert await found(stack, parties=("name-ueve", "ueve")) == [eves]
    assert await found(stack, app_id=app_id) == [by_hand, bobs]
    assert await found(stack, action="deploy") == [eves, bobs]
    assert await found(stack, action="deploy", parties=("ubob",)) == [bobs]
    then = datetime.fromtimestamp(2_000_000_000, UTC)
    assert await found(stack, since=then) == [by_hand]
    assert by_hand not in await found(stack, until=then)
    assert await found(stack, since=then, until=then) == []
    assert await found(stack, parties=("nobody",)) == []


async def test_commits_about_a_tenant_as_a_whole_are_found_by_the_tenant(stack, people, three):
    tenant = f"{folder((await stack.intents.apps('ubob'))[0].ref).rpartition('/')[0]}/tenant.yaml"
    commit = people.push({tenant: b"x"}, "Change the tenant")
    assert (await found(stack, parties=("ubob",)))[0] == commit


async def test_a_commit_of_many_apps_shows_some_and_counts_the_rest(stack, people):
    await stack.deploy(BOB)
    shard = folder((await stack.intents.apps("ubob"))[0].ref).rpartition("/")[0]
    people.push({f"{shard}/app-{n:03}/app.yaml": b"" for n in range(150)})
    (newest,) = (await stack.history.audit(AuditFilter(), None, 1)).commits
    assert (len(newest.apps), newest.app_count) == (100, 150)


async def test_an_unknown_place_to_go_on_from_is_refused(stack, three):
    for before in ("nonsense", "0" * 40, three[0][:20], ""):
        with pytest.raises(InvalidRequest, match="no page before"):
            await stack.history.audit(AuditFilter(), before, 5)
