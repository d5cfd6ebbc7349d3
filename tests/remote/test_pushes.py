"""Every outcome of a push to a real git server is told apart, and none is taken for another."""

import asyncio
import os

import pytest

from api.clients import git_upstream
from api.clients.git_porcelain import read_porcelain
from api.clients.git_upstream import NOTHING, Move, RemoteUpstream
from api.errors import OutcomeUnknown, RepositoryUnavailable
from tests.remote.conftest import BRANCHES, git
from tests.remote.git_server import once


async def moves(remote, *branches: str) -> list[Move]:
    return [await remote.move(branch) for branch in branches]


async def test_both_kinds_of_branches_move_in_one_push(remote):
    wanted = await moves(remote, *BRANCHES)
    pushes = remote.server.counts["push"]
    result = await remote.upstream.push(wanted)
    assert result.moved
    assert remote.tips() == {move.branch: move.new for move in wanted}
    assert await remote.repo.heads() == remote.tips(), "the clone knows at once"
    assert remote.server.counts["push"] == pushes + 1


async def test_a_branch_that_is_there_already_counts_as_moved(remote):
    wanted = await moves(remote, "main", "flux/00")
    assert (await remote.upstream.push(wanted[1:])).moved
    assert (await remote.upstream.push(wanted)).moved
    assert (await remote.upstream.push(wanted)).moved


async def test_a_tip_that_is_stale_at_connect_drops_everything(remote):
    theirs = await remote.by_hand()
    wanted = await moves(remote, "main", "flux/00")
    result = await remote.upstream.push(wanted)
    assert result.fates == {"main": "stale", "flux/00": "dropped"}
    assert remote.tips()["main"] == theirs
    assert remote.tips()["flux/00"] == wanted[1].old


async def test_a_race_that_is_lost_after_negotiation_moves_nothing(remote):
    # The hook runs between negotiation and the move: there another push holds the lock of main.
    remote.hook("pre-receive", "cat >/dev/null; touch refs/heads/main.lock")
    wanted = await moves(remote, "main", "flux/00")
    result = await remote.upstream.push(wanted)
    assert set(result.fates.values()) <= {"stale", "dropped"}
    assert remote.tips()["flux/00"] == wanted[1].old
    (remote.path / "refs/heads/main.lock").unlink()
    remote.hook("pre-receive", "cat >/dev/null")
    assert (await remote.upstream.push(wanted)).moved


async def test_a_stale_shard_drops_main_too(remote):
    await remote.by_hand("flux/00")
    wanted = await moves(remote, "main", "flux/00")
    result = await remote.upstream.push(wanted)
    assert result.fates == {"main": "dropped", "flux/00": "stale"}
    assert remote.tips()["main"] == wanted[0].old


async def test_a_branch_that_was_rewound_is_not_brought_back(remote):
    before = remote.tips()["main"]
    [first] = await moves(remote, "main")
    assert (await remote.upstream.push([first])).moved
    second = await remote.move("main", b"newer")
    await asyncio.to_thread(git, remote.path, "update-ref", "refs/heads/main", before)
    result = await remote.upstream.push([second])
    assert result.fates == {"main": "stale"}, "although it would have been a fast-forward"
    assert remote.tips()["main"] == before


async def test_a_hook_that_refuses_one_branch_is_told_with_its_words(remote):
    remote.hook("update", 'test "$1" != refs/heads/flux/01 || { echo "not this one" >&2; exit 1; }')
    result = await remote.upstream.push(await moves(remote, *BRANCHES))
    assert result.fates == {"main": "dropped", "flux/00": "dropped", "flux/01": "refused"}
    assert "not this one" in result.words


async def test_a_hook_that_refuses_the_push_refuses_every_branch(remote):
    remote.hook("pre-receive", 'echo "a token was found in note:1" >&2; exit 1')
    result = await remote.upstream.push(await moves(remote, "main", "flux/00"))
    assert set(result.fates.values()) == {"refused"}
    assert result.words == "a token was found in note:1"


@pytest.mark.parametrize("fault", ["before", "refuse", "busy"])
async def test_what_was_cut_off_before_it_landed_is_not_known(remote, fault):
    wanted = await moves(remote, "main", "flux/00")
    remote.server.fault = once("push", fault)
    with pytest.raises(OutcomeUnknown, match="cut off"):
        await remote.upstream.push(wanted)
    assert remote.tips()["main"] == wanted[0].old
    assert await remote.repo.head("main") == wanted[0].old
    assert remote.upstream.problem
    assert (await remote.upstream.push(wanted)).moved
    assert remote.upstream.problem is None


async def test_what_was_cut_off_after_it_landed_is_found_by_a_refresh(remote):
    wanted = await moves(remote, "main", "flux/00")
    remote.server.fault = once("push", "after")
    with pytest.raises(OutcomeUnknown):
        await remote.upstream.push(wanted)
    assert await remote.repo.head("main") == wanted[0].old
    await remote.upstream.refresh()
    assert await remote.repo.head("main") == wanted[0].new
    assert await remote.repo.head("flux/00") == wanted[1].new


async def test_a_request_that_curl_repeats_by_itself_is_not_taken_for_a_refusal(remote):
    # On a connection that was kept open curl sends a request again that got no answer; the
    # repetition meets what the first one moved.
    remote.server.keep_alive = True
    wanted = await moves(remote, "main", "flux/00")
    remote.server.fault = once("push", "after")
    result = await remote.upstream.push(wanted)
    assert result.of("refused") == []
    assert not result.moved
    assert remote.tips()["main"] == wanted[0].new


@pytest.mark.parametrize("fault", ["refuse", "before", "busy"])
async def test_nothing_was_sent_when_the_remote_did_not_answer_at_all(remote, fault):
    wanted = await moves(remote, "main")
    remote.server.fault = once("push-refs", fault)
    with pytest.raises(RepositoryUnavailable, match="cannot be reached") as told:
        await remote.upstream.push(wanted)
    assert not isinstance(told.value, OutcomeUnknown)
    assert "Nothing was saved" in told.value.hint


async def test_nobody_listening_is_a_clear_error(remote, unused_tcp_port):
    gone = RemoteUpstream(remote.repo.path, f"http://127.0.0.1:{unused_tcp_port}/r.git")
    with pytest.raises(RepositoryUnavailable, match="cannot be reached"):
        await gone.push(await moves(remote, "main"))
    with pytest.raises(RepositoryUnavailable, match="cannot be reached"):
        await gone.refresh()
    assert "cannot be reached" in gone.problem


@pytest.mark.parametrize("step", ["push-refs", "push"])
async def test_a_remote_that_stalls_is_given_up(remote, monkeypatch, step):
    wanted = await moves(remote, "main")
    monkeypatch.setattr(git_upstream, "PUSH_SECONDS", 1.0)
    remote.server.fault = once(step, "stall")
    with pytest.raises(OutcomeUnknown, match="within 1 s"):
        await remote.upstream.push(wanted)
    remote.server.released.set()


async def test_a_fetch_that_stalls_is_given_up(remote):
    remote.server.fault = once("fetch-refs", "stall")
    with pytest.raises(RepositoryUnavailable, match=r"within 0\.5 s"):
        await remote.upstream.refresh(0.5)
    remote.server.released.set()


async def test_without_atomic_pushes_main_goes_first_and_the_shards_follow(connect):
    remote = await connect(**{"receive.advertiseAtomic": "false"})
    pushes = remote.server.counts["push"]
    wanted = await moves(remote, *BRANCHES)
    assert (await remote.upstream.push(wanted)).moved
    assert remote.server.counts["push"] == pushes + 2
    assert remote.tips() == {move.branch: move.new for move in wanted}

    await remote.by_hand()
    wanted = await moves(remote, *BRANCHES)
    result = await remote.upstream.push(wanted)
    assert result.fates == {"main": "stale", "flux/00": "dropped", "flux/01": "dropped"}
    assert remote.tips()["flux/00"] == wanted[1].old, "a shard never runs ahead of main"

    await remote.upstream.refresh()
    await remote.by_hand("flux/00")
    result = await remote.upstream.push(await moves(remote, *BRANCHES))
    assert result.fates == {"main": "moved", "flux/00": "stale", "flux/01": "moved"}


async def test_shards_can_live_in_a_second_repository(connect):
    remote = await connect(second=True)
    wanted = await moves(remote, *BRANCHES)
    assert (await remote.upstream.push(wanted)).moved
    assert remote.tips().keys() == {"main"}
    assert remote.tips(remote.published) == {m.branch: m.new for m in wanted[1:]}
    assert await remote.upstream.branches() == set(BRANCHES)


async def test_what_is_on_main_stays_saved_when_the_second_repository_is_away(connect):
    remote = await connect(second=True)
    wanted = await moves(remote, "main", "flux/00")
    steps = iter([None, "busy"])
    remote.server.fault = lambda step: next(steps, None) if step == "push-refs" else None
    result = await remote.upstream.push(wanted)
    assert result.fates == {"main": "moved", "flux/00": "dropped"}
    assert "503" in result.words
    assert (await remote.upstream.push(wanted)).moved, "it can be repeated"


async def test_reading_main_goes_on_when_the_second_repository_is_away(connect):
    remote = await connect(second=True)
    theirs = await remote.by_hand()
    remote.server.fault = once("fetch-refs", "busy")
    with pytest.raises(RepositoryUnavailable):
        await remote.upstream.refresh()
    assert await remote.repo.head("main") == theirs


async def test_a_branch_is_made_only_where_there_is_none(remote):
    tips = remote.tips()
    assert (await remote.upstream.push([Move("flux/02", NOTHING, tips["flux/00"])])).moved
    result = await remote.upstream.push([Move("flux/01", NOTHING, tips["main"])])
    assert result.fates == {"flux/01": "stale"}
    assert remote.tips()["flux/01"] == tips["flux/01"]


async def test_an_empty_remote_says_what_to_do(remote):
    await asyncio.to_thread(git, remote.path, "update-ref", "-d", "refs/heads/main")
    with pytest.raises(RepositoryUnavailable, match="no branch main") as told:
        await remote.upstream.refresh()
    assert "init-repo" in told.value.hint


async def test_a_lock_left_by_a_dead_process_stops_nothing_for_long(remote):
    theirs = await remote.by_hand()
    lock = remote.repo.path / "refs/heads/main.lock"
    lock.touch()
    with pytest.raises(RepositoryUnavailable):
        await remote.upstream.refresh()
    os.utime(lock, (0, 0))
    await remote.upstream.refresh()
    assert await remote.repo.head("main") == theirs


@pytest.mark.parametrize(
    ("line", "fate"),
    [
        (" \tabc:refs/heads/main\t1..2", "moved"),
        ("=\tabc:refs/heads/main\t[up to date]", "moved"),
        ("*\tabc:refs/heads/main\t[new branch]", "moved"),
        ("!\tabc:refs/heads/main\t[rejected] (stale info)", "stale"),
        ("!\tabc:refs/heads/main\t[rejected] (fetch first)", "stale"),
        ("!\tabc:refs/heads/main\t[rejected] (atomic push failed)", "dropped"),
        ("!\tabc:refs/heads/main\t[remote rejected] (atomic transaction failed)", "dropped"),
        ("!\tabc:refs/heads/main\t[remote rejected] (failed to update ref)", "stale"),
        (
            "!\tabc:refs/heads/main\t[remote rejected] (cannot lock ref: is at 1a but expected 3c)",
            "stale",
        ),
        ("!\tabc:refs/heads/main\t[remote rejected] (push declined due to rules)", "refused"),
        ("!\tabc:refs/heads/main\t[remote rejected] (unpacker error)", "refused"),
    ],
)
def test_the_words_of_servers_are_understood(line, fate):
    assert read_porcelain(f"To somewhere\n{line}\nDone\n") == {"main": fate}


def test_a_remote_that_did_not_report_leaves_it_open():
    line = "!\tabc:refs/heads/main\t[remote failure] (remote failed to report status)"
    assert read_porcelain(line) == {}
