"""Sleep, removal and the way back, as a person at a keyboard meets them."""

import time
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from api.domain.commit_message import COMMITTER, intent_message
from api.domain.names import AppRef
from api.domain.repo_layout import app_folder
from tests.browser.editor_page import EditorPage
from tests.history.people import Repository
from tests.product import PASSWORD, Person, Product, eventually

#: Slower than a page is held for: so that whoever opens it sees what is going on.
SLOW = """\
import time

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

time.sleep(4)
app = FastAPI()


@app.get("/", response_class=HTMLResponse)
def home() -> str:
    return "<h1>Good morning</h1>"
"""
SNOOZER = "snoozer"


@pytest.fixture(scope="module")
def owner(product: Product) -> Person:
    return product.sign_up(SNOOZER)


@pytest.fixture
def page(context: BrowserContext, owner: Person) -> Page:
    page = context.new_page()
    page.goto("/")
    page.get_by_label("Username").fill(owner.username)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Apps", exact=True)).to_be_visible()
    return page


def asleep(owner: Person, name: str, code: str = SLOW) -> dict[str, Any]:
    """An app that was live, and sleeps."""
    app = owner.create(name, {"user_code.py": code})
    owner.live(app["app_id"])
    commit = owner.ok("POST", f"/api/apps/{app['app_id']}/hibernate")["commit"]
    owner.live(app["app_id"], commit)
    return app


def clean_up(product: Product, app: dict[str, Any]) -> None:
    """Remove an app as the cleanup does."""
    ref = AppRef(app["user_id"], app["app_id"])
    message = intent_message("cleanup", [ref], app["name"])
    folder = {app_folder(ref, 2): None}
    Repository(product.repository).push(
        folder, message, author=COMMITTER, committer=COMMITTER, at=int(time.time())
    )


def test_a_sleeping_app_is_woken_and_pinned_from_the_dashboard_by_keyboard(
    page: Page, owner: Person, picture
):
    app = asleep(owner, "Sleepy")
    page.goto("/")
    card = page.get_by_role("listitem").filter(has_text="Sleepy")
    expect(card).to_contain_text("Asleep")
    picture(page, "asleep")
    wake = card.get_by_role("button", name="Wake Sleepy")
    wake.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Sleepy is waking up.")).to_be_visible()
    expect(card).to_contain_text("Running", timeout=30_000)
    expect(card.get_by_role("link", name="Open app")).to_be_visible()

    pin = card.get_by_role("button", name="Pin Sleepy")
    expect(pin).to_have_attribute("aria-pressed", "false")
    pin.focus()
    page.keyboard.press("Space")
    expect(pin).to_have_attribute("aria-pressed", "true")
    expect(card).to_contain_text("no limit: pinned")
    picture(page, "pinned")
    owner.live(app["app_id"])


def test_what_was_removed_is_listed_with_its_reason_and_restored(
    page: Page, owner: Person, product: Product, picture
):
    app = asleep(owner, "Forgotten")
    clean_up(product, app)
    deleted = owner.create("Thrown away", {"user_code.py": SLOW.replace("time.sleep(4)\n", "")})
    owner.ok("DELETE", f"/api/apps/{deleted['app_id']}")
    page.goto("/")
    removed = page.get_by_role("region", name="Removed lately")
    expect(removed.get_by_role("listitem")).to_have_count(2, timeout=40_000)
    expect(removed).to_contain_text("Removed just now, for nobody used it.")
    expect(removed).to_contain_text("Deleted just now.")
    picture(page, "removed")
    restore = removed.get_by_role("button", name="Restore Forgotten")
    restore.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Forgotten is coming back.")).to_be_visible()
    card = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Forgotten"))
    expect(card.first).to_contain_text("Running", timeout=30_000)
    picture(page, "restored")

    page.goto(f"/apps/{app['app_id']}/history")
    expect(page.get_by_text("Restored the app").first).to_be_visible()
    expect(page.get_by_text("Removed the app, for nobody used it").first).to_be_visible()
    picture(page, "history")


def test_the_waking_page_shows_how_far_it_is_and_gives_way_to_the_app(
    page: Page, owner: Person, product: Product, picture
):
    app = asleep(owner, "Morning")
    eventually(
        "its route is gone",
        lambda: product.visit(app["url"], headers={"User-Agent": "Googlebot"}).status_code == 503,
    )
    visitor = page.context.new_page()
    answer = visitor.goto(app["url"])
    assert answer
    assert answer.status == 503
    assert "script-src 'sha256-" in answer.headers["content-security-policy"]
    expect(visitor.get_by_role("heading", name="This app is waking up")).to_be_visible()
    expect(visitor.get_by_role("progressbar", name="Progress")).to_be_visible()
    expect(visitor.get_by_role("status")).to_contain_text("starting")
    picture(visitor, "waking")
    expect(visitor.get_by_role("heading", name="Good morning")).to_be_visible(timeout=30_000)
    assert visitor.url == app["url"]


def test_a_sleeping_app_is_woken_in_the_editor_and_its_draft_is_deployed_without_a_conflict(
    page: Page, owner: Person, picture
):
    app = asleep(owner, "Edited")
    editor = EditorPage(page)
    page.goto(f"/apps/{app['app_id']}")
    editor.expect_ready()
    notice = page.get_by_role("region", name="Sleep")
    expect(notice).to_contain_text("This app is asleep.")
    picture(page, "asleep")
    notice.get_by_role("button", name="Wake").click()
    expect(notice).to_be_hidden(timeout=30_000)
    owner.live(app["app_id"])
    editor.write(SLOW.replace("Good morning", "Good evening").replace("time.sleep(4)\n", ""))
    editor.deploy()
    editor.expect_live()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_for_apps_that_do_not_answer(page: Page, product: Product, picture, scheme: str):
    page.emulate_media(color_scheme=scheme)
    answer = page.goto(f"{product.apps_origin}/user/unobody/app/nothing/")
    assert answer
    assert answer.status == 404
    expect(page.get_by_role("heading", name="There is no app here")).to_be_visible()
    picture(page, scheme)
