"""Hostile values in every field that a user controls, sent over HTTP to the real product."""

import json
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from api.domain.names import shard_of
from tests.product import Person, Product

CODE = "from fastapi import FastAPI\n\napp = FastAPI()\n"
HOSTILE = {
    "empty": "",
    "space": " ",
    "newline": "a\nb: c",
    "document end": "---\nkind: ClusterRoleBinding\n---",
    "anchor": "&a [*a, *a]",
    "tag": "!!python/object/apply:os.system [id]",
    "expression": "{{ 7 * 7 }}{{ settings.secret_key }}",
    "statement": "{% for x in (1).__class__.__mro__ %}x{% endfor %}",
    "substitution": "${HOME} $(HOME) $$ $(PATH)",
    "boolean": "yes",
    "float": "1e3",
    "hexadecimal": "0x1f",
    "null": "~",
    "date": "2001-01-01",
    "quotes": "\"'`\\",
    "markup": "<script>alert(1)</script>",
    "CRLF": "a\r\nb",
    "carriage return": "a\rb",
    "tab": "a\tb",
    "NUL": "a\x00b",
    "bell": "a\x07b",
    "C1": "a\x85b\x9f",
    "line separator": "a\u2028b\u2029c",
    "right to left": "a\u202egpj.exe",
    "byte order mark": "\ufeffa",
    "non-character": "a\uffffb\ufffe",
    "lone surrogate": "a\ud800b",
    "emoji": "\U0001f680 ok",
    "twins": "e\u0301 \u00e9",
    "path": "../../etc/passwd",
    "long": "x" * 10_000,
    "SQL": "'; DROP TABLE accounts; --",
    "shell": "; rm -rf ~ #",
}
by_name = pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())


def send(http: httpx2.Client, method: str, path: str, body: Any) -> httpx2.Response:
    """Send JSON in ASCII: lone surrogates cannot be sent in UTF-8."""
    headers = {"Content-Type": "application/json"}
    return http.request(method, path, content=json.dumps(body).encode("ascii"), headers=headers)


def assert_refused_or_done(answer: httpx2.Response) -> bool:
    """Never a server error, and a refusal says what, where and what next; whether it was done."""
    if answer.is_success:
        return True
    assert 400 <= answer.status_code < 500, f"{answer.status_code}: {answer.text[:500]}"
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "hint", "details"}
    assert error["code"]
    assert error["message"]
    assert error["hint"]
    return False


@pytest.fixture(scope="module")
def owner(product: Product) -> Person:
    return product.sign_up()


@pytest.fixture(scope="module")
def app(owner: Person) -> dict[str, Any]:
    created = owner.create("Target", {"user_code.py": CODE})
    owner.live(created["app_id"])
    return created


@by_name
@pytest.mark.parametrize("field", ["name", "value", "content"])
def test_what_is_accepted_is_kept_as_it_is(
    owner: Person, app: dict[str, Any], field: str, value: str
):
    url = f"/api/apps/{app['app_id']}"
    bodies: dict[str, Any] = {
        "name": {"name": value},
        "value": {"env": {"VALUE": value}},
        "content": {"files": {"user_code.py": CODE, "static/note.txt": value}},
    }
    before = owner.ok("GET", url)
    done = assert_refused_or_done(send(owner.http, "PUT", url, bodies[field]))
    after = owner.ok("GET", url)
    kept = {
        "name": after["name"],
        "value": after["env"].get("VALUE"),
        "content": after["files"].get("static/note.txt"),
    }[field]
    if done:
        assert kept == value
    else:
        assert {**after, "status": None} == {**before, "status": None}


@by_name
@pytest.mark.parametrize("field", ["variable", "path", "entrypoint", "base_commit"])
def test_names_and_paths_are_refused_or_kept(
    owner: Person, app: dict[str, Any], field: str, value: str
):
    url = f"/api/apps/{app['app_id']}"
    bodies: dict[str, Any] = {
        "variable": {"env": {value: "x"}},
        "path": {"files": {"user_code.py": CODE, value: "x = 1\n"}},
        "entrypoint": {"entrypoint": value},
        "base_commit": {"name": "Target", "base_commit": value},
    }
    if assert_refused_or_done(send(owner.http, "PUT", url, bodies[field])):
        after = owner.ok("GET", url)
        assert field not in {"path", "entrypoint", "base_commit"}
        assert after["env"] == {value: "x"}


@by_name
def test_accounts_are_refused_or_usable(product: Product, value: str):
    http = product.client()
    good = {"username": "somebody", "email": "somebody@example.org", "password": "long enough 1234"}
    for field in ("username", "email", "invitation"):
        assert_refused_or_done(send(http, "POST", "/api/auth/signup", {**good, field: value}))
    for field in ("username", "password"):
        login = {"username": "nobody-here", "password": "wrong", field: value}
        assert not assert_refused_or_done(send(http, "POST", "/api/auth/login", login))


@by_name
def test_a_password_may_be_anything_that_is_long_enough(product: Product, value: str):
    http = product.client()
    name = f"pw-{abs(hash(value)) % 10**9}"
    account = {"username": name, "email": f"{name}@example.org", "password": value}
    if assert_refused_or_done(send(http, "POST", "/api/auth/signup", account)):
        login = send(http, "POST", "/api/auth/login", {"username": name, "password": value})
        assert login.status_code == 200


@by_name
def test_ids_in_addresses_are_not_found(owner: Person, value: str):
    text = value.encode("utf-8", "replace").decode()[:2000]
    if not text:
        return  # an empty segment is another address
    for path in ("/api/apps/{}", "/api/apps/{}/deploy-status", "/api/apps/{}/logs"):
        answer = owner.http.get(path.format(quote(text, safe="")))
        assert answer.status_code in {400, 404, 422}, answer.text


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"name": 1}', b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "cut", "list", "null", "text", "nothing", "type", "bytes", "deep"],
)
def test_bodies_that_are_none(owner: Person, content: bytes):
    headers = {"Content-Type": "application/json"}
    for path in ("/api/apps", "/api/apps/validate", "/api/auth/login", "/api/auth/signup"):
        answer = owner.http.post(path, content=content, headers=headers)
        assert not assert_refused_or_done(answer)


def test_a_body_of_many_megabytes_is_refused(owner: Person):
    answer = owner.http.post("/api/apps", json={"name": "Big", "files": {"a.py": "#" * 20_000_000}})
    assert not assert_refused_or_done(answer)


def test_hostile_values_reach_the_app_and_its_manifests_byte_for_byte(
    product: Product, owner: Person
):
    url_safe = {
        f"V{number}": value
        for number, (name, value) in enumerate(HOSTILE.items())
        if name not in {"NUL", "bell", "C1", "non-character", "lone surrogate", "long"}
    }
    fields = "\n".join(f'    {name}: str = "absent"' for name in url_safe)
    code = (
        "from fastapi import FastAPI\nfrom pydantic_settings import BaseSettings\n\n\n"
        f"class Settings(BaseSettings):\n{fields}\n\n\napp = FastAPI()\n\n\n"
        '@app.get("/")\ndef root() -> dict[str, str]:\n    return Settings().model_dump()\n'
    )
    created = owner.create("Every value", {"user_code.py": code}, env=url_safe)
    owner.live(created["app_id"])
    assert product.visit(created["url"]).json() == url_safe
    branch = f"flux/{shard_of(owner.user_id, 2)}"
    folder = f"{owner.user_id}/{created['app_id']}"
    manifest = product.git("show", f"{branch}:{folder}/generated/deployment.yaml")
    assert manifest.isascii()
    assert manifest.count("\nkind: ") + manifest.startswith("kind: ") == 1
