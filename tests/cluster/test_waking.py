"""Sleep and waking on a real control plane: gone after the commit, and back by a plain request."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from api.domain.commit_message import COMMITTER, intent_message
from api.domain.names import AppRef
from api.domain.repo_layout import app_folder
from tests.cluster.markers import LIVE_SECONDS, marked
from tests.cluster.plane.cluster import Cluster
from tests.cluster.platform import REPOSITORY, Installed
from tests.cluster.test_deploys import objects, pods
from tests.cluster.waker_route import waker_route
from tests.history.people import Repository
from tests.product import Person, eventually

ROBOT = {"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}
BROWSER = {"Accept": "text/html", "User-Agent": "Mozilla/5.0 Firefox/130.0"}


class Sleeper:
    """An app of a new person, and what strangers get at its public address."""

    def __init__(self, platform: Installed) -> None:
        self.platform = platform
        self.owner: Person = platform.product.sign_up()
        self.app: dict[str, Any] = self.owner.create("Sleeper", marked("awake"))
        self.app_id: str = self.app["app_id"]
        self.owner.live(self.app_id, seconds=LIVE_SECONDS)

    def ask(self, **arguments: Any) -> httpx2.Response:
        return self.platform.visit(self.app["url"], **arguments)

    def sleep(self) -> None:
        commit = self.owner.ok("POST", f"/api/apps/{self.app_id}/hibernate")["commit"]
        self.owner.live(self.app_id, commit, LIVE_SECONDS)

    def falls_to_the_waker(self) -> None:
        eventually(
            "the router leads to the waker",
            lambda: self.ask(headers=ROBOT).headers.get("fastapi-platform-app") == "waiting",
        )


@pytest.fixture(scope="module")
def routed(plane: Cluster, platform: Installed) -> Iterator[Installed]:
    with waker_route(platform):
        yield platform


@pytest.fixture
def sleeper(routed: Installed) -> Sleeper:
    return Sleeper(routed)


def kinds(platform: Installed, app: dict[str, Any]) -> set[str]:
    return {name.partition("/")[0].partition(".")[0] for name in objects(platform, app)}


def test_a_sleeping_app_has_no_pod_and_no_route_and_a_request_wakes_it(sleeper: Sleeper):
    sleeper.sleep()
    eventually("its pod is gone", lambda: not pods(sleeper.platform, sleeper.app), 60)
    assert "ingressroute" not in kinds(sleeper.platform, sleeper.app)
    sleeper.falls_to_the_waker()
    assert sleeper.ask(headers=ROBOT).status_code == 503
    assert sleeper.owner.ok("GET", f"/api/apps/{sleeper.app_id}/status")["status"] == "hibernated"

    answer = sleeper.ask(headers={"Accept": "application/json"})
    if answer.status_code == 503:  # a busy machine is slow: held for as long as may be
        assert answer.json()["error"]["code"] == "app_waking"
        sleeper.owner.live(sleeper.app_id, seconds=LIVE_SECONDS)
        answer = sleeper.ask()
    assert (answer.status_code, answer.json()) == (200, {"marker": "awake"})
    history = sleeper.owner.ok("GET", f"/api/apps/{sleeper.app_id}/history")["entries"]
    assert [entry["action"] for entry in history[:2]] == ["wake", "hibernate"]
    assert history[0]["who"]["kind"] == "visitor"
    eventually(
        "the router leads to the app itself",
        lambda: "fastapi-platform-app" not in sleeper.ask(headers=ROBOT).headers,
    )


def test_an_app_that_the_cleanup_removed_leaves_nothing_and_comes_back(sleeper: Sleeper):
    ref = AppRef(sleeper.app["user_id"], sleeper.app_id)
    git = Repository(sleeper.platform.git.root / REPOSITORY)
    now = int(sleeper.platform.repository("log", "-1", "--format=%ct", "main"))
    message = intent_message("cleanup", [ref], "idle")
    folder = {app_folder(ref, 2): None}
    git.push(folder, message, author=COMMITTER, committer=COMMITTER, at=now)
    eventually("its objects are gone", lambda: not objects(sleeper.platform, sleeper.app), 90)
    sleeper.falls_to_the_waker()
    [listed] = sleeper.owner.ok("GET", "/api/removed-apps")["apps"]
    assert (listed["app_id"], listed["idle"]) == (sleeper.app_id, True)

    page = sleeper.ask(headers=BROWSER)
    if page.status_code == 503:
        assert "waking up" in page.text
        sleeper.owner.live(sleeper.app_id, seconds=LIVE_SECONDS)
        eventually("it answers", lambda: sleeper.ask().status_code == 200)
    assert json.loads(sleeper.ask().text) == {"marker": "awake"}


def test_an_app_that_its_owner_deleted_is_gone(sleeper: Sleeper):
    sleeper.owner.ok("DELETE", f"/api/apps/{sleeper.app_id}")
    eventually("its objects are gone", lambda: not objects(sleeper.platform, sleeper.app), 90)
    eventually("its address says so", lambda: sleeper.ask().status_code == 410)
