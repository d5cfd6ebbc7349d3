"""One app's trouble is its own: the other apps of its shard are deployed and go live.

All apps of a user are on the same shard.
"""

from pathlib import Path
from typing import Any

import pytest

from api.domain.names import AppRef
from api.domain.repo_layout import app_folder
from tests.cluster.markers import MarkedApp, marked
from tests.cluster.platform import REPOSITORY, Installed
from tests.cluster.test_quarantine import rule  # noqa: F401  (a fixture)
from tests.product import Person

BROKEN = {"user_code.py": 'from fastapi import FastAPI\n\napp = FastAPI()\nprices = {}["tea"]\n'}
#: A failed start is told within 30 s of the commit; a busy machine is slower.
TOLD_SECONDS = 60


@pytest.fixture(scope="module")
def learner(platform: Installed) -> Person:
    return platform.product.sign_up()


@pytest.fixture(scope="module")
def neighbour(platform: Installed, learner: Person) -> MarkedApp:
    made = MarkedApp.create(platform, learner, "here first")
    made.live(made.app["commit"])
    return made


def goes_on(neighbour: MarkedApp, marker: str) -> None:
    """The neighbour's update and somebody's new app go live."""
    updated = neighbour.deploy(marker)
    new = MarkedApp.create(neighbour.platform, neighbour.owner, f"new, {marker}")
    neighbour.live(updated)
    new.live(new.app["commit"])


def test_an_app_that_crashes_again_and_again_holds_up_nobody(
    learner: Person, neighbour: MarkedApp
) -> None:
    culprit = learner.create("Crashes", BROKEN)
    crashed = learner.settled(culprit["app_id"], culprit["commit"], TOLD_SECONDS)
    assert crashed["stage"] == "failed", crashed
    goes_on(neighbour, "beside a crash")
    told = learner.deploy_status(culprit["app_id"])
    assert (told["error"]["stage"], told["error"]["path"]) == ("starting", "user_code.py")
    assert (told["error"]["line"], told["error"]["message"]) == (4, "KeyError: 'tea'")
    status = learner.ok("GET", f"/api/apps/{culprit['app_id']}/status")
    assert (status["status"], status["ready"]) == ("failed", False)


def test_a_commit_that_the_check_holds_holds_up_nobody_else(
    platform: Installed, learner: Person, neighbour: MarkedApp, tmp_path: Path
) -> None:
    culprit = MarkedApp.create(platform, learner, "accepted")
    culprit.live(culprit.app["commit"])
    forbidden = "import os\n" + marked("forbidden")["user_code.py"]
    commit = commit_by_hand(platform, culprit, {"code/user_code.py": forbidden}, tmp_path)
    goes_on(neighbour, "beside a hold")
    told: dict[str, Any] = learner.settled(culprit.app_id, commit, TOLD_SECONDS)
    assert (told["stage"], told["error"]["stage"]) == ("failed", "committed")
    assert "`os`" in told["error"]["message"]
    assert (told["error"]["path"], told["error"]["line"]) == ("user_code.py", 1)
    culprit.serves("accepted")


@pytest.mark.usefixtures("rule")
def test_an_app_that_only_the_api_server_refuses_holds_up_nobody_for_long(
    learner: Person, neighbour: MarkedApp
) -> None:
    culprit = learner.create("Refused", marked("refused"), env={"REFUSED": "x"})
    goes_on(neighbour, "beside a refusal")
    told = learner.settled(culprit["app_id"], culprit["commit"], TOLD_SECONDS)
    assert (told["stage"], told["error"]["stage"]) == ("failed", "applied")
    assert "REFUSED is set to x" in told["error"]["message"]


def commit_by_hand(platform: Installed, app: MarkedApp, files: dict[str, str], folder: Path) -> str:
    """Push files of an app to `main` as a person with a plain clone does; the commit."""
    git, clone = platform.product.git, folder / "clone"
    git("clone", "-q", "-b", "main", platform.git.url(REPOSITORY), str(clone), cwd=folder)
    for path, text in files.items():
        ref = AppRef(app.owner.user_id, app.app_id)
        (clone / app_folder(ref, len(app.shard)) / path).write_text(text, encoding="utf-8")
    git("commit", "-q", "-a", "-m", "Change it by hand", cwd=clone)
    git("push", "-q", "origin", "HEAD:main", cwd=clone)
    return git("rev-parse", "HEAD", cwd=clone).strip()
