"""Processes with clones of their own, of which one knows more of `main` than the other."""

from datetime import UTC, datetime, timedelta

import pytest

from api.activity import READING
from api.clients.gitops_repo import Change
from api.domain.commit_message import person
from api.domain.names import AppRef
from api.domain.repo_layout import AppFile, app_folder, dump
from api.errors import Unavailable
from api.leases import Leases
from api.opening import make_repository, open_records, open_repository
from api.opening_cleanup import open_activity
from api.settings import Settings
from tests.remote.git_server import GitServer, bare

SHOP, BLOG = AppRef("u1", "shop"), AppRef("u2", "blog")


def deploy(ref: AppRef, name: str) -> Change:
    file = AppFile(id=ref.app_id, user=ref.user_id, name=name)
    return Change(
        {f"{app_folder(ref, 2)}/app.yaml": dump(file)},
        f"deploy\n\nApp-Id: {ref.app_id}\nUser-Id: {ref.user_id}\nAction: deploy\n",
        person("ada", ref.user_id),
    )


async def test_a_clone_that_lags_behind_takes_nobody_elses_app_for_used(tmp_path):
    (tmp_path / "served").mkdir()
    bare(tmp_path / "served", "apps.git")
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    with GitServer(tmp_path / "served").running() as server:
        here, there = (
            Settings(data_dir=tmp_path / name, git_remote=server.url("apps.git"))
            for name in ("here", "there")
        )
        async with open_repository(here, None):
            pass
        async with open_records(here) as mine, open_records(there) as theirs:
            for ref in (SHOP, BLOG):
                await mine.writer.write(deploy(ref, "One"))
            await theirs.upstream.refresh()
            async with open_activity(here, mine, clock=lambda: now) as activity:
                await activity.read()
            await mine.writer.write(deploy(SHOP, "Two"))
            later = now + timedelta(hours=1)
            async with open_activity(here, mine, clock=lambda: later) as activity:
                await activity.read()
            await theirs.store.keep_note("activity", await mine.store.note("activity") or "")
            await theirs.store.touch_many([SHOP, BLOG], now)
            much_later = now + timedelta(hours=2)
            async with open_activity(there, theirs, clock=lambda: much_later) as activity:
                known = await activity.read()
            assert known.main == await mine.intents.tip()
            assert await mine.store.last_activity([SHOP, BLOG]) == {SHOP: later, BLOG: now}
            assert await theirs.store.last_activity([SHOP, BLOG]) == {SHOP: now, BLOG: now}


async def test_a_reading_that_takes_for_ever_elsewhere_is_no_cleaner_that_is_at_work(tmp_path):
    settings = Settings(data_dir=tmp_path / "data")
    await make_repository(settings)
    async with open_records(settings) as records, open_activity(settings, records) as activity:
        async with Leases(records.store).held(READING):
            with pytest.raises(Unavailable, match="could not be read"):
                async with activity._alone(0):
                    pass
        await activity.read()
