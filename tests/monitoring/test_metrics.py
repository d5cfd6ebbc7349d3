"""What /metrics says of deploys, pushes and what waits, counted on the real platform."""

import asyncio
import json
import logging
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from api import deploy_metrics
from api.clients.measured_upstream import MeasuredUpstream
from api.clients.metrics import OUTCOMES, Metrics
from api.deploy_metrics import DeployMetrics
from api.domain.names import AppRef
from api.domain.progress import DeployError, Progress, Stage
from api.domain.rollout import STAGES
from api.errors import AppNotFound, ClusterUnavailable, OutcomeUnknown, RepositoryUnavailable
from tests.product import Product, eventually

HELLO = "from fastapi import FastAPI\n\napp = FastAPI()\n"
REF = AppRef("u1", "shop1")
START = datetime(2026, 1, 1, tzinfo=UTC)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"fastapi_platform_{name}", labels)


def shown(stage: str, commit: str = "c1", error: DeployError | None = None) -> Progress:
    stages = tuple(
        Stage(name, "done", START + timedelta(seconds=n), START + timedelta(seconds=n + 1))
        for n, name in enumerate(STAGES)
    )
    return Progress(stage, 100, "", commit, stages, error)


async def ended(progress, monkeypatch: pytest.MonkeyPatch) -> Metrics:
    """The figures once a deploy was looked at a few times."""
    monkeypatch.setattr(deploy_metrics, "LOOK_SECONDS", 0.001)
    metrics = Metrics()
    deploys = DeployMetrics(metrics)
    with deploys.saving(REF) as saved:
        saved("c1")
    looks = 0

    async def look(ref: AppRef) -> Progress:
        nonlocal looks
        looks += 1
        answer = progress(looks)
        if isinstance(answer, Exception):
            raise answer
        return answer

    task = asyncio.create_task(deploys.run(look))
    async with asyncio.timeout(10):
        while looks < 4 and deploys._open:  # noqa: ASYNC110  (nothing tells when it forgets)
            await asyncio.sleep(0.002)
    await asyncio.sleep(0.01)
    task.cancel()
    return metrics


async def test_a_deploy_that_went_live_is_counted_once_with_its_stages(monkeypatch):
    metrics = await ended(lambda n: shown("starting" if n < 3 else "live"), monkeypatch)
    assert value(metrics, "deploys_total", stage="live", outcome="live") == 1
    assert value(metrics, "deploy_seconds_sum") == 6
    for stage in STAGES:
        assert value(metrics, "deploy_stage_seconds_sum", stage=stage) == 1
    assert value(metrics, "write_seconds_count") == 1


async def test_a_deploy_that_failed_is_counted_at_its_stage(monkeypatch):
    error = DeployError("starting", "crashed", "it crashed", "")
    metrics = await ended(lambda _: shown("failed", error=error), monkeypatch)
    assert value(metrics, "deploys_total", stage="starting", outcome="failed") == 1
    assert value(metrics, "deploy_seconds_count") == 0


async def test_a_deploy_that_a_newer_one_replaced_is_counted_as_such(monkeypatch):
    monkeypatch.setattr(deploy_metrics, "_SURE_SECONDS", 0.0)
    metrics = await ended(lambda _: shown("starting", commit="c2"), monkeypatch)
    assert value(metrics, "deploys_total", stage="live", outcome="superseded") == 1


async def test_a_look_that_began_before_the_deploy_says_nothing_of_it(monkeypatch):
    answers = [shown("live", commit="c0"), shown("live", commit="c0"), shown("live")]
    metrics = await ended(lambda n: answers[min(n, 3) - 1], monkeypatch)
    assert value(metrics, "deploys_total", stage="live", outcome="live") == 1
    assert value(metrics, "deploys_total", stage="live", outcome="superseded") == 0


async def test_while_the_cluster_is_away_a_deploy_is_neither_live_nor_lost(monkeypatch):
    answers = [ClusterUnavailable("away"), ClusterUnavailable("away"), shown("live")]
    metrics = await ended(lambda n: answers[min(n, 3) - 1], monkeypatch)
    assert value(metrics, "deploys_total", stage="live", outcome="live") == 1


async def test_a_deploy_whose_app_is_gone_is_not_waited_for(monkeypatch):
    metrics = await ended(lambda _: AppNotFound("shop1"), monkeypatch)
    assert sum(value(metrics, "deploys_total", stage="live", outcome=o) for o in OUTCOMES) == 0


async def test_a_deploy_of_which_nothing_is_heard_is_lost(monkeypatch):
    monkeypatch.setattr(deploy_metrics, "_LOST_SECONDS", 0.0)
    metrics = await ended(lambda _: shown("fetched"), monkeypatch)
    assert value(metrics, "deploys_total", stage="fetched", outcome="lost") == 1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(RepositoryUnavailable("away"), "not_saved"), (OutcomeUnknown("cut off"), "unknown")],
)
def test_a_deploy_that_was_cut_off_may_have_been_saved(error, outcome):
    metrics = Metrics()
    with pytest.raises(type(error)), DeployMetrics(metrics).saving(REF):
        raise error
    counted = {o for o in OUTCOMES if value(metrics, "deploys_total", stage="committed", outcome=o)}
    assert counted == {outcome}


async def test_a_push_is_timed_by_what_came_of_it():
    class Away:
        problem = "away"

        async def push(self, moves):  # noqa: ARG002  (the protocol)
            raise RepositoryUnavailable("away")

    metrics = Metrics()
    with pytest.raises(RepositoryUnavailable):
        await MeasuredUpstream(Away(), metrics).push([])
    assert value(metrics, "push_seconds_count", outcome="failed") == 1


def test_the_platform_counts_what_people_do(tmp_path):
    with Product(tmp_path / "data") as product:
        ann = product.sign_up("ann")
        app = ann.create("Shop", {"user_code.py": HELLO})
        ann.live(app["app_id"])
        refused = ann.http.post(
            "/api/apps", json={"name": "No", "files": {"user_code.py": "import os\n" + HELLO}}
        )
        assert refused.status_code == 422

        def figures() -> dict[str, float] | None:
            text = product.client().get("/metrics").text
            found = dict(re.findall(r"^(\S+?) ([0-9.e+-]+)$", text, re.MULTILINE))
            live = 'fastapi_platform_deploys_total{outcome="live",stage="live"}'
            return found if float(found.get(live, 0)) else None

        seen = eventually("the deploy is counted", figures)
        assert float(seen['fastapi_platform_deploys_total{outcome="refused",stage="validated"}'])
        assert float(seen['fastapi_platform_push_seconds_count{outcome="moved"}']) >= 1
        assert float(seen['fastapi_platform_deploy_stage_seconds_count{stage="starting"}']) == 1
        for part in product.client().get("/readyz").json():
            assert float(seen[f'fastapi_platform_part_ready{{part="{part}"}}']) == 1
        for name in ("apps_held", "apps_quarantined", "publish_lag_seconds", "waiting_changes"):
            assert float(seen[f"fastapi_platform_{name}"]) == 0
        for secret in (ann.user_id, app["app_id"]):
            assert secret not in product.client().get("/metrics").text


def test_lines_of_the_log_are_json_objects_with_the_request(tmp_path):
    script = (
        "import logging; from api.log import configure_logging, request_id;"
        "configure_logging(form='json'); request_id.set('r-1');"
        "log = logging.getLogger('api.x');"
        "log.info('a\\nb %s', 'ä\\x1b', extra={'status': 200, 'other': 1});"
        "\ntry:\n  1 / 0\nexcept ZeroDivisionError:\n  log.exception('failed')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    first, second = map(json.loads, done.stderr.splitlines())
    assert first["message"] == "a\nb ä\x1b"
    assert (first["request_id"], first["status"], first["level"]) == ("r-1", 200, "INFO")
    assert "other" not in first
    assert "ZeroDivisionError" in second["error"]
    assert "\x1b" not in done.stderr
    assert logging.getLevelName(second["level"]) == logging.ERROR
