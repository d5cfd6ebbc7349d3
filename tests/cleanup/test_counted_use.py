"""Use of apps as routers count it: baselines, restarts, holes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.activity import (
    Knowledge,
    Reading,
    app_of,
    dump_counters,
    dump_knowledge,
    learn,
    load_knowledge,
    stopped,
)
from api.domain.names import AppRef

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SHOP, BLOG = AppRef("u1", "shop"), AppRef("u2", "blog")


def reading(counts, process="100.5", address="10.0.0.1:9100") -> Reading:
    return Reading(address, process, counts)


def known_after(*rounds, silent=()) -> Knowledge:
    known = Knowledge()
    for number, readings in enumerate(rounds):
        known, _ = learn(known, readings, dict.fromkeys(silent, "away"), NOW + number * MINUTE)
    return known


def test_a_service_belongs_to_the_app_in_its_name():
    assert app_of("user-u1_shop_1_lb@kubernetescrd") == SHOP
    assert app_of("u1_shop_0@file") == SHOP
    assert app_of("user-a-b_c-d_0_lb@kubernetescrd") == AppRef("a-b", "c-d")


@pytest.mark.parametrize(
    "service",
    [
        "user-u1-shop-6f97418635c7e18853da@kubernetescrd",  # without safe naming: ambiguous
        "fastapi-platform_frontend_0_lb@kubernetescrd",
        "user-u1_shop_1_wrr_x@kubernetescrd",
        "u1_shop_0@docker",
        "prometheus@internal",
        "user-_shop_1_lb@kubernetescrd",
        "U1_shop_0@file",
        "",
    ],
)
def test_other_services_are_no_app(service):
    assert app_of(service) is None


def test_a_counter_that_moved_is_use_and_one_that_stands_is_not():
    known = known_after([reading({SHOP: 3, BLOG: 7})])
    after, used = learn(known, [reading({SHOP: 3, BLOG: 8})], {}, NOW + MINUTE)
    assert used == {BLOG}
    _, used = learn(after, [reading({SHOP: 3, BLOG: 8})], {}, NOW + 2 * MINUTE)
    assert used == frozenset()


def test_what_was_counted_before_the_first_reading_is_use_at_that_reading():
    known, used = learn(Knowledge(), [reading({SHOP: 1, BLOG: 0})], {}, NOW)
    assert used == {SHOP}
    assert known.blind.until == NOW  # whoever was used before that is not known
    assert known.unreliable(NOW) is None


def test_a_counter_of_a_route_that_was_away_begins_anew():
    known = known_after([reading({SHOP: 9})], [reading({})])
    _, used = learn(known, [reading({SHOP: 2})], {}, NOW + 2 * MINUTE)
    assert used == {SHOP}
    known = known_after([reading({SHOP: 9})])
    _, used = learn(known, [reading({SHOP: 2})], {}, NOW + MINUTE)
    assert used == {SHOP}


def test_a_router_that_was_started_anew_leaves_a_hole_since_its_last_reading():
    known = known_after([reading({SHOP: 3})], [reading({SHOP: 3})])
    after, used = learn(known, [reading({BLOG: 1}, process="200")], {}, NOW + 4 * MINUTE)
    assert used == {BLOG}
    assert (after.blind.since, after.blind.until) == (NOW + MINUTE, NOW + 4 * MINUTE)
    assert "began to count anew" in after.blind.why


def test_a_router_that_is_gone_leaves_a_hole_and_one_more_leaves_none():
    two = [reading({SHOP: 3}), reading({SHOP: 1}, address="10.0.0.2:9100")]
    known = known_after([reading({SHOP: 3})])
    known, used = learn(known, two, {}, NOW + MINUTE)
    assert used == {SHOP}
    assert len(known.holes) == 1  # the one of the first reading of all
    known, used = learn(known, two[:1], {}, NOW + 2 * MINUTE)
    assert used == frozenset()
    assert known.blind.until == NOW + 2 * MINUTE


def test_a_router_that_is_silent_has_what_it_counted_meanwhile_in_its_next_answer():
    known = known_after([reading({SHOP: 3})])
    known, used = learn(known, [], {"10.0.0.1:9100": "away"}, NOW + MINUTE)
    assert used == frozenset()
    assert known.complete_at == NOW
    assert known.unreliable(NOW + MINUTE)
    known, used = learn(known, [reading({SHOP: 4})], {}, NOW + 2 * MINUTE)
    assert used == {SHOP}
    assert known.complete_at == NOW + 2 * MINUTE
    assert known.unreliable(NOW + 2 * MINUTE) is None
    assert len(known.holes) == 1


def test_while_a_routers_name_cannot_be_looked_up_the_routers_behind_it_have_not_ended():
    known = known_after([reading({SHOP: 3}), reading({BLOG: 1}, address="10.0.0.2:9100")])
    url = "http://routers:9100/metrics"
    known, used = learn(known, [], {url: "no such name"}, NOW + MINUTE)
    assert (len(known.holes), used, known.complete_at) == (1, frozenset(), NOW)
    known, used = learn(known, [reading({SHOP: 4})], {}, NOW + 2 * MINUTE)
    assert used == {SHOP}
    assert "10.0.0.2:9100 ended" in known.blind.why


def test_nobody_is_judged_without_a_reading_of_this_hour():
    assert "not counted" in Knowledge().unreliable(NOW)
    assert "no router" in known_after([]).unreliable(NOW)
    assert "router at a tells no counters: away" in known_after([], silent=["a"]).unreliable(NOW)
    known = known_after([reading({})])
    assert known.unreliable(NOW + 60 * MINUTE) is None
    assert "more than an hour" in known.unreliable(NOW + 61 * MINUTE)


def test_a_time_in_which_nobody_read_is_a_hole():
    known = known_after([reading({SHOP: 3})])
    late = NOW + timedelta(hours=3)
    known, _ = learn(known, [reading({SHOP: 3})], {}, late)
    assert (known.blind.since, known.blind.until) == (NOW, late)


def test_a_router_may_begin_and_end_unseen_in_six_minutes_and_not_in_five():
    known = known_after([reading({SHOP: 3})])
    soon, _ = learn(known, [reading({SHOP: 3})], {}, NOW + 5 * MINUTE)
    late, _ = learn(known, [reading({SHOP: 3})], {}, NOW + 6 * MINUTE)
    assert (soon.blind.until, late.blind.until) == (NOW, NOW + 6 * MINUTE)


def test_while_everything_was_stopped_nobody_had_to_read():
    known = stopped(known_after([reading({SHOP: 3})]), ["10.0.0.1:9100"])
    known, _ = learn(known, [reading({}, "300", "10.0.0.9:9100")], {}, NOW + 99 * MINUTE)
    assert len(known.holes) == 1


def test_a_process_that_ends_between_two_notes_loses_no_hole():
    before = known_after([reading({SHOP: 3})])
    after, _ = learn(before, [reading({}, "200")], {}, NOW + MINUTE)
    kept = load_knowledge(dump_knowledge(before), dump_counters(after.routers))
    known, _ = learn(kept, [reading({}, "200")], {}, NOW + 2 * MINUTE)
    assert known.blind.until == NOW + 2 * MINUTE


def test_a_router_that_was_stopped_after_its_reading_leaves_no_hole():
    known = stopped(known_after([reading({SHOP: 3})]), ["10.0.0.1:9100"])
    known, used = learn(known, [reading({}, "300", "10.0.0.9:9100")], {}, NOW + 5 * MINUTE)
    assert used == frozenset()
    assert len(known.holes) == 1


def test_what_is_kept_can_be_read_again_and_nonsense_is_as_good_as_nothing():
    known = stopped(known_after([reading({SHOP: 3})], [reading({}, "2")]), ["10.0.0.1:9100"])
    assert load_knowledge(dump_knowledge(known), dump_counters(known.routers)) == known
    assert load_knowledge(None, None) == Knowledge()
    assert load_knowledge("{", "[]") == Knowledge()
    assert load_knowledge('{"holes": [1]}', None) == Knowledge()


@given(
    rounds=st.lists(
        st.tuples(
            st.lists(st.sampled_from(["shop", "blog"]), max_size=3),  # requests
            st.sampled_from(["read", "read", "silent", "nothing", "restart", "restart unseen"]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_whoever_was_used_is_seen_or_lies_in_a_hole(rounds):
    """Whatever becomes of a router, no use before a complete reading is ever lost."""
    counts: dict[AppRef, int] = {}
    process, now = 1, NOW
    known, seen, used = Knowledge(), {}, {}
    for requests, event in rounds:
        for app in requests:
            ref = AppRef("u1", app)
            counts[ref] = counts.get(ref, 0) + 1
            used[ref] = now
        if event.startswith("restart"):
            process, counts = process + 1, {}
        now += MINUTE
        if event == "nothing":
            continue
        told = [] if event == "silent" else [reading(dict(counts), str(process))]
        silent = {"10.0.0.1:9100": "away"} if event == "silent" else {}
        if event == "restart unseen":
            continue
        known, found = learn(known, told, silent, now)
        seen |= dict.fromkeys(found, now)
        for ref, at in used.items() if told else ():
            blind = known.blind.until if known.blind else NOW - MINUTE
            assert max(seen.get(ref, NOW - MINUTE), blind) >= at


EVENTS = ["read", "read", "silent", "nothing", "gap", "restart", "gone", "keep", "reload"]


@given(
    rounds=st.lists(
        st.tuples(
            st.lists(st.tuples(st.sampled_from(["shop", "blog"]), st.booleans()), max_size=3),
            st.sampled_from(EVENTS),
            st.booleans(),  # which of two routers it befalls
        ),
        min_size=1,
        max_size=15,
    )
)
def test_no_use_is_lost_with_several_routers_and_processes_that_follow_each_other(rounds):
    """Routers come and go, are silent or not read for long; knowledge is kept and loaded again."""
    counts: dict[bool, dict[AppRef, int]] = {False: {}, True: {}}
    process, now = {False: 1, True: 1}, NOW
    known, seen, used, kept = Knowledge(), {}, {}, None
    address = {False: "10.0.0.1:9100", True: "10.0.0.2:9100"}
    for requests, event, which in rounds:
        for app, router in requests:
            router_there = router if router in counts else not router
            ref = AppRef("u1", app)
            counts[router_there][ref] = counts[router_there].get(ref, 0) + 1
            used[ref] = now
        now += 10 * MINUTE if event == "gap" else MINUTE
        was_read = (
            address[which] in known.routers
        )  # one that nobody read within minutes is not seen
        if event in {"restart", "gone"} and was_read and which in counts:
            process[which] += 1
            if event == "gone" and len(counts) == 2:
                del counts[which]
            else:
                counts[which] = {}
        elif event == "read" and which not in counts:
            process[which] += 1
            counts[which] = {}
        elif event == "keep":
            kept = dump_counters(known.routers)  # large, so that it is not kept every time
        elif event == "reload":
            known = load_knowledge(dump_knowledge(known), kept)
        if event in {"nothing", "gap", "restart"}:
            continue
        silent = {address[which]: "away"} if event == "silent" and which in counts else {}
        told = [
            reading(dict(found), str(process[router]), address[router])
            for router, found in counts.items()
            if address[router] not in silent
        ]
        known, found = learn(known, told, silent, now)
        seen |= dict.fromkeys(found, now)
        for ref, at in used.items() if not silent else ():
            blind = known.blind.until if known.blind else NOW - MINUTE
            assert max(seen.get(ref, NOW - MINUTE), blind) >= at
