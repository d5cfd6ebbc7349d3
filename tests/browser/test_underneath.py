"""The app changes by a push while somebody edits it: told, compared, chosen; nothing is lost."""

from pathlib import Path

from playwright.sync_api import BrowserContext, expect

from tests.browser.editor_page import EditorPage
from tests.product import Product, eventually

FIRST = """\
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def home() -> dict[str, str]:
    return {"message": "first version"}
"""
PUSHED = FIRST.replace("first", "pushed")
MINE = FIRST.replace("first", "my own")


def test_a_push_under_unsaved_edits_is_told_and_compared_and_nothing_is_lost(
    context: BrowserContext, product: Product, tmp_path: Path, picture
):
    editor = EditorPage(context.new_page())
    page = editor.page
    editor.sign_up("turing")
    editor.begin("Hello API")
    editor.write(FIRST)
    editor.deploy()
    editor.expect_live()
    editor.write(MINE)
    expect(page.get_by_text("Undeployed changes")).to_be_visible()

    clone = tmp_path / "clone"
    product.git("clone", "-q", str(product.repository), str(clone), cwd=tmp_path)
    user, app = editor.app_url.rstrip("/").split("/user/")[1].split("/app/")
    [code] = clone.glob(f"apps/*/{user}/{app}/code/user_code.py")
    code.write_text(PUSHED, encoding="utf-8")
    product.git("commit", "-qam", "Change it by hand", cwd=clone)
    product.git("push", "-q", "origin", "HEAD:main", cwd=clone)

    notice = page.get_by_text("This app changed since you began this draft.")
    expect(notice).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Undeployed changes")).to_be_visible()
    picture(page, "told")

    compare = page.get_by_role("button", name="Compare")
    compare.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="This app changed since you began")
    expect(dialog).to_contain_text("pushed version")
    expect(dialog).to_contain_text("my own version")
    picture(page, "compared")
    keep = dialog.get_by_role("button", name="Keep as my draft")
    keep.focus()
    page.keyboard.press("Enter")
    expect(notice).to_have_count(0)
    expect(page.get_by_text("Undeployed changes")).to_be_visible()

    editor.deploy()
    editor.expect_live()
    eventually("the draft on top", lambda: "my own version" in product.visit(editor.app_url).text)
