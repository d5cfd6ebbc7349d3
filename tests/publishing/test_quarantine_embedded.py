"""Quarantine in the embedded way: what its cluster refuses goes back, and is told so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from api.clients.kustomize import Kustomize
from api.domain.drafts import AppDraft
from api.domain.names import shard_of
from api.domain.quarantine import QUARANTINE_FILE, read_quarantine
from api.local import reconciler
from api.local.cluster import LocalCluster
from api.local.objects import AppObjects, NotUnderstood
from api.refusals import Refusals
from api.rollouts import Rollouts
from api.settings import Settings
from tests.product import ROOT, free_port
from tests.publishing.stack import HELLO, account

BOB = account("ubob")


@pytest.fixture
async def cluster(stack, tmp_path, monkeypatch) -> AsyncIterator[LocalCluster]:
    """It refuses an app that sets REFUSED."""

    def rule(objects: AppObjects) -> None:
        if "REFUSED" in objects.template.env:
            raise NotUnderstood("REFUSED may not be set here")

    monkeypatch.setattr(reconciler, "check_routes", rule)
    settings = Settings(
        data_dir=tmp_path,
        apps_port=free_port(),
        runner_python=ROOT / "runner/.venv/bin/python",
    )
    cluster = LocalCluster(settings, stack.repo, Kustomize())
    await cluster.start()
    yield cluster
    await cluster.close()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await holds():  # noqa: ASYNC110  (of git and the cluster, which tell nobody)
            await asyncio.sleep(0.1)


async def test_what_it_refuses_goes_back_while_the_version_before_serves_on(stack, cluster):
    store = stack.deployments._store
    rollouts = Rollouts(
        stack.repo, stack.intents, stack.history, stack.publisher, cluster, store, "http://x"
    )
    refusals = Refusals(stack.repo, cluster, stack.publisher, stack.writer)
    watching = asyncio.create_task(refusals.run(0.1))
    app = await stack.deploy(BOB)

    async def is_live() -> bool:
        return (await rollouts.progress(app.ref)).stage == "live"

    async def is_quarantined() -> bool:
        file = await stack.repo.read(await stack.tip(app.ref), QUARANTINE_FILE)
        return app.ref in read_quarantine(file)

    async def moved_on() -> bool:
        seen = await cluster.shard(shard_of("ubob", 2))
        return seen.applied == await stack.tip(app.ref)

    await until(is_live)
    good = await stack.repo.entry(await stack.tip(app.ref), f"ubob/{app.ref.app_id}")
    draft = AppDraft(code=HELLO + "# two\n", env={"REFUSED": "x"})
    await stack.deployments.update(BOB, app.ref, draft, None, "r")
    await until(is_quarantined)
    assert await stack.repo.entry(await stack.tip(app.ref), f"ubob/{app.ref.app_id}") == good
    shown = await rollouts.progress(app.ref)
    assert (shown.stage, shown.error.stage, shown.error.reason) == ("failed", "applied", "refused")
    assert "REFUSED may not be set here" in shown.error.message
    await until(moved_on)
    status = await rollouts.status(app.ref)
    assert (status.ready, status.commit) == (True, app.commit)
    await stack.deployments.update(
        BOB, app.ref, AppDraft(code=HELLO + "# three\n", env={}), None, "r"
    )
    await until(is_live)
    assert stack.hold(app.ref) is None
    assert refusals.problem is None
    watching.cancel()
