"""An app that the check lets through and the cluster refuses goes back; its shard moves on."""

import asyncio
import json
import subprocess
from dataclasses import replace

import pytest

from api.audit import Audit, Known
from api.clients.git_trees import Same
from api.domain.commit_message import source_commit
from api.domain.drafts import AppDraft
from api.domain.manifests import RenderSettings, Templates
from api.domain.names import namespace_of, shard_of
from api.domain.quarantine import QUARANTINE_FILE, Quarantine, Record, read_quarantine
from api.domain.repo_layout import dump
from api.domain.rollout import Shard
from api.errors import InvalidRequest
from api.publishing_once import PublishingOnce
from api.recomposition import Recomposition
from api.refusals import Refusals
from api.rendering import Tips
from api.watching import Watcher
from tests.publishing.stack import FORBIDDEN, HELLO, Stack, account, folder

BOB = account("ubob")
SHARD = shard_of("ubob", 2)
GOOD, BAD = HELLO + "# good\n", HELLO + "# bad\n"
IMAGE = "registry.example.org/runner:1"


class Flux:
    """Applies the shard's newest commit, but not where `refuses` finds a fault with a file."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.refuses: dict[str, bytes] = {}  # app id → what its code may not hold
        self.words = "{kind}/{namespace}/{app} dry-run failed (Invalid): policy denied request: no"
        self.applied: str | None = None
        self.behind: str | None = None  # an older commit than the newest is what it attempted

    async def shard(self, name: str) -> Shard:
        tip = self.behind or await self.stack.repo.head(f"flux/{name}")
        if name != SHARD:
            return Shard(tip, tip, tip)
        for app_id, fault in sorted(self.refuses.items()):
            path = f"ubob/{app_id}/code/user_code.py"
            if fault in (await self.stack.repo.read(tip, path) or b""):
                namespace = namespace_of("ubob")
                words = self.words.format(kind="Deployment", namespace=namespace, app=app_id)
                return Shard(tip, tip, self.applied, apply_error=words)
        self.applied = tip
        return Shard(tip, tip, tip)


@pytest.fixture
def flux(stack) -> Flux:
    return Flux(stack)


@pytest.fixture
def refusals(stack, flux) -> Refusals:
    return Refusals(stack.repo, flux, stack.publisher, stack.writer)


async def update(stack, ref, code: str) -> None:
    await stack.deployments.update(BOB, ref, AppDraft(code=code), None, "r")


async def code_of(stack, ref) -> bytes | None:
    return (await stack.published(ref)).get("code/user_code.py")


async def kept(stack, ref) -> dict:
    return read_quarantine(await stack.repo.read(await stack.tip(ref), QUARANTINE_FILE))


async def findings(stack) -> list:
    rendering = RenderSettings(runner_image=IMAGE)
    again = Recomposition(
        stack.repo, stack.intents, stack.history, stack.check, Templates.load(), rendering
    )
    audit = Audit(stack.repo, stack.intents, again, Known(runner_images=[IMAGE]))
    report = await audit.verify(None, lambda *_: None)
    return [finding for finding in report.findings if finding.branch != "main"]


async def applied_then_refused(stack, flux, refusals):
    """An app in a good version that was applied, and then in one that is refused."""
    app = await stack.deploy(BOB, code=GOOD)
    await refusals.look()
    flux.refuses[app.ref.app_id] = b"# bad"
    await update(stack, app.ref, BAD)
    return app.ref


async def test_what_is_kept_and_shown_of_a_refusal_names_no_address(stack, flux, refusals):
    flux.words += " by webhook 10.96.0.9:443"
    ref = await applied_then_refused(stack, flux, refusals)
    await refusals.look()
    assert (await kept(stack, ref))[ref].words.endswith("by webhook [address]")
    assert stack.hold(ref).first.message.endswith("by webhook [address]")


async def test_it_goes_back_to_the_byte_and_stays_until_it_changes(stack, flux, refusals):
    ref = await applied_then_refused(stack, flux, refusals)
    before = await stack.repo.entry(flux.applied, f"ubob/{ref.app_id}")
    await refusals.look()
    tip = await stack.tip(ref)
    assert await stack.repo.entry(tip, f"ubob/{ref.app_id}") == before
    info = await stack.repo.info(tip)
    assert info.message.startswith(f"quarantine {ref.app_id}\n")
    assert source_commit(info.message) == await stack.repo.head("main")
    record = (await kept(stack, ref))[ref]
    assert "policy denied request: no" in record.words
    for _ in range(3):
        await stack.look()
        await refusals.look()
    assert await stack.tip(ref) == tip, "it is not tried again by itself"
    assert flux.applied == tip, "the shard moved on"
    assert refusals.problem is None
    hold = stack.hold(ref)
    assert (hold.first.code, hold.first.message) == ("refused", record.words)
    flux.refuses.clear()
    await update(stack, ref, GOOD + "# mended\n")
    assert await code_of(stack, ref) == (GOOD + "# mended\n").encode()
    assert stack.hold(ref) is None
    assert await stack.repo.read(await stack.tip(ref), QUARANTINE_FILE) is None
    assert await findings(stack) == []


async def test_one_that_never_was_applied_is_left_out_and_others_go_on(stack, flux, refusals):
    other = await stack.deploy(BOB, "Other", GOOD)
    await refusals.look()
    app = await stack.deploy(BOB, "Bad", BAD)
    flux.refuses[app.ref.app_id] = b"# bad"
    await refusals.look()
    assert await stack.published(app.ref) == {}
    assert (await kept(stack, app.ref))[app.ref].applied is None
    await update(stack, other.ref, GOOD + "# 2\n")
    await refusals.look()
    assert flux.applied == await stack.tip(other.ref)
    assert app.ref in await kept(stack, app.ref)
    assert await findings(stack) == []


async def test_several_are_taken_back_one_after_the_other(stack, flux, refusals):
    apps = [await stack.deploy(BOB, name, GOOD) for name in ("A", "B", "C")]
    await refusals.look()
    for app in apps[:2]:
        flux.refuses[app.ref.app_id] = b"# bad"
        await update(stack, app.ref, BAD)
    await refusals.look()
    await refusals.look()
    await refusals.look()
    assert [await code_of(stack, app.ref) for app in apps] == [GOOD.encode()] * 3
    assert len(await kept(stack, apps[0].ref)) == 2
    assert flux.applied == await stack.tip(apps[0].ref)
    assert await findings(stack) == []


async def test_another_deploy_in_between_does_not_hide_who_it_is(stack, flux, refusals):
    other = await stack.deploy(BOB, "Other", GOOD)
    ref = await applied_then_refused(stack, flux, refusals)
    flux.behind = await stack.tip(ref)
    await update(stack, other.ref, GOOD + "# 2\n")
    await refusals.look()
    assert await code_of(stack, ref) == GOOD.encode()
    assert await code_of(stack, other.ref) == (GOOD + "# 2\n").encode()


async def test_a_fix_that_came_first_is_not_taken_back(stack, flux, refusals):
    ref = await applied_then_refused(stack, flux, refusals)
    flux.behind = await stack.tip(ref)
    await update(stack, ref, GOOD + "# mended\n")
    await refusals.look()
    assert await code_of(stack, ref) == (GOOD + "# mended\n").encode()
    assert await kept(stack, ref) == {}


async def test_a_newer_intent_that_the_check_holds_keeps_it_back(stack, flux, refusals):
    ref = await applied_then_refused(stack, flux, refusals)
    code = f"{folder(ref)}/code/user_code.py"
    await stack.by_hand({code: FORBIDDEN.encode()})
    await stack.look()
    assert await code_of(stack, ref) == BAD.encode(), "nothing is known of the refusal yet"
    await refusals.look()
    assert await code_of(stack, ref) == GOOD.encode()
    assert "`os`" in stack.hold(ref).first.message
    await stack.look()
    assert await code_of(stack, ref) == GOOD.encode()
    assert await findings(stack) == []


async def test_putting_back_what_stands_ends_it(stack, flux, refusals):
    ref = await applied_then_refused(stack, flux, refusals)
    await refusals.look()
    await update(stack, ref, GOOD)
    assert await kept(stack, ref) == {}
    assert stack.hold(ref) is None
    assert await code_of(stack, ref) == GOOD.encode()
    assert await findings(stack) == []


async def test_stopping_is_honoured_and_so_is_waking(stack, flux, refusals):
    ref = await applied_then_refused(stack, flux, refusals)
    await refusals.look()
    tenant = await stack.intents.tenant(
        await stack.intents.tip(), await stack.intents.platform(await stack.intents.tip()), "ubob"
    )
    path = f"{folder(ref).rpartition('/')[0]}/tenant.yaml"
    blocked = {"by": "root", "reason": "x"}
    stopped = tenant.model_validate(
        {**tenant.model_dump(by_alias=True, mode="json"), "suspended": blocked}
    )
    await stack.by_hand({path: dump(stopped)})
    await stack.look()
    assert await stack.published(ref) == {}, "suspended: nothing of it runs"
    await stack.by_hand({path: dump(tenant)})
    await stack.look()
    assert await code_of(stack, ref) == GOOD.encode()
    assert ref in await kept(stack, ref)
    assert await findings(stack) == []


async def test_deleting_it_ends_it(stack, flux, refusals):
    ref = await applied_then_refused(stack, flux, refusals)
    await refusals.look()
    await stack.deployments.delete(BOB, ref, "r")
    assert await stack.published(ref) == {}
    assert await kept(stack, ref) == {}
    assert await findings(stack) == []


async def test_a_restarted_replica_knows_it_from_the_branch(stack, flux, refusals):
    ref = await applied_then_refused(stack, flux, refusals)
    await refusals.look()
    tip = await stack.tip(ref)
    stack.publisher._holds.clear()
    stack.publisher.refusals = {}
    stack.publisher._composer._shards.clear()
    stack.watcher._compared = None
    await stack.look()
    assert stack.hold(ref).first.code == "refused"
    assert await stack.tip(ref) == tip


async def test_what_a_look_remembers_says_nothing_once_another_refusal_is_kept(stack):
    app = await stack.deploy(BOB)
    await stack.look()
    composer, main = stack.publisher._composer, await stack.intents.indexed_tip()
    platform = await stack.intents.platform(main)
    record = Record(await stack.intents.entries(main, platform, app.ref), None, "no")
    tips = Tips(SHARD, main, await stack.tip(app.ref), main, platform)
    [remembered] = await composer.look(tips)
    assert remembered.edits is remembered.quarantined is None
    [told] = await composer.look(replace(tips, quarantine=Quarantine({app.ref: record})))
    assert told.quarantined == record
    [settled] = await composer.look(tips)
    assert settled.quarantined is None


async def test_replicas_that_race_write_the_same_commit(stack, flux, refusals):
    await applied_then_refused(stack, flux, refusals)
    told = {}
    publish = stack.writer.publish

    async def note(shard):
        told[shard] = await stack.publisher.compose(shard, await stack.repo.head("main"))

    stack.writer.publish = note
    await refusals.look()
    first = told[SHARD].new
    stack.publisher.refusals = {}
    await Refusals(stack.repo, flux, stack.publisher, stack.writer).look()
    assert told[SHARD].new == first
    stack.writer.publish = publish


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("Get https://10.0.0.1: connection refused", "connection refused"),
        ("{kind}/{namespace}/{app} dry-run failed (InternalError): no", "InternalError"),
        ("{kind}/user-uother/{app} dry-run failed (Invalid): no", "uother"),
        ("Namespace/{namespace} dry-run failed (Invalid): no", "Namespace"),
    ],
)
async def test_where_no_app_is_named_an_alarm_is_raised_and_nothing_guessed(
    stack, flux, refusals, words, says
):
    flux.words = words
    ref = await applied_then_refused(stack, flux, refusals)
    tip = await stack.tip(ref)
    await refusals.look()
    assert await stack.tip(ref) == tip
    assert says in refusals.problem
    assert refusals.problem.startswith(f"shard {SHARD}: ")
    flux.refuses.clear()
    await refusals.look()
    assert refusals.problem is None


async def test_one_that_is_refused_as_it_was_applied_is_an_alarm(stack, flux, refusals):
    app = await stack.deploy(BOB, code=BAD)
    await refusals.look()
    other = await stack.deploy(BOB, "Other", GOOD)
    flux.refuses[app.ref.app_id] = b"# bad"
    await refusals.look()
    assert "refused as it was applied before" in refusals.problem
    assert await code_of(stack, app.ref) == BAD.encode()
    assert await code_of(stack, other.ref) == GOOD.encode()


async def test_an_operator_has_it_tried_again(stack, flux, refusals):
    ref = await applied_then_refused(stack, flux, refusals)
    await refusals.look()
    watcher = Watcher(
        stack.repo, stack.watcher._upstream, stack.intents, stack.publisher, stack.writer
    )
    once = PublishingOnce(stack.repo, stack.intents, stack.publisher, watcher, stack.poked)
    with pytest.raises(InvalidRequest, match="no app 'nobody'"):
        await once.publish(retry="nobody")
    flux.refuses.clear()
    await once.publish(retry=ref.app_id)
    assert await code_of(stack, ref) == BAD.encode()
    assert await kept(stack, ref) == {}
    assert await findings(stack) == []
    await refusals.look()
    assert flux.applied == await stack.tip(ref)


async def test_an_audit_finds_a_quarantine_that_takes_back_another_version(stack, flux, refusals):
    ref = await applied_then_refused(stack, flux, refusals)
    await refusals.look()
    info = await stack.repo.info(await stack.tip(ref))
    data = json.loads(await stack.repo.read(info.id, QUARANTINE_FILE))
    data["apps"][0]["intent"]["code"] = "1" * 40
    path = f"ubob/{ref.app_id}"
    stood = await stack.repo.entry(info.id, path)
    edits = {QUARANTINE_FILE: json.dumps(data).encode(), path: Same(stood.id, "folder")}
    forged = await stack.repo.compose(info.parent, edits, info.message)
    move = ["git", "-C", stack.repo.path, "update-ref", f"refs/heads/flux/{SHARD}", forged]
    await asyncio.to_thread(subprocess.run, move, check=True)
    found = await findings(stack)
    assert [(f.commit, f.rule) for f in found] == [(forged, "composition")]
