"""The contract of the store; every implementation runs through all of it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from api.clients.sqlite import SqliteDatabase
from api.clients.sqlite_store import SCHEMA, SqliteStore
from api.clients.store import (
    Account,
    EmailTaken,
    IdempotentRequest,
    Invitation,
    InvitationInvalid,
    Lease,
    Store,
    Suspension,
    UserIdTaken,
    UsernameTaken,
)
from api.domain.names import AppRef
from api.opening import open_mongo_store

NOW = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
DAY = timedelta(days=1)
ADA = Account("u1", "Ada", "Ada@example.org", "hash", NOW)
BOB = Account("u2", "bob", "bob@example.org", "hash", NOW, is_admin=True, token_version=3)


@pytest.fixture(params=["sqlite", "mongodb"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "sqlite":
        async with SqliteDatabase.open(tmp_path / "store.sqlite3", SCHEMA) as database:
            yield SqliteStore(database)
    else:
        async with open_mongo_store(SecretStr(request.getfixturevalue("mongo_uri"))) as opened:
            yield opened


async def test_an_account_is_found_by_id_name_and_address_in_any_case(store: Store):
    assert not await store.has_accounts()
    assert await store.add_account(ADA) == ADA
    assert await store.has_accounts()
    for found in (
        await store.account("u1"),
        await store.account_named("ada"),
        await store.account_named("ADA"),
        await store.account_with_email("ADA@EXAMPLE.org"),
    ):
        assert found == ADA
    assert await store.account("ada") is None
    assert await store.account_named("u1") is None
    assert await store.account_named("") is None


async def test_names_and_addresses_are_unique_also_in_a_race(store: Store):
    await store.add_account(ADA)
    with pytest.raises(UsernameTaken):
        await store.add_account(replace(BOB, username="ADA"))
    with pytest.raises(EmailTaken):
        await store.add_account(replace(BOB, email="ada@EXAMPLE.org"))
    results = await asyncio.gather(
        *(store.add_account(replace(BOB, user_id=f"u{n}")) for n in range(10, 40)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Account) for result in results) == 1
    assert {type(r) for r in results} <= {Account, UsernameTaken, EmailTaken}
    assert len(await store.accounts()) == 2


async def test_of_a_hundred_of_one_name_at_once_one_is_added(store: Store):
    results = await asyncio.gather(
        *(store.add_account(replace(ADA, user_id=f"u{n}", email=f"{n}@x.org")) for n in range(100)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Account) for result in results) == 1
    assert sum(isinstance(result, UsernameTaken) for result in results) == 99
    assert len(await store.accounts()) == 1


async def test_an_id_is_one_accounts_alone_and_can_be_given(store: Store):
    await store.add_account(ADA)
    await store.add_account(BOB)
    with pytest.raises(UserIdTaken):
        await store.add_account(replace(ADA, username="eve", email="eve@example.org"))
    with pytest.raises(UserIdTaken):
        await store.set_user_id("u1", "u2")
    assert await store.account("u1") == ADA
    given = await store.set_user_id("u1", "old")
    # Tokens of a lost account that had the id stay ended, whatever its version was.
    assert given.token_version > 1_000_000_000
    assert given == replace(ADA, user_id="old", token_version=given.token_version)
    assert await store.account("u1") is None
    assert await store.account_named("ada") == given
    assert await store.account("u2") == BOB
    assert await store.set_user_id("u9", "u8") is None
    # The id that was given up is free for another.
    await store.add_account(replace(ADA, username="eve", email="eve@example.org"))


async def test_only_the_first_account_of_all_becomes_administrator(store: Store):
    people = [
        replace(ADA, user_id=f"u{n}", username=f"p{n}", email=f"p{n}@example.org")
        for n in range(20)
    ]
    added = await asyncio.gather(*(store.add_account(p, first_is_admin=True) for p in people))
    assert sum(account.is_admin for account in added) == 1
    assert sum(account.is_admin for account in await store.accounts()) == 1


async def test_accounts_come_by_the_page(store: Store):
    for number in range(5):
        name = f"p{number}"
        await store.add_account(
            replace(ADA, user_id=f"u{number}", username=name, email=f"{name}@example.org")
        )
    first = await store.accounts(limit=3)
    rest = await store.accounts(after=first[-1].user_id, limit=3)
    assert [a.user_id for a in (*first, *rest)] == ["u0", "u1", "u2", "u3", "u4"]
    assert await store.accounts(after="u4") == []


async def test_a_new_password_raises_the_version_and_only_replaces_the_known_one(store: Store):
    await store.add_account(ADA)
    changed = await store.set_password("u1", "second")
    assert changed == replace(ADA, password_hash="second", token_version=2)
    assert await store.set_password("u1", "third", replacing="hash") is None
    third = await store.set_password("u1", "third", replacing="second")
    assert third is not None
    assert third.token_version == 3
    assert await store.account("u1") == third
    assert await store.set_password("u9", "x") is None


async def test_sessions_suspension_and_rank_change_one_account_only(store: Store):
    await store.add_account(ADA)
    await store.add_account(BOB)
    suspension = Suspension("root", "Because.", NOW)
    assert await store.end_sessions("u1") == replace(ADA, token_version=2)
    suspended = await store.set_suspension("u1", suspension)
    assert suspended == replace(ADA, token_version=3, suspension=suspension)
    assert await store.account("u1") == suspended
    freed = await store.set_suspension("u1", None)
    assert freed == replace(ADA, token_version=3)
    admin = await store.set_admin("u1", is_admin=True)
    assert admin is not None
    assert admin.is_admin
    assert await store.account("u2") == BOB
    assert await store.end_sessions("u9") is None
    assert await store.set_suspension("u9", suspension) is None
    assert await store.set_admin("u9", is_admin=True) is None


async def test_an_invitation_is_used_once_in_time_and_only_by_who_got_in(store: Store):
    await store.add_invitation(Invitation("code", "root", NOW - DAY, NOW + DAY))
    await store.add_invitation(Invitation("old", "root", NOW - 3 * DAY, NOW))
    with pytest.raises(InvitationInvalid):
        await store.add_account(ADA, invitation="old")
    with pytest.raises(InvitationInvalid):
        await store.add_account(ADA, invitation="invented")
    assert not await store.has_accounts()
    await store.add_account(BOB)
    with pytest.raises(UsernameTaken):
        await store.add_account(replace(ADA, username="Bob"), invitation="code")
    await store.add_account(ADA, invitation="code")
    with pytest.raises(InvitationInvalid):
        await store.add_account(
            replace(ADA, user_id="u3", username="eve", email="e@example.org"), invitation="code"
        )
    newest, oldest = await store.invitations()
    assert (newest.code_hash, newest.used_by) == ("code", "u1")
    assert oldest == Invitation("old", "root", NOW - 3 * DAY, NOW)


async def test_of_many_who_use_one_invitation_at_once_one_gets_in(store: Store):
    await store.add_invitation(Invitation("code", "root", NOW - DAY, NOW + DAY))
    people = [
        replace(ADA, user_id=f"u{n}", username=f"p{n}", email=f"p{n}@example.org")
        for n in range(30)
    ]
    results = await asyncio.gather(
        *(store.add_account(person, invitation="code") for person in people),
        return_exceptions=True,
    )
    assert sum(isinstance(result, InvitationInvalid) for result in results) == 29
    [account] = await store.accounts()
    [invitation] = await store.invitations()
    assert invitation.used_by == account.user_id


async def test_an_account_and_an_invitation_are_kept_whole(store: Store):
    suspended = replace(BOB, suspension=Suspension("root", "Because.", NOW))
    assert await store.add_account(suspended) == suspended
    assert await store.account("u2") == suspended
    used = Invitation("code", "root", NOW - DAY, NOW + DAY, used_by="u2")
    await store.add_invitation(used)
    assert await store.invitations() == [used]
    with pytest.raises(InvitationInvalid):
        await store.add_account(ADA, invitation="code")


async def test_one_of_many_claims_of_a_key_wins_and_all_see_it(store: Store):
    claims = [IdempotentRequest("digest", f'{{"app_id": "a{n}"}}', NOW) for n in range(20)]
    seen = await asyncio.gather(
        *(store.claim_key("u1", "key", claim, expired=NOW - DAY) for claim in claims)
    )
    assert len(set(seen)) == 1
    assert seen[0] in claims
    # The same key of another tenant is another key.
    other = await store.claim_key("u2", "key", claims[7], expired=NOW - DAY)
    assert other == claims[7]


async def test_an_answered_key_keeps_its_answer_until_it_expires(store: Store):
    claim = IdempotentRequest("digest", "{}", NOW)
    await store.claim_key("u1", "key", claim, expired=NOW - DAY)
    await store.answer_key("u1", "key", status=202, body='{"commit": "c"}')
    await store.free_key("u1", "key")  # only what is unanswered can be freed
    again = await store.claim_key("u1", "key", claim, expired=NOW - DAY)
    assert again == IdempotentRequest("digest", '{"commit": "c"}', NOW, 202)
    later = replace(claim, created_at=NOW + 2 * DAY)
    assert await store.claim_key("u1", "key", later, expired=NOW + DAY) == later


async def test_a_freed_key_can_be_claimed_anew(store: Store):
    first = IdempotentRequest("one", "{}", NOW)
    second = IdempotentRequest("two", "{}", NOW)
    await store.claim_key("u1", "key", first, expired=NOW - DAY)
    await store.free_key("u2", "key")
    assert await store.claim_key("u1", "key", second, expired=NOW - DAY) == first
    await store.free_key("u1", "key")
    assert await store.claim_key("u1", "key", second, expired=NOW - DAY) == second


async def test_activity_only_moves_forward_and_belongs_to_one_app(store: Store):
    mine, others = AppRef("u1", "shop"), AppRef("u2", "shop")
    await store.touch(mine, NOW)
    await store.touch(mine, NOW - DAY)
    await store.touch(others, NOW + DAY)
    assert await store.last_activity([mine]) == {mine: NOW}
    many = [mine, others, *(AppRef("u1", f"a{n}") for n in range(5000))]
    assert await store.last_activity(many) == {mine: NOW, others: NOW + DAY}
    assert await store.last_activity([]) == {}
    await store.forget_app(mine)
    assert await store.last_activity(many) == {others: NOW + DAY}


async def test_the_use_of_many_apps_is_written_at_once_and_only_moves_forward(store: Store):
    refs = [AppRef("u1", f"a{n}") for n in range(2500)]
    minute = NOW.replace(second=0, microsecond=0)
    await store.touch(refs[0], NOW + DAY)
    await store.touch(refs[1], NOW)  # in the same minute
    await store.touch_many(refs, NOW)
    expected = dict.fromkeys(refs, minute) | {refs[0]: NOW + DAY, refs[1]: NOW}
    assert await store.last_activity(refs) == expected
    await store.touch_many(refs[1:3], NOW - DAY)
    assert await store.last_activity(refs) == expected
    await store.touch_many(refs[1:3], NOW + DAY)
    later = await store.last_activity(refs[:3])
    assert later == {refs[0]: NOW + DAY, refs[1]: minute + DAY, refs[2]: minute + DAY}
    await store.touch_many([], NOW)


async def test_many_who_write_the_use_of_new_apps_at_once_leave_none_out(store: Store):
    refs = [AppRef("u1", f"a{n}") for n in range(50)]
    moments = [NOW + n * timedelta(minutes=1) for n in range(8)]
    await asyncio.gather(*(store.touch_many(refs, at) for at in moments))
    written = {at.replace(second=0, microsecond=0) for at in moments}
    kept = await store.last_activity(refs)
    assert kept.keys() == set(refs)
    # Which of them is the last, only a server with atomic updates decides: FerretDB has none.
    assert set(kept.values()) <= written
    if isinstance(store, SqliteStore):
        assert set(kept.values()) == {max(written)}


async def test_a_note_is_what_was_kept_last(store: Store):
    assert await store.note("one") is None
    await asyncio.gather(*(store.keep_note("one", "first") for _ in range(8)))
    await store.keep_note("two", "")
    await store.keep_note("one", "é 'second'")
    assert await store.note("one") == "é 'second'"
    assert await store.note("two") == ""


async def test_times_of_other_zones_are_the_same_moments(store: Store):
    ref = AppRef("u1", "shop")
    east = NOW.astimezone(tz=datetime.fromisoformat("2026-01-01T00:00:00+09:00").tzinfo)
    await store.touch(ref, east + timedelta(minutes=1))
    await store.touch(ref, NOW)
    assert (await store.last_activity([ref]))[ref] == NOW + timedelta(minutes=1)


async def test_any_text_is_kept_as_it_is(store: Store):
    hostile = "a'; DROP TABLE accounts; --\0\n\u2028😀"
    await store.add_account(replace(ADA, password_hash=hostile))
    kept = await store.set_suspension("u1", Suspension(hostile, hostile, NOW))
    assert kept is not None
    assert (kept.password_hash, kept.suspension) == (hostile, Suspension(hostile, hostile, NOW))
    assert await store.account_named(hostile) is None


async def test_a_healthy_store_says_so(store: Store):
    await store.check()


MINUTE = timedelta(minutes=1)


def lease(holder: str, *, minutes: int = 1, name: str = "cleanup") -> Lease:
    return Lease(name, holder, NOW + minutes * MINUTE)


async def test_a_lease_is_one_holders_until_it_expires_and_can_be_renewed(store: Store):
    assert await store.take_lease(lease("a"), now=NOW) == lease("a")
    assert await store.take_lease(lease("b"), now=NOW) == lease("a")
    assert await store.take_lease(lease("b", name="other"), now=NOW) == lease("b", name="other")
    assert await store.take_lease(lease("a", minutes=2), now=NOW) == lease("a", minutes=2)
    before = NOW + 2 * MINUTE - timedelta(microseconds=1)
    assert await store.take_lease(lease("b", minutes=3), now=before) == lease("a", minutes=2)
    expired = NOW + 2 * MINUTE
    assert await store.take_lease(lease("b", minutes=3), now=expired) == lease("b", minutes=3)
    assert await store.take_lease(lease("a", minutes=4), now=expired) == lease("b", minutes=3)


async def test_only_its_holder_ends_a_lease(store: Store):
    await store.end_lease("cleanup", "a")
    await store.take_lease(lease("a"), now=NOW)
    await store.end_lease("cleanup", "b")
    assert await store.take_lease(lease("b"), now=NOW) == lease("a")
    await store.end_lease("cleanup", "a")
    assert await store.take_lease(lease("b"), now=NOW) == lease("b")


async def test_of_many_who_take_a_lease_at_once_one_gets_it(store: Store):
    for minutes in range(5):  # free at first, then expired
        now = NOW + minutes * MINUTE
        holders = [lease(f"{minutes}-{n}", minutes=minutes + 1) for n in range(20)]
        seen = await asyncio.gather(*(store.take_lease(wanted, now=now) for wanted in holders))
        assert len(set(seen)) == 1
        assert seen[0] in holders


async def test_two_never_have_a_lease_however_they_take_renew_and_end_it(store: Store):
    inside: list[str] = []
    turns = 0

    async def worker(holder: str) -> None:
        nonlocal turns
        while turns < 30:
            mine = lease(holder)
            if await store.take_lease(mine, now=NOW) != mine:
                continue
            inside.append(holder)
            turns += 1
            await asyncio.sleep(0)
            assert await store.take_lease(mine, now=NOW) == mine
            assert inside == [holder]
            inside.remove(holder)
            await store.end_lease("cleanup", holder)

    async with asyncio.timeout(60):
        await asyncio.gather(*(worker(f"h{n}") for n in range(6)))
