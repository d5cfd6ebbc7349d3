"""A page of a learner's app, in the browser of somebody who is logged in to the editor."""

from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.product import Person, Product

HOSTILE_APP = """\
from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse

app = FastAPI()


@app.get("/", response_class=HTMLResponse)
def page(response: Response) -> str:
    response.set_cookie("from_the_app", "1")
    return "<!doctype html><title>App</title><h1>Hostile</h1>"
"""
TOKEN = "fastapi-platform.token"


@dataclass
class Scene:
    """The victim's editor and the attacker's page, open in one browser."""

    victim: Person
    editor: Page
    attack: Page
    app_id: str

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script of the attacker's page finds out."""
        return self.attack.evaluate(script, list(arguments))


@pytest.fixture(scope="module")
def hostile(product: Product) -> tuple[Person, dict[str, Any]]:
    attacker = product.sign_up()
    app = attacker.create("Hostile", {"user_code.py": HOSTILE_APP})
    attacker.live(app["app_id"])
    return attacker, app


@pytest.fixture
def scene(product: Product, hostile, context: BrowserContext) -> Scene:
    _, app = hostile
    victim = product.sign_up()
    mine = victim.create("Private", {"user_code.py": HOSTILE_APP})
    editor = context.new_page()
    editor.goto(product.origin)
    editor.evaluate("([key, token]) => localStorage.setItem(key, token)", [TOKEN, victim.token])
    editor.reload()
    editor.get_by_text("Private").first.wait_for()
    attack = context.new_page()
    attack.goto(app["url"])
    return Scene(victim, editor, attack, mine["app_id"])


def test_its_storage_is_another_one(scene: Scene):
    assert scene.editor.evaluate("key => localStorage.getItem(key)", TOKEN) == scene.victim.token
    assert scene.run("() => JSON.stringify({...localStorage, ...sessionStorage})") == "{}"
    assert scene.run("async () => (await indexedDB.databases()).length") == 0
    assert scene.run("async () => (await caches.keys()).length") == 0


FETCH = """async ([url, options]) => {
  try {
    const answer = await fetch(url, options);
    return {type: answer.type, status: answer.status, text: await answer.text()};
  } catch (error) {
    return String(error);
  }
}"""


@pytest.mark.parametrize("credentials", ["omit", "include"])
@pytest.mark.parametrize(
    "path", ["/", "/api/auth/me", "/api/apps", "/api/meta", "/api/openapi.json"]
)
def test_no_answer_of_the_platform_can_be_read(
    scene: Scene, product: Product, credentials: str, path: str
):
    read = scene.run(FETCH, product.origin + path, {"credentials": credentials})
    assert read == "TypeError: Failed to fetch"
    blind = {"credentials": credentials, "mode": "no-cors"}
    assert scene.run(FETCH, product.origin + path, blind) in (
        "TypeError: Failed to fetch",
        {"type": "opaque", "status": 0, "text": ""},
    )


def test_nothing_can_be_changed_from_there(scene: Scene, product: Product):
    url = f"{product.origin}/api/apps/{scene.app_id}"
    for options in (
        {"method": "DELETE", "credentials": "include"},
        {"method": "PUT", "credentials": "include", "body": '{"name": "Stolen"}'},
        {"method": "POST", "credentials": "include", "mode": "no-cors", "body": "{}"},
    ):
        for path in ("", "/restart", "/activity"):
            scene.run(FETCH, url + path, options)
    scene.attack.evaluate(
        """url => {
          document.body.innerHTML = `<iframe name=sink></iframe>
            <form method=post target=sink enctype="text/plain" action="${url}/restart"></form>`;
          document.forms[0].submit();
        }""",
        url,
    )
    scene.attack.wait_for_timeout(300)
    app = scene.victim.ok("GET", f"/api/apps/{scene.app_id}")
    assert app["name"] == "Private"
    assert len(scene.victim.ok("GET", "/api/apps")["apps"]) == 1


def test_the_editor_cannot_be_framed(scene: Scene, product: Product):
    for address in (product.origin, f"{product.origin}/apps/{scene.app_id}"):
        scene.attack.evaluate(
            """url => new Promise(done => {
              const frame = document.createElement("iframe");
              frame.onload = done;
              frame.src = url;
              document.body.append(frame);
            })""",
            address,
        )
        frame = scene.attack.frames[-1]
        assert frame.url.startswith("chrome-error://"), frame.url
        storage = "frames[frames.length - 1].localStorage.length"
        assert scene.run(f"() => {{ try {{ return {storage} }} catch {{ return 'no' }} }}") == "no"


def test_an_opened_editor_is_out_of_reach(scene: Scene, product: Product):
    with scene.attack.context.expect_page() as opened:
        scene.run("([url]) => { window.victim = window.open(url) }", product.origin)
    opened.value.get_by_text("Private").first.wait_for()
    assert opened.value.evaluate("window.opener") is None
    for reach in ("victim.localStorage.length", "victim.document.body", "victim.location.href"):
        script = f"() => {{ try {{ return String({reach}) }} catch {{ return 'no' }} }}"
        assert scene.run(script) in ("no", "undefined", "null", "about:blank"), reach
    assert scene.run("() => victim.closed") is True  # cut off by Cross-Origin-Opener-Policy


def test_the_app_opened_from_the_editor_has_no_way_back(
    context: BrowserContext, product: Product, hostile
):
    attacker, app = hostile
    page = context.new_page()
    page.goto(product.origin)
    page.evaluate("([key, token]) => localStorage.setItem(key, token)", [TOKEN, attacker.token])
    page.goto(f"{product.origin}/apps/{app['app_id']}")
    with context.expect_page() as opened:
        page.get_by_role("link", name="Open app").first.click()
    popup = opened.value
    popup.get_by_text("Hostile").wait_for()
    assert popup.url.startswith(product.apps_origin)
    assert popup.evaluate("window.opener") is None
    assert popup.evaluate("document.referrer") == ""


def test_the_platform_sets_no_cookie_at_all(scene: Scene, product: Product):
    scene.editor.goto(f"{product.origin}/apps/{scene.app_id}")
    scene.editor.wait_for_timeout(500)
    names = [cookie["name"] for cookie in scene.editor.context.cookies()]
    assert names == ["from_the_app"]


def test_a_cookie_of_an_app_means_nothing_to_the_platform(scene: Scene, product: Product):
    scene.run(
        f"([token]) => {{ document.cookie = `{TOKEN}=${{token}}; path=/` }}", scene.victim.token
    )
    scene.run(
        "([token]) => { document.cookie = `access_token=${token}; path=/` }", scene.victim.token
    )
    status = scene.editor.evaluate("async () => (await fetch('/api/auth/me')).status")
    assert status == 401


def test_an_apps_address_on_the_platforms_origin_leads_away(
    context: BrowserContext, product, hostile
):
    _, app = hostile
    page = context.new_page()
    page.goto(app["url"].replace(product.apps_origin, product.origin))
    assert page.url == app["url"]
