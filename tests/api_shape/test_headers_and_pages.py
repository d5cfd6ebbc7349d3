import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from api.init_repo import init_repo
from api.main import create_app
from api.settings import Settings
from tests.application import Application, application

EVERYWHERE = [
    ("GET", "/"),
    ("GET", "/dashboard"),
    ("GET", "/assets/index-4f2a.js"),
    ("GET", "/missing.png"),
    ("GET", "/api/meta"),
    ("GET", "/api/docs"),
    ("GET", "/api/docs/swagger-ui.css"),
    ("GET", "/api/openapi.json"),
    ("GET", "/api/auth/me"),
    ("GET", "/api/nothing"),
    ("POST", "/api/auth/login"),
    ("OPTIONS", "/api/auth/login"),
    ("GET", "/user/u1/app/shop/"),
    ("GET", "/healthz"),
]


@pytest.fixture
async def client(platform: Application) -> AsyncIterator[httpx2.AsyncClient]:
    async with platform.client() as opened:
        yield opened


@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
async def test_every_answer_keeps_other_origins_out(
    client: httpx2.AsyncClient, method: str, path: str
):
    headers = {
        "Origin": "http://localhost:8001",
        "Access-Control-Request-Method": "POST",
        "Cookie": "session=1",
    }
    answer = await client.request(method, path, headers=headers)
    parts = answer.headers["Content-Security-Policy"].split("; ")
    policy = dict(part.partition(" ")[::2] for part in parts)
    assert policy["default-src"] == policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "set-cookie" not in answer.headers
    if path.startswith("/api/"):
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/", "/dashboard", "/apps/shop-234567", "/packages", "/index.html", "/api-like"]
)
async def test_every_address_of_the_editor_answers_with_its_page(
    client: httpx2.AsyncClient, path: str
):
    answer = await client.get(path)
    assert answer.status_code == 200
    assert "Editor" in answer.text
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Cache-Control"] == "no-cache"
    head = await client.head(path)
    assert (head.status_code, head.text) == (200, "")


async def test_assets_are_kept_for_ever_and_other_files_are_asked_for_again(
    client: httpx2.AsyncClient,
):
    asset = await client.get("/assets/index-4f2a.js")
    assert asset.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    icon = await client.get("/favicon.svg")
    assert icon.headers["Cache-Control"] == "no-cache"
    again = await client.get("/favicon.svg", headers={"If-None-Match": icon.headers["ETag"]})
    assert again.status_code == 304
    missing = await client.get("/assets/index-0000.js")
    assert missing.status_code == 404
    assert "immutable" not in missing.headers.get("Cache-Control", "")


async def test_an_editor_that_is_not_built_says_how_to_build_it(tmp_path: Path):
    settings = Settings(data_dir=tmp_path / "data", frontend_dist=tmp_path / "nothing")
    async with application(settings) as platform, platform.client() as client:
        answer = await client.get("/")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "editor_not_built"
        assert (await client.get("/api/meta")).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_addresses_of_apps_lead_to_the_other_origin(client: httpx2.AsyncClient, method: str):
    path = "/user/u1/app/shop/items/a%2Fb%20c?q=1&q=%C3%A4#x"
    answer = await client.request(method, path)
    assert answer.status_code == 308
    assert answer.headers["Location"] == (
        "http://localhost:8001/user/u1/app/shop/items/a%2Fb%20c?q=1&q=%C3%A4"
    )


@pytest.mark.parametrize(
    "path",
    ["/user//evil.example/", "/user/%0d%0aSet-Cookie:x=1", "/user/..//evil", "/user/@evil"],
)
async def test_no_address_leads_anywhere_else(client: httpx2.AsyncClient, path: str):
    answer = await client.get(path)
    assert "x" not in answer.cookies
    target = answer.headers.get("Location", "http://localhost:8001/")
    location = httpx2.URL(target)
    assert (location.scheme, location.host, location.port) == ("http", "localhost", 8001)
    assert "\n" not in target


async def test_the_documentation_takes_everything_from_its_own_origin(client: httpx2.AsyncClient):
    page = (await client.get("/api/docs")).text
    assert "<script>" not in page
    assert "http" not in page
    for name in ("start.js", "swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"):
        assert f"/api/docs/{name}" in page
        answer = await client.get(f"/api/docs/{name}")
        assert answer.status_code == 200
        assert answer.text
    assert (await client.get("/api/docs/redoc.standalone.js")).status_code == 404
    assert (await client.get("/api/docs/..%2f__init__.py")).status_code == 404
    assert (await client.get("/docs")).text == (await client.get("/")).text


async def test_meta_tells_what_the_editor_must_know(client: httpx2.AsyncClient):
    assert (await client.get("/api/meta")).json() == {
        "mode": "embedded",
        "signup": "open",
        "apps_origin": "http://localhost:8001",
        "isolated": False,
        "idle_hours": 24,
        "max_apps_per_user": 20,
        "max_pinned_apps": 2,
        "version": "0.1.0",
    }


async def test_packages_are_listed_with_the_versions_of_the_runner(
    client: httpx2.AsyncClient, tmp_path: Path
):
    init_repo(tmp_path / "data" / "repo.git")
    answer = await client.get("/api/packages")
    assert answer.status_code == 200
    listed = {package["module"]: package for package in answer.json()["packages"]}
    assert listed["fastapi"]["version"].count(".") == 2
    assert listed["json"] == {
        "module": "json",
        "kind": "standard library",
        "version": None,
        "reason": listed["json"]["reason"],
    }
    assert all(package["reason"] for package in listed.values())
    assert "os" not in listed


def test_every_route_documents_its_errors_in_the_one_shape(tmp_path: Path):
    document = create_app(Settings(data_dir=tmp_path)).openapi()
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            place = f"{method} {path}"
            assert operation["summary"], place
            assert operation["description"], place
            responses = operation["responses"]
            errors = {status: answer for status, answer in responses.items() if status >= "400"}
            assert {"422", "500", "503"} <= set(errors), place
            for answer in errors.values():
                schema = answer["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorAnswer"}, place
            if operation.get("security"):
                assert {"401", "403"} <= set(errors), place


def test_several_applications_live_in_one_process_and_the_description_is_stable(tmp_path: Path):
    one, other = (create_app(Settings(data_dir=tmp_path)).openapi() for _ in range(2))
    assert json.dumps(one) == json.dumps(other)
    assert not list(tmp_path.iterdir())
