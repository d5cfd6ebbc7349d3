"""`python -m api rerender` on a cluster: it sees there what is ready, and what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from api.domain.names import shard_of
from tests.cluster.markers import LIVE_SECONDS, marked
from tests.cluster.platform import Installed
from tests.product import ROOT

#: The admission policies allow the runner's own image only.
REFUSED_IMAGE = "registry.example.org/runner:next"


def rerender(
    platform: Installed, *arguments: str, image: str, source: Path = ROOT
) -> tuple[int, dict[str, Any]]:
    """The exit status of a release's command, and what it says; a refusal under `refused`."""
    done = subprocess.run(
        [sys.executable, "-m", "api", "rerender", "--json", *arguments],
        cwd=source,
        env=os.environ | platform.product.environment() | {"RUNNER_IMAGE": image},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, json.loads(done.stdout or json.dumps({"refused": done.stderr}))


def test_an_image_that_the_policies_refuse_stops_it_and_what_ran_runs_on(
    platform: Installed,
) -> None:
    learner = platform.product.sign_up()
    app = learner.create("Renewed", marked("one"))
    learner.live(app["app_id"], seconds=LIVE_SECONDS)
    shard = shard_of(learner.user_id, 2)
    path = f"flux/{shard}:{learner.user_id}/{app['app_id']}"
    before = platform.repository("rev-parse", path)

    status, report = rerender(platform, "--shards", shard, image=REFUSED_IMAGE)
    assert (status, report["stopped"], report["watched"]) == (1, True, True), report
    [stopped] = report["shards"]
    assert (stopped["state"], stopped["watched"]) == ("worse", 1)
    assert [worse["app_id"] for worse in stopped["worse"]] == [app["app_id"]]
    assert "the cluster refuses it: Deployment/" in stopped["worse"][0]["message"]
    assert platform.visit(app["url"]).json() == {"marker": "one"}

    image = platform.product.settings["RUNNER_IMAGE"]
    status, report = rerender(platform, "--shards", shard, image=image)
    assert (status, report["stopped"]) == (0, False), report
    assert platform.repository("rev-parse", path) == before
    assert platform.visit(app["url"]).json() == {"marker": "one"}
