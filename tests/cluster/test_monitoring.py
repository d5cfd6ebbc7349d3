"""A real Prometheus scrapes the served platform: every panel and every alert finds its series."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from tests.cluster.build import programs
from tests.product import ROOT, Product, eventually, free_port

FOLDER = ROOT / "deploy/components/monitoring"
APP = "from fastapi import FastAPI\n\napp = FastAPI()\n"
BROKEN = APP + "raise RuntimeError('no')\n"
RULES = yaml.safe_load((FOLDER / "rules.yaml").read_text())["spec"]
ALERTS = {rule["alert"]: rule["expr"] for group in RULES["groups"] for rule in group["rules"]}


def queries() -> dict[str, str]:
    """Every query of the dashboard by its panel; Grafana's interval as it would fill it in."""
    board = json.loads((FOLDER / "dashboard.json").read_text())
    return {
        f"{panel['title']} {target['refId']}": target["expr"].replace("$__rate_interval", "1m")
        for panel in board["panels"]
        for target in panel.get("targets", ())
    }


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(yaml.safe_dump(RULES))
    return path


@pytest.fixture(scope="module")
def prometheus(rules: Path) -> Iterator[httpx2.Client]:
    """Scrapes a platform on which people deployed, and failed to, and were refused."""
    folder = rules.parent
    with Product(folder / "data") as product:
        address = f"127.0.0.1:{product.port}"
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "scrape_configs": [
                {"job_name": "platform", "static_configs": [{"targets": [address]}]}
            ],
            "rule_files": [str(rules)],
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        port = free_port()
        command = [
            str(programs(["prometheus"])["prometheus"]),
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                eventually("Prometheus is ready", lambda: _is_ready(client))
                served = "fastapi_platform_info"
                eventually("Prometheus has scraped", lambda: _value(client, served))
                _use(product)
                time.sleep(5)  # a few scrapes more, from which rates are made
                yield client
        finally:
            process.terminate()
            process.wait(30)


def _use(product: Product) -> None:
    ann = product.sign_up()
    app = ann.create("Shop", {"user_code.py": APP})
    ann.live(app["app_id"])
    ann.http.put(f"/api/apps/{app['app_id']}", json={"code": BROKEN})
    ann.settled(app["app_id"])
    refused = ann.http.post("/api/apps", json={"name": "No", "code": "import os\n" + APP})
    assert refused.status_code == 422
    shown = 'fastapi_platform_deploys_total{outcome="failed",stage="starting"} 1.0'
    eventually("both are counted", lambda: shown in product.client().get("/metrics").text)


def _is_ready(client: httpx2.Client) -> bool:
    with suppress(httpx2.TransportError):
        return client.get("/-/ready").status_code == 200
    return False


def _value(client: httpx2.Client, query: str) -> list[dict[str, Any]]:
    answer = client.get("/api/v1/query", params={"query": query})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"]["result"])


@pytest.mark.parametrize("panel", queries())
def test_every_query_of_the_dashboard_finds_series(prometheus: httpx2.Client, panel: str):
    found = _value(prometheus, queries()[panel])
    assert found
    assert any(series["value"][1] != "NaN" for series in found), found


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_looks_at_series_that_are_there(prometheus: httpx2.Client, alert: str):
    """The alert itself is silent; what it compares with its limit has a value."""
    assert _value(prometheus, ALERTS[alert]) == []
    compared, limit = re.fullmatch(r"(.*?)(?: (?:>|==) [0-9.]+)?", ALERTS[alert]).group(1, 0)
    if compared == limit:
        compared = limit.removeprefix("absent(").removesuffix(")")
    found = _value(prometheus, compared)
    assert found
    assert any(series["value"][1] != "NaN" for series in found), found


def test_prometheus_loads_the_rules_and_none_fails(prometheus: httpx2.Client):
    def loaded() -> list[dict[str, Any]]:
        groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return rules if all(rule["health"] == "ok" for rule in rules) else []

    assert {rule["name"] for rule in eventually("all are evaluated", loaded)} == set(ALERTS)


def test_every_alert_fires_when_it_should(tmp_path: Path):
    cases = Path(__file__).with_name("alerts.yaml")
    (tmp_path / "alerts.yaml").write_text(cases.read_text())
    said = {"annotations": {}}  # promtool would compare every word
    groups = [
        {**group, "rules": [{**rule, **said} for rule in group["rules"]]}
        for group in RULES["groups"]
    ]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    tool = programs(["promtool"])["promtool"]
    done = subprocess.run(
        [tool, "test", "rules", "alerts.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tried = {
        case["alertname"]
        for test in yaml.safe_load(cases.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert tried == set(ALERTS)


def test_every_alert_says_what_to_do():
    for group in RULES["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in {"critical", "warning", "info"}
            assert rule["annotations"]["summary"]
            assert rule["annotations"]["description"]
    page = (ROOT / "docs/monitoring.md").read_text()
    assert re.findall(r"^\| `([A-Z][A-Za-z]+)` \|", page, re.MULTILINE) == list(ALERTS)
