"""What one replica learns of what another one did."""

import asyncio

from api.clients import commit_index, sqlite_store
from api.clients.git_upstream import LocalUpstream
from api.clients.gitops_repo import GitopsRepo
from api.clients.sqlite import SqliteDatabase
from tests.publishing.stack import FORBIDDEN, HELLO, account, folder, running_stack

BOB = account("ubob")
SCHEMA = (*sqlite_store.SCHEMA, *commit_index.SCHEMA)


async def test_a_hold_is_known_also_where_another_replica_published_its_shard(
    stack, sources, tmp_path
):
    held, passes = await stack.deploy(BOB), await stack.deploy(BOB, "Two")
    path = stack.repo.path
    repo = GitopsRepo(path)
    async with (
        SqliteDatabase.open(tmp_path / "other.sqlite3", SCHEMA) as database,
        running_stack(repo, database, sources, LocalUpstream(path)) as other,
    ):
        await other.look()
        watching = asyncio.create_task(other.watcher.run(0.05))
        await asyncio.sleep(0.2)  # it has listed the branches once
        await stack.by_hand(
            {
                f"{folder(held.ref)}/code/user_code.py": FORBIDDEN.encode(),
                f"{folder(passes.ref)}/code/user_code.py": f"# 2\n{HELLO}".encode(),
            }
        )
        await stack.look()
        async with asyncio.timeout(20):
            while other.hold(held.ref) is None:  # noqa: ASYNC110  (it is found at a later look)
                await asyncio.sleep(0.05)
        watching.cancel()
        assert other.hold(held.ref) == stack.hold(held.ref)
        assert other.hold(passes.ref) is None
    await repo.close()
