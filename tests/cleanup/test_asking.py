"""Runners that are asked while deploys wait."""

from datetime import timedelta

import pytest

from api.cleanup import _AT_ONCE, Cleaner
from api.domain.idleness import Limits, Verdict
from api.domain.names import AppRef
from api.errors import ClusterUnavailable
from api.opening import make_repository, open_records
from api.opening_cleanup import open_activity
from api.settings import Settings

DUE = [Verdict(AppRef("u1", f"app{n}"), "remove", "not used for 2 days") for n in range(100)]


@pytest.fixture
async def asked(tmp_path):
    """What becomes of DUE when runners answer so, and how many of them were asked."""
    settings = Settings(data_dir=tmp_path / "data")
    await make_repository(settings)
    async with open_records(settings) as records, open_activity(settings, records) as activity:

        async def fates(answers, **how):
            called = []

            async def ask(ref: AppRef) -> int:
                called.append(ref)
                return answers(ref)

            parts = records.repo, records.intents, records.store, records.writer
            cleaner = Cleaner(*parts, activity, ask, Limits(timedelta(days=1)), 100)
            return await cleaner._asked(DUE, **how), len(called)

        yield fates


def silent(ref: AppRef) -> int:
    raise ClusterUnavailable("its runner cannot be asked")


async def test_while_deploys_wait_no_more_silent_runners_are_asked_than_fit_into_one_round(asked):
    found, count = await asked(silent, shortly=True)
    assert count == _AT_ONCE
    assert {each.fate for each in found} == {"keep"}
    assert "too many runners" in found[-1].why
    _, count = await asked(silent)
    assert count == len(DUE)


async def test_a_few_silent_runners_keep_their_own_apps_only(asked):
    def some(ref: AppRef) -> int:
        return silent(ref) if ref.app_id.endswith("7") else 0

    found, count = await asked(some, shortly=True)
    assert count == len(DUE)
    assert sum(each.fate == "keep" for each in found) == 10
