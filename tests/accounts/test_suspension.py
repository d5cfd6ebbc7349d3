from collections.abc import Callable
from pathlib import Path

import pytest

from api.errors import NotFound, PlatformError
from api.init_repo import init_repo
from api.settings import Settings
from tests.application import PASSWORD, Application, application


@pytest.fixture
async def platform(settings_for: Callable[..., Settings]):
    settings = settings_for()
    init_repo(settings.data_dir / "repo.git")
    async with application(settings) as opened:
        yield opened


async def test_a_suspended_person_is_refused_with_the_reason_whatever_they_hold(
    platform: Application,
):
    token = await platform.token("ada")
    await platform.records.accounts.suspend("ADA", by="root", reason="Mining coins.")
    for answer in (await platform.log_in("ada"), await platform.me(token)):
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "suspended"
        assert "Mining coins." in answer.json()["error"]["message"]
    # Who does not know the password learns nothing.
    assert (await platform.log_in("ada", "wrong")).status_code == 401


async def test_a_freed_person_logs_in_again_and_old_tokens_stay_dead(platform: Application):
    token = await platform.token("ada")
    await platform.records.accounts.suspend("ada", by="root", reason="A mistake.")
    await platform.records.accounts.unsuspend("ada", by="root")
    assert (await platform.me(token)).status_code == 401
    assert (await platform.log_in("ada")).status_code == 200


async def test_a_reset_password_ends_all_log_ins(platform: Application):
    token = await platform.token("ada")
    await platform.records.accounts.reset_password("ada", "a fresh long password")
    assert (await platform.me(token)).status_code == 401
    assert (await platform.log_in("ada", PASSWORD)).status_code == 401
    assert (await platform.log_in("ada", "a fresh long password")).status_code == 200


async def test_people_who_do_not_exist_are_not_found(platform: Application):
    cases = platform.records.accounts
    for work in (
        cases.suspend("nobody", by="root", reason="x"),
        cases.unsuspend("nobody", by="root"),
        cases.reset_password("nobody", "a fresh long password"),
        cases.set_admin("nobody", is_admin=True),
        cases.named("\0"),
    ):
        with pytest.raises(NotFound):
            await work


async def test_without_a_repository_the_account_is_suspended_all_the_same(
    settings_for: Callable[..., Settings], tmp_path: Path
):
    async with application(settings_for(data_dir=tmp_path / "other")) as platform:
        token = await platform.token("ada")
        with pytest.raises(PlatformError):
            await platform.records.accounts.suspend("ada", by="root", reason="x")
        assert (await platform.me(token)).status_code == 403
