"""From a request to the API to an answer through the router, on a real control plane."""

import asyncio
import itertools
import json
from datetime import datetime
from typing import Any

import httpx2
import pytest

from api.domain.rollout import STAGES
from tests.cluster.markers import LIVE_SECONDS, marked
from tests.cluster.platform import Installed
from tests.product import Person, eventually
from tests.programs.checks import PROGRAMS, Program

#: A failed start is told within 30 s of the commit, as DESIGN promises; a busy machine is slower.
TOLD_SECONDS = 60


BROKEN = {"user_code.py": 'from fastapi import FastAPI\n\napp = FastAPI()\nprices = {}["tea"]\n'}


@pytest.fixture(scope="module")
def learner(platform: Installed) -> Person:
    return platform.product.sign_up()


def update(learner: Person, app: dict[str, Any], files: dict[str, str]) -> dict[str, Any]:
    """Deploy other files; the deploy's answer."""
    return dict(learner.ok("PUT", f"/api/apps/{app['app_id']}", json={"files": files}))


def objects(platform: Installed, app: dict[str, Any]) -> list[str]:
    """What is there of an app, as kind/name."""
    kinds = "deployments,services,configmaps,pods,ingressroutes,middlewares"
    namespace = f"user-{app['user_id']}"
    found = platform.cluster.kubectl("get", kinds, "-n", namespace, "-o", "name").split()
    return [name for name in found if name.partition("/")[2].startswith(app["app_id"])]


def pods(platform: Installed, app: dict[str, Any]) -> list[dict[str, Any]]:
    """The app's pods."""
    selector = f"fastapi-platform/app-id={app['app_id']}"
    namespace = f"user-{app['user_id']}"
    text = platform.cluster.kubectl("get", "pods", "-n", namespace, "-l", selector, "-o", "json")
    return list(json.loads(text)["items"])


def names(platform: Installed, app: dict[str, Any]) -> set[str]:
    """Of the app's pods, those on their way out included."""
    return {pod["metadata"]["name"] for pod in pods(platform, app)}


def test_a_deploy_passes_every_stage_and_answers_through_the_router(
    platform: Installed, learner: Person
) -> None:
    app = learner.create("First", marked("one"))
    seen = []
    with learner.http.stream("GET", f"/api/apps/{app['app_id']}/events") as events:
        for line in events.iter_lines():
            if line.startswith("data:"):
                told = json.loads(line.removeprefix("data:"))
                assert told["commit"] == app["commit"]
                seen.append([stage["state"] for stage in told["stages"]])
    for earlier, later in itertools.pairwise(seen):
        assert later.count("done") >= earlier.count("done"), "a stage that is done stays done"
    last = learner.live(app["app_id"], app["commit"])
    assert [stage["name"] for stage in last["stages"]] == list(STAGES)
    assert {stage["state"] for stage in last["stages"]} == {"done"}
    moments = [datetime.fromisoformat(stage["started_at"]) for stage in last["stages"]]
    started = [moment.replace(microsecond=0) for moment in moments]  # Kubernetes tells no more
    assert started == sorted(started)
    assert platform.visit(app["url"]).json() == {"marker": "one"}


def test_an_update_goes_live_and_a_deletion_leaves_the_other_apps_alone(
    platform: Installed, learner: Person
) -> None:
    one, other = learner.create("One", marked("one")), learner.create("Other", marked("other"))
    for app in (one, other):
        learner.live(app["app_id"], seconds=LIVE_SECONDS)
    changed = update(learner, one, marked("two"))
    learner.live(one["app_id"], changed["commit"], LIVE_SECONDS)
    assert platform.visit(one["url"]).json() == {"marker": "two"}
    before = {pod["metadata"]["uid"] for pod in pods(platform, other)}

    learner.ok("DELETE", f"/api/apps/{one['app_id']}")
    eventually("its objects are gone", lambda: not objects(platform, one), LIVE_SECONDS)
    eventually("its address is gone", lambda: platform.visit(one["url"]).status_code == 404)
    assert platform.visit(other["url"]).json() == {"marker": "other"}
    assert {pod["metadata"]["uid"] for pod in pods(platform, other)} == before


def test_the_old_version_serves_while_a_broken_one_fails_and_a_fix_goes_live(
    platform: Installed, learner: Person
) -> None:
    app = learner.create("Breaks", marked("good"))
    learner.live(app["app_id"], seconds=LIVE_SECONDS)
    broken = update(learner, app, BROKEN)
    failed = learner.settled(app["app_id"], broken["commit"], TOLD_SECONDS)
    assert (failed["stage"], failed["error"]["stage"]) == ("failed", "starting")
    assert (failed["error"]["path"], failed["error"]["line"]) == ("user_code.py", 4)
    assert "KeyError: 'tea'" in failed["error"]["message"]
    assert platform.visit(app["url"]).json() == {"marker": "good"}
    status = learner.ok("GET", f"/api/apps/{app['app_id']}/status")
    assert (status["ready"], status["commit"]) == (True, app["commit"])

    [serving] = [p for p in pods(platform, app) if p["status"]["containerStatuses"][0]["ready"]]
    name, namespace = serving["metadata"]["name"], serving["metadata"]["namespace"]
    platform.cluster.kubectl("delete", "pod", name, "-n", namespace, "--wait=false")
    eventually("another pod of the old version serves", lambda: serves(platform, app, "good"), 60)
    eventually("the deleted one has ended", lambda: name not in names(platform, app), 60)

    fixed = update(learner, app, marked("fixed"))
    learner.live(app["app_id"], fixed["commit"], LIVE_SECONDS)
    assert platform.visit(app["url"]).json() == {"marker": "fixed"}

    path = f"/api/apps/{app['app_id']}/rollback"
    back = learner.ok("POST", path, json={"commit": app["commit"]})
    learner.live(app["app_id"], back["commit"], LIVE_SECONDS)
    assert platform.visit(app["url"]).json() == {"marker": "good"}


def serves(platform: Installed, app: dict[str, Any], marker: str) -> bool:
    """Whether a version answers from a pod that is not on its way out."""
    ready = [p for p in pods(platform, app) if "deletionTimestamp" not in p["metadata"]]
    statuses = [s for p in ready for s in p["status"].get("containerStatuses", [])]
    answer = platform.visit(app["url"])
    return (
        any(status["ready"] for status in statuses)
        and answer.is_success
        and answer.json() == {"marker": marker}
    )


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_works_in_a_pod_as_it_does_anywhere(
    program: Program, platform: Installed, learner: Person
) -> None:
    app = learner.create("Program", program.files, entrypoint=program.entrypoint)
    learner.live(app["app_id"], seconds=LIVE_SECONDS)

    async def visit() -> None:
        async with httpx2.AsyncClient(timeout=20) as http:
            await program.check(platform.address(app["url"]).rstrip("/"), http)

    asyncio.run(visit())
    learner.ok("DELETE", f"/api/apps/{app['app_id']}")
