"""The past of an app in the browser: what changed, and the way back."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.editor_page import EditorPage
from tests.product import Product, eventually

FIRST = """\
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def home() -> dict[str, str]:
    return {"message": "first version"}
"""
SECOND = FIRST.replace("first version", "second version")
REFUSED = "import subprocess\n" + FIRST


@pytest.fixture
def editor(context: BrowserContext) -> EditorPage:
    return EditorPage(context.new_page())


def deploy(editor: EditorPage, text: str) -> None:
    editor.write(text)
    editor.deploy()
    editor.expect_live()


def open_history(page: Page) -> Locator:
    """Follow the editor's link; the entries, newest first."""
    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("heading", name="History of", level=1)).to_be_visible()
    expect(page.get_by_role("main")).to_be_focused()
    return page.get_by_role("listitem").filter(has=page.locator("time"))


def test_an_earlier_version_is_seen_compared_and_brought_back(
    editor: EditorPage, product: Product, picture
):
    page = editor.page
    editor.sign_up("hopper")
    editor.begin("Hello API")
    deploy(editor, FIRST)
    deploy(editor, SECOND)
    url = editor.app_url
    assert "second version" in product.visit(url).text

    entries = open_history(page)
    expect(entries).to_have_count(2)
    expect(entries.nth(0)).to_contain_text("Live now")
    expect(entries.nth(1)).not_to_contain_text("Live now")
    picture(page, "history")

    entries.nth(0).get_by_role("link", name="Deployed changes to user_code.py").click()
    sides = page.locator(".monaco-diff-editor")
    expect(sides.locator(".original .view-lines")).to_contain_text("first version")
    expect(sides.locator(".modified .view-lines")).to_contain_text("second version")
    picture(page, "diff")

    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("heading", name="Created the app", level=1)).to_be_visible()
    address = page.url
    assert re.search(r"/apps/hello-api-\w+/history/[0-9a-f]{40}$", address)
    page.get_by_role("button", name="Roll back to this version").click()
    preview = page.get_by_role("dialog")
    expect(preview).to_contain_text("1 file changes.")
    expect(preview.locator(".modified .view-lines")).to_contain_text("first version")
    picture(page, "preview")
    preview.get_by_role("button", name="Roll back", exact=True).click()
    editor.expect_live()
    expect(entries).to_have_count(3)
    expect(entries.nth(0)).to_contain_text("Rolled back to an earlier version")
    expect(entries.nth(0)).to_contain_text("Live now")
    picture(page, "rolled-back")
    assert "first version" in product.visit(url).text

    # The same address, from nowhere: history is linked to, not only walked to.
    page.goto(address)
    expect(page.get_by_role("heading", name="Created the app", level=1)).to_be_visible()
    assert "first version" in product.visit(url).text


def test_a_version_that_is_refused_says_why_and_opens_in_the_editor(
    editor: EditorPage, product: Product, tmp_path: Path, picture
):
    page = editor.page
    editor.sign_up("lovelace")
    editor.begin("Hello API")
    deploy(editor, FIRST)
    push_by_hand(product, tmp_path, REFUSED)
    page.reload()
    deploy(editor, SECOND)

    entries = open_history(page)
    expect(entries).to_have_count(3)
    expect(entries.nth(1)).to_contain_text("Grace by a git push")
    entries.nth(1).get_by_role("link", name="Changed user_code.py").click()
    page.get_by_role("button", name="Roll back to this version").click()
    preview = page.get_by_role("dialog")
    expect(preview).to_contain_text("1 file changes.")
    preview.get_by_role("button", name="Roll back", exact=True).click()
    expect(preview.get_by_role("alert")).to_contain_text("subprocess")
    picture(page, "refused")
    preview.get_by_role("button", name="Open in the editor").click()
    expect(page.get_by_text("Undeployed changes")).to_be_visible()
    expect(page.locator(".view-lines").first).to_contain_text("import subprocess")
    assert "second version" in product.visit(editor.app_url).text


def push_by_hand(product: Product, folder: Path, text: str) -> None:
    """Change the newest app's code as a person with a clone does."""
    product.git("clone", "-q", "-b", "main", str(product.repository), "clone", cwd=folder)
    clone = folder / "clone"
    newest = product.git("log", "-1", "--format=", "--name-only", cwd=clone).split()
    code = next(clone / path for path in newest if path.endswith("code/user_code.py"))
    code.write_text(text)
    product.git("commit", "-qam", "Try another way", cwd=clone)
    product.git("push", "-q", "origin", "main", cwd=clone)


def test_a_deleted_app_is_restored_from_its_history(editor: EditorPage, product: Product, picture):
    page = editor.page
    editor.sign_up("hamilton")
    editor.begin("Hello API")
    deploy(editor, FIRST)
    url = editor.app_url
    open_history(page)
    address = page.url
    page.go_back()
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Delete app").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete app").click()
    expect(page.get_by_role("heading", name="Ship your first app")).to_be_visible()
    eventually("its address answers no more", lambda: product.visit(url).status_code == 410)

    page.goto(address)
    expect(page.get_by_text("This app is deleted.")).to_be_visible()
    picture(page, "deleted")
    page.get_by_role("button", name="Restore").click()
    editor.expect_live()
    expect(page.get_by_text("This app is deleted.")).to_have_count(0)
    assert "first version" in product.visit(url).text
