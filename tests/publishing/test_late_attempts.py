"""An attempt that read `main` some time ago, while others went on."""

import asyncio

import pytest

from api.clients.git_upstream import LocalUpstream, Move
from api.domain.names import shard_of
from tests.publishing.stack import FORBIDDEN, HELLO, account, folder

BOB = account("ubob")
SHARD = shard_of("ubob", 2)


@pytest.mark.parametrize("accepts", [False, True])
async def test_a_late_attempt_takes_nothing_back_and_raises_no_alarm(stack, accepts):
    app = await stack.deploy(BOB)
    read = await stack.repo.head("main")
    await stack.by_hand({f"{folder(app.ref)}/code/user_code.py": f"# 2\n{HELLO}".encode()})
    await stack.look()
    stack.publisher.accepted = read if accepts else None
    assert await stack.publisher.compose(SHARD, read) is None
    assert stack.publisher.waiting(SHARD) is None


async def test_a_late_attempt_publishes_nothing_newer_than_its_source(stack):
    app = await stack.deploy(BOB)
    path = f"{folder(app.ref)}/code/user_code.py"
    read = await stack.by_hand({path: FORBIDDEN.encode()})
    await stack.by_hand({path: f"# newer\n{HELLO}".encode()})
    assert await stack.publisher.compose(SHARD, read) is None
    assert stack.hold(app.ref)


async def test_whoever_moved_a_shard_branch_the_cluster_is_told(stack):
    app = await stack.deploy(BOB)
    watching = asyncio.create_task(stack.watcher.run(0.05))
    await asyncio.sleep(0.5)
    stack.poked.clear()
    info = await stack.repo.info(await stack.tip(app.ref))
    message = info.message.replace("publish", "publish again")
    by_another = await stack.repo.compose(info.id, {"README.md": b"by another\n"}, message)
    upstream = LocalUpstream(stack.repo.path)
    await upstream.push([Move(f"flux/{SHARD}", info.id, by_another)])
    async with asyncio.timeout(20):
        while SHARD not in stack.poked:  # noqa: ASYNC110  (it is found at the next look)
            await asyncio.sleep(0.05)
    watching.cancel()
