"""Whatever happens to a push on its way, a change ends in exactly one commit at the remote."""

import asyncio

import pytest

from api import pushing
from api.clients.gitops_repo import Change
from api.domain.commit_message import person
from api.errors import RepositoryUnavailable
from api.writer import Writer
from tests.remote.git_server import once


def change(name: str) -> Change:
    return Change({f"apps/{name}": name.encode()}, f"{name}\n", person("bob", "u1"))


@pytest.mark.parametrize("keep_alive", [False, True])
@pytest.mark.parametrize("fault", ["before", "after", "refuse", "busy"])
@pytest.mark.parametrize("step", ["push-refs", "push"])
async def test_a_change_ends_in_one_commit(remote, step, fault, keep_alive):
    remote.server.keep_alive = keep_alive
    remote.server.fault = once(step, fault)
    writer = Writer(remote.repo, remote.upstream)
    async with writer.running():
        commits = await asyncio.gather(*(writer.write(change(f"n{n}")) for n in range(3)))
    assert remote.commits()[1:] == ["n0", "n1", "n2"]
    assert remote.tips()["main"] == commits[-1]


async def test_a_lost_race_is_replayed_and_nobodys_commit_is_dropped(remote):
    theirs = await remote.by_hand()
    writer = Writer(remote.repo, remote.upstream)
    async with writer.running():
        commit = await writer.write(change("mine"))
    assert remote.commits()[1:] == ["by-hand", "mine"]
    assert await remote.repo.is_ancestor(theirs, commit)


async def test_it_recovers_by_itself_when_the_remote_comes_back(remote, monkeypatch):
    monkeypatch.setattr(pushing, "_PATIENCE", 0.1)
    monkeypatch.setattr(pushing, "_IMPATIENCE", 0.0)
    writer = Writer(remote.repo, remote.upstream)
    async with writer.running():
        remote.server.fault = lambda _: "refuse"
        with pytest.raises(RepositoryUnavailable):
            await writer.write(change("lost"))
        assert remote.upstream.problem
        remote.server.fault = lambda _: None
        await writer.write(change("saved"))
        assert remote.upstream.problem is None
    assert remote.commits()[1:] == ["saved"]
