"""The decision, from values alone: publish, hold, withdraw."""

from datetime import UTC, datetime

import pytest

from api.domain.publication import (
    Accepted,
    Checked,
    Entries,
    Hold,
    Target,
    decide,
    is_up_to_date,
)
from api.domain.repo_layout import AppFile, Block, TakenDown, TenantFile
from api.domain.source_check import Diagnostic

BORN = datetime(2026, 1, 1, tzinfo=UTC)
TENANT = TenantFile(user="u1", username="bob", created=BORN)
SUSPENDED = TENANT.model_copy(update={"suspended": Block(by="root", reason="spam")})
TAKEN_DOWN = TENANT.model_copy(
    update={"taken_down": (TakenDown(by="root", reason="miner", app_id="a1"),)}
)
APP = AppFile(id="a1", user="u1", name="One")
ASLEEP = APP.model_copy(update={"state": "hibernated"})
OLD = Entries("a0", "c0", "o0")
NEW = Entries("a1", "c1", "o0")
REFUSAL = Diagnostic("user_code.py", 1, 1, 1, 10, "error", "import", "no os", "hint")
WARNING = Diagnostic("user_code.py", 1, 1, 1, 10, "warning", "unused", "unused", "hint")


def refused(entries=NEW, app=APP) -> Checked:
    return Checked(entries, app, (WARNING, REFUSAL))


def passed(entries=NEW, app=APP) -> Checked:
    return Checked(entries, app, (WARNING,))


def test_what_passes_is_published():
    assert decide(passed(), (), None, TENANT) == (Target(NEW, APP, False, True), None)


def test_what_is_refused_is_held_and_the_accepted_version_stays():
    target, hold = decide(refused(), (), passed(OLD), TENANT)
    assert target == Target(OLD, APP, False, True)
    assert hold == Hold((REFUSAL,))
    assert hold.first is REFUSAL


def test_what_was_never_accepted_is_only_held():
    assert decide(refused(), (), None, TENANT) == (None, Hold((REFUSAL,)))


def test_the_newest_older_intent_that_passes_is_published_instead():
    better = Entries("a1", "c2", "o0")
    older = [refused(Entries("a1", "c3")), passed(better), passed(Entries("a1", "c4"))]
    target, hold = decide(refused(), older, passed(OLD), TENANT)
    assert target.entries == better
    assert hold


@pytest.mark.parametrize("before", [APP, ASLEEP])
@pytest.mark.parametrize("wanted", [APP, ASLEEP])
def test_state_and_restarts_of_a_valid_app_file_are_honoured_both_ways(before, wanted):
    wanted = wanted.model_copy(update={"restarted_at": BORN, "name": "Refused with the rest"})
    target, hold = decide(refused(app=wanted), (), passed(OLD, before), TENANT)
    assert target.running is (wanted.state == "running")
    assert (target.app.state, target.app.restarted_at) == (wanted.state, BORN)
    assert target.app.name == before.name
    assert target.patched
    assert hold


def test_a_refused_app_file_changes_nothing():
    target, hold = decide(refused(app=None), (), passed(OLD, ASLEEP), TENANT)
    assert target == Target(OLD, ASLEEP, False, False)
    assert hold


@pytest.mark.parametrize("tenant", [SUSPENDED, TAKEN_DOWN])
@pytest.mark.parametrize("newest", [passed(), refused(), refused(app=None)])
def test_what_is_stopped_does_not_run_whatever_the_check_says(tenant, newest):
    target, _ = decide(newest, (), passed(OLD), tenant)
    assert not target.running


def test_a_take_down_stops_no_other_app():
    other = APP.model_copy(update={"id": "a2"})
    assert decide(passed(app=other), (), None, TAKEN_DOWN)[0].running


def test_an_unfinished_check_holds_and_says_that_it_is_tried_again():
    unknown = Checked(NEW, None, (REFUSAL,), unknown=True)
    target, hold = decide(unknown, (), passed(OLD), TENANT)
    assert target.entries == OLD
    assert hold.unknown


@pytest.mark.parametrize(
    ("accepted", "tenant", "expected"),
    [
        (Accepted(NEW, running=True), TENANT, True),
        (Accepted(OLD, running=True), TENANT, False),
        (Accepted(NEW, running=False), TENANT, False),
        (Accepted(NEW, running=True), SUSPENDED, False),
        (Accepted(NEW, running=False), SUSPENDED, True),
    ],
)
def test_up_to_date_is_a_comparison_of_objects_and_of_the_route(accepted, tenant, expected):
    assert is_up_to_date(NEW, APP, tenant, accepted) is expected


def test_entries_that_are_all_absent_are_no_intent():
    assert not Entries()
    assert Entries(code="c")
