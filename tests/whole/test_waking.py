"""Opening the address of an app that sleeps: it wakes, and the request gets its answer."""

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from api.domain.commit_message import COMMITTER, intent_message
from api.domain.names import AppRef
from api.domain.repo_layout import app_folder
from tests.history.people import Repository
from tests.product import Person, Product, eventually

CODE = """\
from fastapi import FastAPI, Request

app = FastAPI()


@app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "OPTIONS"])
async def show(path: str, request: Request) -> dict[str, object]:
    return {
        "method": request.method,
        "path": path,
        "query": str(request.query_params),
        "body": (await request.body()).decode(),
        "sent": request.headers.get("x-sent"),
    }
"""
BROWSER = {
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
}
ROBOT = BROWSER | {"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}


class Sleeper:
    """An app that was put to sleep, and what strangers get at its address."""

    def __init__(self, product: Product, code: str = CODE) -> None:
        self.product = product
        self.owner: Person = product.sign_up()
        self.app: dict[str, Any] = self.owner.create("Sleeper", {"user_code.py": code})
        self.ref = AppRef(self.owner.user_id, self.app["app_id"])
        self.owner.live(self.ref.app_id)

    def sleep(self) -> "Sleeper":
        """Put it to sleep, and wait until nothing of it answers."""
        commit = self.owner.ok("POST", f"/api/apps/{self.ref.app_id}/hibernate")["commit"]
        self.owner.live(self.ref.app_id, commit)
        eventually("its route is gone", lambda: self.ask(headers=ROBOT).status_code == 503)
        return self

    def remove(self, action: str = "cleanup") -> "Sleeper":
        """Have a commit of the platform take its folder away."""
        message = intent_message(action, [self.ref], "Sleeper")
        edits = {app_folder(self.ref, 2): None}
        repository = Repository(self.product.repository)
        repository.push(edits, message, author=COMMITTER, committer=COMMITTER, at=_now())
        eventually("it is gone", lambda: self.status == "removed")
        eventually("its route is gone", lambda: self.ask(headers=ROBOT).status_code in (410, 503))
        return self

    @property
    def status(self) -> str:
        """What its owner is told."""
        return str(self.owner.ok("GET", f"/api/apps/{self.ref.app_id}/status")["status"])

    @property
    def actions(self) -> list[str]:
        """Its history, newest first."""
        page = self.owner.ok("GET", f"/api/apps/{self.ref.app_id}/history")
        return [entry["action"] for entry in page["entries"]]

    def ask(self, method: str = "GET", path: str = "", **arguments: Any) -> httpx2.Response:
        """What a client gets that follows no redirect."""
        url = self.app["url"] + path
        return httpx2.request(method, url, timeout=30, trust_env=False, **arguments)


def _now() -> int:
    return int(time.time())


@pytest.fixture
def sleeper(product: Product) -> Sleeper:
    return Sleeper(product)


def test_a_plain_get_wakes_a_sleeping_app_and_is_answered_by_it(sleeper: Sleeper):
    answer = sleeper.sleep().ask(path="hello?a=1&a=%2F")
    assert answer.status_code == 200
    assert (answer.json()["path"], answer.json()["query"]) == ("hello", "a=1&a=%2F")
    assert "fastapi-platform-app" not in answer.headers
    assert "content-security-policy" not in answer.headers
    assert sleeper.status == "running"
    assert sleeper.actions[:2] == ["wake", "hibernate"]
    newest = sleeper.owner.ok("GET", f"/api/apps/{sleeper.ref.app_id}/history")["entries"][0]
    assert newest["who"]["kind"] == "visitor"


def test_a_post_arrives_whole_and_once(sleeper: Sleeper):
    body = "x" * 200_000
    answer = sleeper.sleep().ask("POST", "items", content=body, headers={"X-Sent": "yes"})
    assert answer.status_code == 200
    said = answer.json()
    assert (said["method"], said["body"], said["sent"]) == ("POST", body, "yes")


def test_a_body_that_is_too_large_for_the_platform_is_refused_as_such(sleeper: Sleeper):
    answer = sleeper.sleep().ask("POST", content=b"x" * 9_000_000)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


def test_what_the_cleanup_removed_is_brought_back_by_a_visit(sleeper: Sleeper):
    answer = sleeper.remove().ask()
    assert (answer.status_code, answer.json()["method"]) == (200, "GET")
    assert sleeper.actions[:2] == ["wake", "cleanup"]


def test_what_its_owner_deleted_is_gone_and_listed_as_deleted(sleeper: Sleeper):
    sleeper.owner.ok("DELETE", f"/api/apps/{sleeper.ref.app_id}")
    eventually("its address says so", lambda: sleeper.ask().status_code == 410)
    told = sleeper.ask().json()["error"]
    assert told["code"] == "app_deleted"
    page = sleeper.ask(headers=BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (410, "text/html; charset=utf-8")
    refused = sleeper.owner.http.post(f"/api/apps/{sleeper.ref.app_id}/wake")
    assert (refused.status_code, refused.json()["error"]["code"]) == (410, "app_deleted")
    listed = sleeper.owner.ok("GET", "/api/removed-apps")["apps"]
    assert [(app["app_id"], app["idle"]) for app in listed] == [(sleeper.ref.app_id, False)]
    assert sleeper.owner.ok("GET", "/api/apps")["apps"] == []


@pytest.mark.parametrize(
    "visit",
    [
        {"headers": ROBOT},
        {"method": "HEAD"},
        {"headers": BROWSER | {"Sec-Purpose": "prefetch"}},
        {"headers": {"fastapi-platform-probe": "1"}},
        {"headers": {"fastapi-platform-probe": "1", "Accept": "application/json"}},
    ],
    ids=["robot", "head", "prefetch", "probe", "page"],
)
def test_who_does_not_wait_for_an_answer_wakes_nothing(sleeper: Sleeper, visit: dict[str, Any]):
    sleeper.sleep()
    assert sleeper.ask(**visit).status_code == 503
    assert sleeper.status == "hibernated"
    assert sleeper.actions[0] == "hibernate"


def test_many_visitors_at_once_make_one_commit_and_all_are_answered(sleeper: Sleeper):
    sleeper.sleep()
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda n: sleeper.ask(path=str(n)), range(12)))
    assert [answer.json()["path"] for answer in answers] == [str(n) for n in range(12)]
    assert sleeper.actions.count("wake") == 1


def test_an_app_that_cannot_start_says_so_without_its_owners_words(sleeper: Sleeper):
    broken = {"user_code.py": CODE + 'prices = {}["a secret"]\n'}
    sleeper.owner.ok("PUT", f"/api/apps/{sleeper.ref.app_id}", json={"files": broken})
    sleeper.owner.settled(sleeper.ref.app_id)
    answer = sleeper.sleep().ask()
    told = answer.json()["error"]
    assert (answer.status_code, told["code"]) == (503, "app_failed")
    assert "secret" not in answer.text


def test_an_address_that_belongs_to_no_app_is_not_found(product: Product, sleeper: Sleeper):
    for path in (
        "/user/unobody/app/nothing/",
        f"/user/{sleeper.ref.user_id}/app/nothing",
        "/user/",
    ):
        answer = product.visit(product.apps_origin + path, headers=BROWSER)
        assert (answer.status_code, "no app here" in answer.text) == (404, True), path
    told = product.visit(f"{product.apps_origin}/user/unobody/app/nothing/x").json()["error"]
    assert told["code"] == "app_unknown"


def test_nothing_of_the_platform_is_on_the_apps_origin(product: Product):
    for path in ("/api/meta", "/healthz", "/", "/api/auth/login"):
        host = f"localhost:{product.apps_port}"
        answer = product.client().get(path, headers={"Host": host})
        assert answer.status_code == 404, path
        assert answer.headers["fastapi-platform-app"] == "waiting"


@pytest.mark.parametrize(
    "path",
    [
        "/user/{u}/app/{a}/../../../../api/meta",
        "/user/{u}/app/{a}/%2e%2e/%2e%2e/app/{a}/",
        "/user/{u}/app/{a}%00/",
        "/user/{u}/app/{a}%2f..%2fx",
        "/user/{u}/app/" + "a" * 5000,
        "/user/{u}/app/{a}/<script>alert(1)</script>",
        "/user/%F0%9F%98%80/app/{a}/",
        "/user/{u}/app/{a}\\x",
    ],
)
def test_hostile_paths_get_an_answer_and_no_app(sleeper: Sleeper, path: str):
    sleeper.sleep()
    product = sleeper.product
    connection = http.client.HTTPConnection("127.0.0.1", product.apps_port, timeout=30)
    target = path.format(u=sleeper.ref.user_id, a=sleeper.ref.app_id)
    connection.putrequest("GET", target, skip_host=True)
    connection.putheader("Host", f"localhost:{product.apps_port}")
    connection.putheader("Accept", "text/html")
    connection.putheader("User-Agent", "Googlebot/2.1")
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    assert answer.status in {400, 404, 503}
    assert "alert(1)" not in body
    assert sleeper.status == "hibernated"


def test_waking_is_limited_for_each_app(sleeper: Sleeper):
    statuses = []
    for _ in range(7):
        sleeper.sleep()
        answer = sleeper.ask()
        statuses.append(answer.status_code)
    assert statuses == [200] * 6 + [429]
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["error"]["code"] == "app_busy"
    sleeper.owner.ok("POST", f"/api/apps/{sleeper.ref.app_id}/wake")  # its owner still may
    sleeper.owner.live(sleeper.ref.app_id)


def test_pins_are_shown_and_limited(sleeper: Sleeper):
    app_id = sleeper.ref.app_id
    assert sleeper.owner.ok("POST", f"/api/apps/{app_id}/pin")["pinned"] is True
    [listed] = sleeper.owner.ok("GET", "/api/apps")["apps"]
    assert (listed["pinned"], listed["expires_at"]) == (True, None)
    assert sleeper.owner.ok("DELETE", f"/api/apps/{app_id}/pin")["pinned"] is False
    assert json.loads(sleeper.ask().text)["method"] == "GET"
