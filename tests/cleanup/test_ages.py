"""How long ago use was read and idle apps were judged, as every replica tells it."""

import asyncio
from datetime import UTC, datetime, timedelta

from api.domain.activity import Knowledge, dump_knowledge
from api.opening import make_repository, open_records
from api.opening_cleanup import open_activity
from api.settings import Settings


async def test_a_replica_tells_what_others_read_and_judged(tmp_path):
    settings = Settings(data_dir=tmp_path / "data")
    await make_repository(settings)
    now = datetime.now(UTC)
    times = [now]
    async with (
        open_records(settings) as records,
        open_activity(settings, records, clock=lambda: times[-1]) as activity,
    ):
        times.append(now + timedelta(seconds=7))
        assert (activity.reading_age(), activity.cleanup_age()) == (7, 7)  # since the start
        await activity.note_cleanup()
        read_at = now - timedelta(seconds=50)
        await records.store.keep_note("activity", dump_knowledge(Knowledge(read_at)))
        times.append(now + timedelta(seconds=10))
        running = asyncio.create_task(activity.run())
        async with asyncio.timeout(10):
            while activity.reading_age() != 60:  # noqa: ASYNC110  (the loop tells nobody)
                await asyncio.sleep(0.01)
            while activity.cleanup_age() != 3:  # noqa: ASYNC110  (likewise)
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait({running})
