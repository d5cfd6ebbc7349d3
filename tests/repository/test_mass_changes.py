"""Changes that are made anew at every try, and mass changes that give way to people's."""

import asyncio

import pytest

from api.clients.gitops_repo import Change
from api.domain.commit_message import person
from api.errors import DatabaseUnavailable, RepositoryUnavailable
from tests.repository.test_batches import SHARDS, at, opened

__all__ = ["at", "opened"]  # fixtures


def change(text: bytes | None) -> Change:
    edits = {} if text is None else {"apps/mass": text}
    return Change(edits, "mass\n", person("b", "u"))


async def test_a_change_is_made_anew_whenever_it_is_tried(at):
    made = []

    async def make() -> Change:
        made.append(1)
        return change(b"%d" % len(made))

    at.gate.trouble = [RepositoryUnavailable("away"), RepositoryUnavailable("away")]
    commit = await at.writer.write_renewed(make)
    assert commit == await at.repo.head("main")
    assert len(made) == 3
    assert await at.subjects() == ["mass"]
    assert await at.repo.read(commit, "apps/mass") == b"3"


async def test_what_a_change_rests_on_is_looked_at_when_it_may_be_sent_and_not_long_before(opened):
    at = opened(min_interval=0.2)
    made = []

    async def make() -> Change:
        made.append(asyncio.get_running_loop().time())
        return change(b"%d" % len(made))

    at.gate.trouble = [RepositoryUnavailable("away")]
    async with at.writer.running(at.notes):
        await at.writer.write_renewed(make)
    assert len(at.gate.at) == len(made) == 2
    assert made[1] - at.gate.at[0] >= 0.199


async def test_one_that_wants_nothing_any_more_commits_nothing(at):
    async def make() -> Change:
        return change(None)

    assert await at.writer.write_renewed(make) is None
    assert await at.subjects() == []


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), ValueError("a mistake")])
async def test_one_that_cannot_be_made_fails_alone(at, error):
    async def make() -> Change:
        raise error

    at.gate.open.clear()
    await at.write_later("first")
    await at.until_pushing(1)
    failing = asyncio.create_task(at.writer.write_renewed(make))
    [deploy] = await at.write_later("deploy")
    at.gate.open.set()
    assert await deploy
    with pytest.raises(type(error)):
        await failing
    assert await at.subjects() == ["first", "deploy"]


async def test_shards_in_the_background_give_way_to_whoever_comes_while_they_are_composed(at):
    compose = at.notes.compose
    deploys = []

    async def slow(shard, main):
        if not deploys:
            deploys.extend(await at.write_later("deploy", shard="13"))
        return await compose(shard, main)

    at.notes.compose = slow
    await at.write("first")
    looks = [asyncio.create_task(at.writer.publish(shard)) for shard in SHARDS[:8]]
    await asyncio.gather(*looks, *deploys)
    await asyncio.gather(*deploys)
    assert [len(moves) for moves in at.gate.pushes[1:3]] == [1, 3]  # one shard; then main and two
    while len(at.notes.moved) < 9:  # noqa: ASYNC110  (the writer's own loop adds to it)
        await asyncio.sleep(0.01)
    assert sorted(at.notes.moved) == sorted([*SHARDS[:8], "13"])
