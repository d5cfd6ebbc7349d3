"""Apps rendered anew: by a newer renderer, with another runner image, shard by shard."""

import asyncio
import subprocess
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import yaml

from api import publishing, rerender
from api.audit import Audit, Known
from api.clients.git_upstream import LocalUpstream
from api.domain import made_with, manifests
from api.domain.commit_message import trailers
from api.domain.drafts import AppDraft
from api.domain.made_with import MadeWith
from api.domain.manifests import RenderSettings, Templates
from api.domain.names import AppRef, shard_of
from api.domain.quarantine import QUARANTINE_FILE
from api.domain.repo_layout import Ceilings, dump
from api.domain.rollout import LiveVersion, Observation, Pod, Shard, Workload
from api.errors import InvalidRequest
from api.recomposition import Recomposition
from api.refusals import Refusals
from api.rerender import Pace, Rendered, Rerender
from tests.publishing.stack import FORBIDDEN, HELLO, Stack, account, folder

NOW = manifests.RENDERER_VERSION
IMAGE, NEW_IMAGE = "registry.example.org/runner:1", "registry.example.org/runner:2"
BOB, ADA, EVE, DAN = map(account, ("ubob", "uada", "ueve", "udan"))


@dataclass
class Release:
    """What this release renders with; changing it is an update of the platform."""

    stack: Stack
    monkeypatch: pytest.MonkeyPatch
    image: str = IMAGE
    renderer: int = manifests.RENDERER_VERSION
    settings: RenderSettings = field(default_factory=lambda: RenderSettings(runner_image=IMAGE))

    def update(
        self, *, renderer: int | None = None, image: str | None = None, **settings: Any
    ) -> None:
        self.renderer, self.image = renderer or self.renderer, image or self.image
        self.settings = replace(self.settings, runner_image=self.image, **settings)
        for module in (manifests, made_with, publishing):
            self.monkeypatch.setattr(module, "RENDERER_VERSION", self.renderer)
        maker = self.stack.publisher._composer._verdicts._renderer
        maker._settings = self.settings

    @property
    def today(self) -> MadeWith:
        return replace(made_with.today(self.settings), renderer=self.renderer)

    def rerender(self, observe=None) -> Rerender:
        stack = self.stack
        upstream = LocalUpstream(stack.repo.path)
        store = stack.deployments._store
        return Rerender(
            stack.repo, upstream, stack.publisher, stack.writer, self.today, observe, store
        )

    async def run(self, observe=None, pace=None, **options) -> list[Rendered]:
        opened = self.rerender(observe)
        shards = sorted({*await opened.stale(), *await opened.newer()})
        return await opened.run(shards, pace or Pace(4, 0.2), lambda _: None, **options)

    async def verify(self):
        rendering = self.settings
        stack = self.stack
        again = Recomposition(
            stack.repo, stack.intents, stack.history, stack.check, Templates.load(), rendering
        )
        known = Known(runner_images=[IMAGE, NEW_IMAGE])
        return await Audit(stack.repo, stack.intents, again, known).verify(None, lambda *_: None)


@pytest.fixture
def release(stack, monkeypatch) -> Release:
    return Release(stack, monkeypatch)


@pytest.fixture(autouse=True)
def at_once(monkeypatch) -> None:
    monkeypatch.setattr(rerender, "_STEADY", 0.0)
    monkeypatch.setattr(rerender, "_LOOK_SECONDS", 0.01)


class Health:
    """What a cluster would report; apps in `broken` are not ready with the new manifests."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.broken: set[AppRef] = set()
        self.shards: dict[str, Shard] = {}
        self.looked: list[AppRef] = []

    async def observe(self, refs) -> dict[AppRef, Observation]:
        self.looked += refs
        return {ref: await self._one(ref) for ref in refs}

    async def _one(self, ref: AppRef) -> Observation:
        tip = await self.stack.tip(ref)
        text = (await self.stack.published(ref)).get("kustomization.yaml", b"")
        broken = ref in self.broken and NEW_IMAGE.encode() in text
        pods = [Pod("old", "i", "ready")]
        if broken:
            pods.append(Pod("new", "i", "failed", exit_code=3))
        shard = self.shards.get(shard_of(ref.user_id, 2), Shard(tip, tip, tip))
        work = Workload("i", observed=True, replicas=1, updated=1, ready=1)
        return Observation(shard=shard, workload=work, pods=tuple(pods))


@pytest.fixture
def health(stack) -> Health:
    return Health(stack)


async def made(stack: Stack, ref: AppRef) -> MadeWith | None:
    return made_with.made_with((await stack.published(ref))["kustomization.yaml"])


def made_by(renderer: int, image: str) -> MadeWith:
    """What is said by what was made with these, and with no other settings than at first."""
    return MadeWith(renderer, image, RenderSettings(runner_image=image).digest)


async def test_a_release_changes_nothing_by_itself_and_then_all_by_rerender(stack, release):
    apps = [(await stack.deploy(user)).ref for user in (BOB, ADA, EVE)]
    before = {ref: await stack.tip(ref) for ref in apps}
    release.update(renderer=NOW + 1, image=NEW_IMAGE)
    await stack.look()
    assert {ref: await stack.tip(ref) for ref in apps} == before
    done = await release.run()
    assert [result.state for result in done] == ["done"] * 3
    assert sorted(ref for result in done for ref in result.apps) == sorted(apps)
    assert [await made(stack, ref) for ref in apps] == [made_by(NOW + 1, NEW_IMAGE)] * 3
    for ref in apps:
        files = await stack.published(ref)
        assert NEW_IMAGE.encode() in files["generated/deployment.yaml"]
        assert files["code/user_code.py"] == HELLO.encode()
        told = trailers((await stack.repo.info(await stack.tip(ref))).message)
        assert (told["Renderer-Version"], told["Action"]) == ([str(NOW + 1)], ["rerender"])
    assert (await release.verify()).findings == []
    assert await release.run() == []


async def test_only_what_another_release_made_is_rendered_so_it_goes_on_where_it_was(
    stack, release
):
    first, second = await stack.deploy(BOB), await stack.deploy(ADA)
    release.update(image=NEW_IMAGE)
    third = await stack.deploy(BOB, "Third")
    [[stale]] = (await release.rerender().stale([shard_of("ubob", 2)])).values()
    assert (stale.ref, stale.made_with) == (first.ref, made_by(NOW, IMAGE))
    await release.rerender().run([shard_of("ubob", 2)], Pace(), lambda _: None)
    tip = await stack.tip(first.ref)
    info = await stack.repo.info(tip)
    assert info.message.startswith(f"rerender {first.ref.app_id}\n")
    assert await made(stack, third.ref) == made_by(NOW, NEW_IMAGE)
    assert await made(stack, second.ref) == made_by(NOW, IMAGE), "in another shard"
    assert list(await release.rerender().stale()) == [shard_of("uada", 2)]


async def test_a_neighbours_deploy_restarts_nobody(stack, release):
    app = await stack.deploy(BOB)
    for code in ("# 2\n", "# 3\n"):
        text = (await stack.published(app.ref))["kustomization.yaml"]
        intent = yaml.safe_load(text)["metadata"]["annotations"]["fastapi-platform/intent"]
        stack.live[app.ref] = LiveVersion(intent, f"{app.ref.app_id}-code-abc")
        if code == "# 2\n":
            await stack.deployments.update(BOB, app.ref, AppDraft(code=code + HELLO), None, "r")
    release.update(image=NEW_IMAGE)
    before = await stack.published(app.ref)
    assert any(path.startswith("serving/") for path in before)
    await stack.deploy(BOB, "Two")
    assert await stack.published(app.ref) == before


async def test_the_tenants_own_objects_are_rendered_too(stack, release, monkeypatch):
    app = await stack.deploy(BOB)
    templates = stack.publisher._composer._verdicts._renderer._templates
    texts = {
        name: templates._environment.loader.get_source(None, name)[0]
        for name in templates._environment.list_templates()
    }
    texts["tenant/quota.yaml"] += "# of a new release\n"
    changed = Templates(texts)
    monkeypatch.setattr(templates, "_environment", changed._environment)
    stack.publisher._composer._verdicts._renderer._tenant_objects.cache_clear()
    release.update(renderer=NOW + 1)
    await release.run()
    quota = await stack.repo.read(await stack.tip(app.ref), f"{app.ref.user_id}/quota.yaml")
    assert quota.endswith(b"# of a new release\n")


async def test_a_held_app_is_rendered_from_its_last_accepted_entries(stack, release):
    app = await stack.deploy(BOB)
    code = f"{folder(app.ref)}/code/user_code.py"
    await stack.by_hand({code: FORBIDDEN.encode()})
    await stack.look()
    release.update(image=NEW_IMAGE)
    [result] = await release.run()
    assert (result.state, result.apps) == ("done", [app.ref])
    files = await stack.published(app.ref)
    assert files["code/user_code.py"] == HELLO.encode()
    assert NEW_IMAGE.encode() in files["generated/deployment.yaml"]
    assert stack.hold(app.ref)
    assert [f for f in (await release.verify()).findings if f.branch != "main"] == []


async def test_an_app_of_a_tenant_that_is_held_is_left_and_named(stack, release):
    app = await stack.deploy(BOB)
    tenant = f"{folder(app.ref).rpartition('/')[0]}/tenant.yaml"
    await stack.by_hand({tenant: b"user: somebody\n"})
    await stack.look()
    release.update(image=NEW_IMAGE)
    [result] = await release.run()
    assert (result.state, result.apps) == ("waits", [])
    assert app.ref.app_id in result.message
    assert "tenant.yaml" in result.message
    assert await made(stack, app.ref) == made_by(NOW, IMAGE)


async def test_an_app_that_sleeps_is_rendered_and_goes_on_sleeping(stack, release):
    app = await stack.deploy(BOB)
    asleep = (await stack.intents.app(app.ref)).file.model_copy(update={"state": "hibernated"})
    await stack.by_hand({f"{folder(app.ref)}/app.yaml": dump(asleep)})
    await stack.look()
    release.update(image=NEW_IMAGE)
    [result] = await release.run()
    assert result.apps == [app.ref]
    files = await stack.published(app.ref)
    assert "generated/ingressroute.yaml" not in files
    assert await made(stack, app.ref) == made_by(NOW, NEW_IMAGE)


async def test_a_deploy_that_comes_first_is_published_too_and_by_whom_it_was_is_kept(
    stack, release
):
    app, other = await stack.deploy(BOB), await stack.deploy(BOB, "Other")
    release.update(image=NEW_IMAGE)
    await stack.deployments.update(BOB, app.ref, AppDraft(code=HELLO + "# two\n"), None, "r")
    assert await made(stack, app.ref) == made_by(NOW, NEW_IMAGE)
    assert await made(stack, other.ref) == made_by(NOW, IMAGE)
    await release.run()
    assert await made(stack, other.ref) == made_by(NOW, NEW_IMAGE)
    assert (await release.verify()).findings == []


async def test_it_stops_after_the_first_shard_that_gets_worse(stack, release, health):
    apps = sorted(
        [(await stack.deploy(user)).ref for user in (BOB, ADA, EVE, DAN)],
        key=lambda ref: shard_of(ref.user_id, 2),
    )
    health.broken = set(apps)
    release.update(image=NEW_IMAGE)
    [result] = await release.run(health.observe)
    assert (result.state, result.watched) == ("worse", 1)
    [worse] = result.worse
    assert (worse.ref, worse.message) == (
        apps[0],
        "Your code raised an error while it was imported.",
    )
    assert [await made(stack, ref) for ref in apps[1:]] == [made_by(NOW, IMAGE)] * 3
    health.broken = set()
    release.update(image=NEW_IMAGE)
    again = await release.run(health.observe)
    assert [result.state for result in again] == ["done"] * 3, "the first shard is done already"


async def test_one_shard_goes_first_and_then_several_at_once(stack, release, health):
    for user in (BOB, ADA, EVE, DAN):
        await stack.deploy(user)
    release.update(image=NEW_IMAGE)
    waves = []
    opened = release.rerender(health.observe)
    wave = opened._wave

    async def noted(shards, seconds):
        waves.append(len(shards))
        return await wave(shards, seconds)

    opened._wave = noted
    await opened.run(list(await opened.stale()), Pace(2, 5), lambda _: None)
    assert waves == [1, 2, 1]


async def test_of_two_operators_who_rerender_at_once_the_second_is_told(stack, release, health):
    app = await stack.deploy(BOB)
    release.update(image=NEW_IMAGE)
    first, second = release.rerender(health.observe), release.rerender(health.observe)
    shards = list(await first.stale())
    done = await asyncio.gather(
        *(opened.run(shards, Pace(2, 5), lambda _: None) for opened in (first, second)),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in done) == ["HeldElsewhere", "list"]
    assert await made(stack, app.ref) == made_by(NOW, NEW_IMAGE)


async def test_an_app_that_was_not_ready_before_stops_nothing(stack, release, health):
    app = await stack.deploy(BOB)
    ready = await health.observe([app.ref])

    async def nothing_ready(refs):
        return {ref: replace(ready[ref], workload=None) for ref in refs}

    release.update(image=NEW_IMAGE)
    [result] = await release.run(nothing_ready)
    assert (result.state, result.watched) == ("done", 0)


async def test_a_cluster_that_refuses_the_shard_stops_it_at_once(stack, release, health):
    app = await stack.deploy(BOB)
    tip = await stack.tip(app.ref)
    release.update(image=NEW_IMAGE)
    observe = health.observe

    async def refuses(refs):
        now = await stack.tip(app.ref)
        if now != tip:
            refused = Shard(now, now, tip, apply_error="Deployment/x denied")
            health.shards[shard_of("ubob", 2)] = refused
        return await observe(refs)

    [result] = await release.run(refuses, Pace(4, 600))
    assert result.state == "worse"
    assert result.worse[0].message == "the cluster refuses it: Deployment/x denied"


async def test_what_the_platform_beside_takes_back_stops_it_too(stack, release, health):
    app = await stack.deploy(BOB)
    await stack.deploy(ADA)
    before = await stack.tip(app.ref)
    release.update(image=NEW_IMAGE)
    observe = health.observe

    class Flux:
        async def shard(self, name: str) -> Shard:
            tip = await stack.repo.head(f"flux/{name}")
            words = f"Deployment/user-ubob/{app.ref.app_id} dry-run failed (Invalid): no"
            text = (await stack.published(app.ref))["kustomization.yaml"]
            refused = name == shard_of("ubob", 2) and NEW_IMAGE.encode() in text
            return Shard(tip, tip, before, apply_error=words if refused else None)

    async def beside(refs):
        seen = await observe(refs)
        await Refusals(stack.repo, Flux(), stack.publisher, stack.writer).look()
        return seen

    opened = release.rerender(beside)
    order = [shard_of("ubob", 2), shard_of("uada", 2)]
    [result] = await opened.run(order, Pace(1, 5), lambda _: None)
    assert result.state == "worse"
    assert [worse.ref for worse in result.worse] == [app.ref]
    assert "the cluster refuses it: Deployment/" in result.worse[0].message
    assert await made(stack, app.ref) == made_by(NOW, IMAGE), "as it was applied, to the byte"
    assert stack.hold(app.ref) is None, "it is no fault of its owner's"
    release.update(renderer=NOW + 1, image=IMAGE)
    assert [done.state for done in await release.run()] == ["done", "done"]
    assert await made(stack, app.ref) == made_by(NOW + 1, IMAGE)
    assert await stack.repo.read(await stack.tip(app.ref), QUARANTINE_FILE) is None
    assert (await release.verify()).findings == []


async def test_an_app_that_its_owner_broke_meanwhile_stops_nothing(stack, release, health):
    app = await stack.deploy(BOB)
    release.update(image=NEW_IMAGE)
    health.broken = {app.ref}
    observe = health.observe

    async def while_somebody_deploys(refs):
        seen = await observe(refs)
        if health.looked.count(app.ref) == 2:
            draft = AppDraft(code=HELLO + "# mine\n")
            await stack.deployments.update(BOB, app.ref, draft, None, "r")
        return seen

    [result] = await release.run(while_somebody_deploys)
    assert (result.state, result.worse) == ("done", [])


async def test_a_downgrade_needs_a_word_and_then_deploys_go_on(stack, release):
    app = await stack.deploy(BOB)
    release.update(renderer=NOW + 1)
    await release.run()
    release.update(renderer=NOW)
    assert await release.rerender().newer() == [shard_of("ubob", 2)]
    tip = await stack.tip(app.ref)
    [waits] = await release.run()
    assert waits.state == "waits"
    assert f"newer release (renderer {NOW + 1})" in waits.message
    assert await stack.tip(app.ref) == tip
    [done] = await release.run(accept_older=True)
    assert (done.state, done.apps) == ("done", [app.ref])
    told = trailers((await stack.repo.info(await stack.tip(app.ref))).message)
    assert (told["Renderer-Version"], told["Accepted-Older"]) == ([str(NOW)], [str(NOW + 1)])
    await stack.deployments.update(BOB, app.ref, AppDraft(code=HELLO + "# 2\n"), None, "r")
    assert (await stack.published(app.ref))["code/user_code.py"] == (HELLO + "# 2\n").encode()
    assert (await release.verify()).findings == []


async def test_a_downgrade_is_noted_also_where_no_app_is_left(stack, release):
    app = await stack.deploy(BOB)
    release.update(renderer=NOW + 1)
    await stack.deployments.delete(BOB, app.ref, "r")
    release.update(renderer=NOW)
    [done] = await release.run(accept_older=True)
    assert (done.state, done.apps) == ("done", [])
    new = await stack.deploy(BOB, "New")
    assert await made(stack, new.ref) == made_by(NOW, IMAGE)


async def test_a_shard_that_is_not_there_is_a_clear_error(release):
    with pytest.raises(InvalidRequest, match="no shard zz"):
        await release.rerender().stale(["zz"])


async def test_an_audit_finds_a_rerender_that_is_not_what_the_release_writes(stack, release):
    app = await stack.deploy(BOB)
    release.update(image=NEW_IMAGE)
    await release.run()
    tip = await stack.tip(app.ref)
    info = await stack.repo.info(tip)
    path = f"{app.ref.user_id}/{app.ref.app_id}/generated/service.yaml"
    forged = await stack.repo.compose(info.parent, {path: b"kind: Service\n"}, info.message)
    branch = f"refs/heads/flux/{shard_of('ubob', 2)}"
    move = ["git", "-C", stack.repo.path, "update-ref", branch, forged]
    await asyncio.to_thread(subprocess.run, move, check=True)
    [finding] = (await release.verify()).findings
    assert (finding.commit, finding.rule) == (forged, "composition")


async def test_other_settings_reach_apps_that_nobody_deploys(stack, release):
    ref = (await stack.deploy(BOB)).ref
    release.update(blocked_cidrs=("203.0.113.0/24",), traefik_namespace="router")
    await stack.look()
    namespace = f"{ref.user_id}/network.yaml"
    assert b"203.0.113.0/24" not in await stack.repo.read(await stack.tip(ref), namespace)
    [[stale]] = (await release.rerender().stale()).values()
    assert stale.made_with.differs_from(release.today) == "other settings"
    [done] = await release.run()
    assert (done.state, done.apps) == ("done", [ref])
    network = await stack.repo.read(await stack.tip(ref), namespace)
    assert b"203.0.113.0/24" in network
    assert b'"router"' in network
    assert await release.run() == []


async def test_ceilings_of_the_platform_are_settings_too(stack, release):
    ref = (await stack.deploy(BOB)).ref
    platform = await stack.repo.read(await stack.repo.head("main"), "platform.yaml")
    await stack.by_hand({"platform.yaml": platform.replace(b"cpu: 500m", b"cpu: 750m")})
    await stack.look()
    assert await stack.deploy(ADA)
    opened = release.rerender()
    opened.today = replace(
        opened.today, settings=replace(release.settings, ceilings=Ceilings(cpu="750m")).digest
    )
    assert [[app.ref for app in apps] for apps in (await opened.stale()).values()] == [[ref]]
    await opened.run([shard_of("ubob", 2)], Pace(), lambda _: None)
    assert await opened.stale() == {}
