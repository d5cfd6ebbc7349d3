"""What becomes of an app that nobody uses."""

from datetime import UTC, datetime, timedelta

import pytest

from api.domain.activity import Hole
from api.domain.idleness import Limits, deadlines, verdict
from api.domain.names import AppRef
from api.domain.repo_layout import AppFile, Block, TakenDown, TenantFile
from api.opening_cleanup import told_limits
from api.settings import Settings

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SHOP = AppRef("u1", "shop")
APP = AppFile(id="shop", user="u1", name="Shop")
ASLEEP = APP.model_copy(update={"state": "hibernated"})
PINNED = APP.model_copy(update={"pinned": True})
TENANT = TenantFile(user="u1", username="ada", created=NOW)
BLOCK = Block(by="root", reason="Spam")
PLAIN, SLEEPY = Limits(24 * HOUR), Limits(24 * HOUR, 6 * HOUR)


def fate(hours, *, app=APP, tenant=TENANT, blind=None, limits=PLAIN) -> str:
    used_at = None if hours is None else NOW - hours * HOUR
    return verdict(SHOP, app, tenant, used_at, blind, limits, NOW).fate


@pytest.mark.parametrize(
    ("hours", "limits", "expected"),
    [
        (23.99, PLAIN, "keep"),
        (24, PLAIN, "remove"),
        (900, PLAIN, "remove"),
        (5.99, SLEEPY, "keep"),
        (6, SLEEPY, "hibernate"),
        (23.99, SLEEPY, "hibernate"),
        (24, SLEEPY, "remove"),
        (None, PLAIN, "keep"),
        (-1, PLAIN, "keep"),  # a clock went back
    ],
)
def test_an_app_goes_when_its_time_is_over_and_not_before(hours, limits, expected):
    assert fate(hours, limits=limits) == expected


def test_a_sleeping_app_is_removed_and_not_put_to_sleep_again():
    assert fate(7, app=ASLEEP, limits=SLEEPY) == "keep"
    assert fate(24, app=ASLEEP, limits=SLEEPY) == "remove"


@pytest.mark.parametrize(
    ("app", "tenant", "why"),
    [
        (PINNED, TENANT, "pinned"),
        (None, TENANT, "cannot be read"),
        (APP, None, "cannot be read"),
        (APP, TENANT.model_copy(update={"suspended": BLOCK}), "stopped by root"),
        (
            APP,
            TENANT.model_copy(
                update={"taken_down": (TakenDown(app_id="shop", by="root", reason="Spam"),)}
            ),
            "stopped by root",
        ),
    ],
)
def test_what_somebody_decided_stays(app, tenant, why):
    told = verdict(SHOP, app, tenant, NOW - 900 * HOUR, None, SLEEPY, NOW)
    assert told.fate == "keep"
    assert why in told.why


def test_a_hole_counts_as_use_by_everybody():
    lately = Hole(NOW - 3 * HOUR, NOW - 2 * HOUR, "the router ended")
    told = verdict(SHOP, APP, TENANT, NOW - 900 * HOUR, lately, PLAIN, NOW)
    assert told.fate == "keep"
    assert "the router ended" in told.why
    earlier = Hole(NOW - 30 * HOUR, NOW - 8 * HOUR, "the router ended")
    assert fate(900, blind=earlier, limits=SLEEPY) == "hibernate"
    assert fate(900, blind=Hole(NOW - 30 * HOUR, NOW - 24 * HOUR, "")) == "remove"


def test_people_are_told_when():
    used_at = NOW - HOUR
    assert deadlines(APP, used_at, PLAIN) == (None, NOW + 23 * HOUR)
    assert deadlines(APP, used_at, SLEEPY) == (NOW + 5 * HOUR, NOW + 23 * HOUR)
    assert deadlines(ASLEEP, used_at, SLEEPY) == (None, NOW + 23 * HOUR)
    for app, limits in ((PINNED, PLAIN), (None, PLAIN), (APP, None)):
        assert deadlines(app, used_at, limits) == (None, None)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, True),
        ({"mode": "cluster"}, False),
        ({"mode": "cluster", "traefik_metrics_url": "http://traefik-metrics:9100/metrics"}, True),
    ],
)
def test_nobody_is_told_of_an_end_where_no_use_is_counted(values, told):
    settings = Settings.model_construct(**values)
    assert (told_limits(settings) is not None) == told
