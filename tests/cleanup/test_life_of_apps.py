"""Apps through days of the platform's clock: real requests, real Traefik, real processes."""

import asyncio
import random
import signal

import psutil
import pytest
from websockets.asyncio.client import connect

from api.clients.gitops_repo import Change
from api.domain.commit_message import person
from api.domain.drafts import AppDraft
from api.domain.names import AppRef, app_path
from api.domain.repo_layout import dump
from api.leases import HeldElsewhere
from api.opening_cleanup import make_cleaner
from tests.cleanup.test_traefik_metrics import served
from tests.cleanup.world import ADA, CODE, HOUR, World, running_world


@pytest.fixture
async def world(tmp_path):
    async with running_world(tmp_path / "data", idle_hours=24, hibernate_hours=6) as made:
        yield made


async def test_a_busy_app_lives_for_thirty_days_and_an_idle_one_sleeps_and_goes(world: World):
    busy, idle = await world.deploy("Busy"), await world.deploy("Idle")
    seed = random.randrange(2**32)  # noqa: S311  (traffic is no secret)
    traffic = random.Random(seed)  # noqa: S311  (likewise)
    end = world.clock.now + 30 * 24 * HOUR
    next_request = world.clock.now
    seen: dict[str, float] = {}
    begun = world.clock.now
    while world.clock.now < end:
        world.clock.pass_by(traffic.uniform(0.7, 0.95) * HOUR)
        if world.clock.now >= next_request:
            assert (await world.get(busy)).json() == {"app": "Busy"}, seed
            next_request = world.clock.now + min(5, traffic.expovariate(0.5)) * HOUR
        # Between a request and its reading the platform's clock may go on.
        await world.activity.read()
        if traffic.random() < 0.15:
            await world.cleaner.run()
            state = await world.state(idle)
            seen.setdefault(state, (world.clock.now - begun) / HOUR)
            assert await world.state(busy) == "running", seed
    assert await world.actions(busy) == ["deploy"]
    assert await world.actions(idle) == ["cleanup", "hibernate", "deploy"]
    assert seen["hibernated"] >= 6
    assert seen["gone"] >= 24
    await world.until_gone(idle)
    assert (await world.get(busy)).json() == {"app": "Busy"}
    # Its tenant's own file stays.
    main = await world.records.intents.tip()
    assert await world.records.repo.read(main, world.path(idle).rpartition("/")[0] + "/tenant.yaml")


async def test_the_platforms_own_questions_are_no_use(world: World):
    app = await world.deploy("Asked")
    for _ in range(20):
        assert await world.cluster._router.intent_at(app)
    before = await world.records.store.last_activity([app])
    world.clock.pass_by(0.5 * HOUR)
    await world.activity.read()
    assert await world.records.store.last_activity([app]) == before
    await world.get(app)
    await world.activity.read()
    assert await world.records.store.last_activity([app]) == {app: world.clock.now}


async def test_a_websocket_that_is_open_for_two_days_keeps_its_app(world: World):
    app = await world.deploy("Talk")
    address = f"ws://127.0.0.1:{world.settings.apps_port}{app_path(app)}/ws"
    async with connect(address) as socket:
        for _ in range(8):
            outcome = await world.after(6 * HOUR)
            assert await world.state(app) == "running"
        assert any("1 connection is open" in each.why for each in outcome.verdicts)
        await socket.send("bye")
        await socket.wait_closed()
    await world.after(5 * HOUR)
    assert await world.state(app) == "running"
    await world.after(25 * HOUR)
    assert await world.state(app) == "gone"


async def test_an_app_that_is_used_while_the_cleaner_is_at_work_survives(world: World):
    used, idle = await world.deploy("Used"), await world.deploy("Idle")

    async def use(ref: AppRef) -> int:
        await world.get(used)
        return await world.cluster.open_requests(ref)

    world.cleaner._ask = use
    outcome = await world.after(25 * HOUR)
    assert [(v.ref, v.fate) for v in outcome.of("remove")] == [(idle, "remove")]
    assert (await world.state(used), await world.state(idle)) == ("running", "gone")


async def test_a_websocket_that_is_opened_after_its_runner_was_asked_keeps_its_app(world: World):
    talk, idle = await world.deploy("Talk"), await world.deploy("Idle")
    address = f"ws://127.0.0.1:{world.settings.apps_port}{app_path(talk)}/ws"
    write, sockets = world.cleaner._write, []

    async def opened(*of) -> object:
        if not sockets:
            sockets.append(await connect(address))
        return await write(*of)

    world.cleaner._write = opened
    outcome = await world.after(25 * HOUR)
    assert (await world.state(talk), await world.state(idle)) == ("running", "gone")
    assert any("1 connection is open" in each.why for each in outcome.of("keep"))
    await sockets[0].close()


async def test_a_router_that_counts_none_of_the_apps_makes_nobody_idle(world: World):
    app = await world.deploy("Shop")
    nothing = b"process_start_time_seconds 7\ntraefik_config_reloads_total 1\n"
    async with served(lambda _: nothing) as other:
        urls, world.activity._routers._urls = world.activity._routers._urls, lambda: [other]
        outcome = await world.after(72 * HOUR)
        assert "addServicesLabels" in (outcome.stopped or "")
        assert await world.state(app) == "running"
        world.activity._routers._urls = urls
    await world.after(25 * HOUR)
    assert await world.state(app) == "gone"


async def test_an_app_that_is_deployed_while_the_cleaner_is_at_work_survives(world: World):
    changed, idle = await world.deploy("Changed"), await world.deploy("Idle")

    deployed: list[AppRef] = []

    async def deploy(ref: AppRef) -> int:
        if not deployed:  # the second question is part of a write, which others wait for
            deployed.append(changed)
            draft = AppDraft(code=CODE % "New")
            await world.deployments.update(ADA, changed, draft, None, "r")
        return await world.cluster.open_requests(ref)

    world.cleaner._ask = deploy
    await world.after(25 * HOUR)
    assert (await world.state(changed), await world.state(idle)) == ("running", "gone")
    await world.until(changed, lambda answer: answer.text == '{"app":"New"}')


async def test_of_two_cleaners_one_cleans_and_nothing_happens_twice(world: World):
    apps = [await world.deploy(f"App {n}") for n in range(3)]
    other = make_cleaner(
        world.settings, world.records, world.activity, world.cluster.open_requests, world.clock
    )
    for _ in range(27):
        world.clock.pass_by(HOUR)
        await world.activity.read()
    results = await asyncio.gather(
        world.cleaner.run(), other.run(), world.cleaner.run(), return_exceptions=True
    )
    assert sum(isinstance(result, HeldElsewhere) for result in results) == 2
    for app in apps:
        assert await world.actions(app) == ["cleanup", "deploy"]
    assert (await world.cleaner.run()).commits == []


async def test_a_cleaner_that_is_ended_at_any_moment_is_followed_by_one_that_ends_the_work(
    world: World,
):
    apps = [await world.deploy(f"App {n}") for n in range(3)]
    for _ in range(27):
        world.clock.pass_by(HOUR)
        await world.activity.read()
    for milliseconds in (0, 5, 10, 20, 40, 80):
        task = asyncio.create_task(world.cleaner.run())
        await asyncio.sleep(milliseconds / 1000)
        task.cancel()
        await asyncio.wait({task})
        world.clock.pass_by(HOUR / 30)  # a lease that it left runs out
    await world.cleaner.run()
    for app in apps:
        assert await world.actions(app) == ["cleanup", "deploy"]
        await world.until_gone(app)


async def test_without_the_routers_counters_nothing_is_removed(world: World):
    app = await world.deploy("Shop")
    urls, world.activity._routers._urls = (
        world.activity._routers._urls,
        lambda: ["http://127.0.0.1:1/metrics"],
    )
    outcome = await world.after(72 * HOUR)
    assert "tells no counters" in (outcome.stopped or "")
    assert outcome.commits == []
    world.activity._routers._urls = urls
    outcome = await world.cleaner.run()
    assert outcome.stopped is None
    assert [each.fate for each in outcome.verdicts] == ["keep"]
    assert "may have been used" in outcome.verdicts[0].why
    await world.after(25 * HOUR)
    assert await world.state(app) == "gone"


async def test_counters_that_begin_anew_remove_nothing_that_was_used_before(world: World):
    app = await world.deploy("Shop")
    await world.after(5 * HOUR)
    await world.get(app)  # and nobody reads that before the router dies
    [router] = [
        child
        for child in psutil.Process().children(recursive=True)
        if child.name() == "traefik" and str(world.settings.data_dir) in " ".join(child.cmdline())
    ]
    router.send_signal(signal.SIGKILL)
    await world.until(app, lambda answer: answer.status_code == 200)
    await world.activity.read()
    outcome = await world.after(5.5 * HOUR)
    assert await world.state(app) == "running"
    outcome = await world.after(2 * HOUR)
    assert [each.fate for each in outcome.verdicts] == ["hibernate"]


async def test_a_pinned_app_stays(world: World):
    app = await world.deploy("Pinned")
    stored = await world.app(app)
    file = stored.file.model_copy(update={"pinned": True})
    await world.records.writer.write(
        Change({f"{world.path(app)}/app.yaml": dump(file)}, "Pin\n", person("ada", "u1"))
    )
    await world.after(72 * HOUR)
    assert await world.state(app) == "running"
