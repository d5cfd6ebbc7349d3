"""What belongs to somebody else does not exist, on every route that takes an app's id."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.product import Person, Product

CODE = "from fastapi import FastAPI\n\napp = FastAPI()\n"
#: Bodies that would be accepted from the owner; a new route with a body must be added here.
BODIES: dict[tuple[str, str], Any] = {
    ("put", "/api/apps/{app_id}"): {"name": "Mine now", "files": {"user_code.py": CODE}},
    ("post", "/api/apps/{app_id}/validate"): {"code": CODE},
    ("post", "/api/apps/{app_id}/rollback"): {"commit": "{commit}"},
}


def routes_of_an_app(product: Product) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and operation, from the platform's own description."""
    description = product.client().get("/api/openapi.json").json()
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            if "{app_id}" in path:
                yield method, path, operation


def ask(
    person: Person | httpx2.Client, method: str, path: str, app_id: str, commit: str
) -> httpx2.Response:
    http = person.http if isinstance(person, Person) else person
    url = path.replace("{app_id}", app_id).replace("{commit}", commit)
    body = BODIES.get((method, path))
    if body is not None:
        body = {name: commit if value == "{commit}" else value for name, value in body.items()}
    with http.stream(method.upper(), url, json=body) as answer:
        if answer.headers.get("content-type", "").startswith("application/json"):
            answer.read()
        return answer


@pytest.fixture(scope="module")
def people(product: Product) -> tuple[Person, Person, str, str]:
    """An owner, a stranger, the owner's app and its commit."""
    owner, stranger = product.sign_up(), product.sign_up()
    app = owner.create("Private", {"user_code.py": CODE})
    return owner, stranger, app["app_id"], app["commit"]


def test_every_route_answers_404_to_a_stranger(product: Product, people):
    owner, stranger, app_id, commit = people
    routes = list(routes_of_an_app(product))
    assert len(routes) >= 8
    for method, path, operation in routes:
        if "requestBody" in operation and operation["requestBody"].get("required", True):
            assert (method, path) in BODIES, f"add a body for {method} {path}"
        theirs = ask(stranger, method, path, app_id, commit)
        nobodys = ask(stranger, method, path, "no-such-app", commit)
        assert theirs.status_code == 404, f"{method} {path}: {theirs.status_code}"
        assert theirs.json()["error"]["code"] == "app_not_found", f"{method} {path}"
        said = theirs.text.replace(app_id, "…"), nobodys.text.replace("no-such-app", "…")
        assert said[0] == said[1], f"{method} {path} tells that the app exists"
    assert owner.ok("GET", f"/api/apps/{app_id}")["name"] == "Private"


def test_the_same_requests_find_the_app_when_its_owner_sends_them(product: Product, people):
    owner, _, app_id, commit = people
    for method, path, _operation in routes_of_an_app(product):
        if method != "delete":
            answer = ask(owner, method, path, app_id, commit)
            assert answer.is_success, f"{method} {path}: {answer.status_code}"


def test_every_route_asks_who_is_there(product: Product, people):
    _, _, app_id, commit = people
    nobody = product.client()
    forged = product.client(people[1].token[:-4] + "AAAA")
    for method, path, _ in routes_of_an_app(product):
        for http in (nobody, forged):
            answer = ask(http, method, path, app_id, commit)
            assert answer.status_code == 401, f"{method} {path}: {answer.status_code}"
            assert answer.json()["error"]["code"] == "not_authenticated"


def test_a_list_holds_only_ones_own_apps(people):
    owner, stranger, app_id, _ = people
    assert [app["app_id"] for app in owner.ok("GET", "/api/apps")["apps"]] == [app_id]
    assert stranger.ok("GET", "/api/apps")["apps"] == []


def test_an_app_of_somebody_else_cannot_be_reached_by_a_path_trick(people):
    owner, stranger, app_id, _ = people
    for trick in (
        f"/api/apps/{app_id}%00",
        f"/api/apps/%2e%2e/apps/{app_id}",
        f"/api/apps/{app_id}%0a",
        f"/api/apps/{app_id.upper()}",
        f"/api/apps/{owner.user_id}%2f{app_id}",
        f"/api/apps/x/../{app_id}",
    ):
        answer = stranger.http.get(trick)
        assert answer.status_code in {400, 404, 422}, f"{trick}: {answer.status_code}"
