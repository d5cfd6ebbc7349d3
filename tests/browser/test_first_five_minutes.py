"""The whole product in its smallest true form, as a person meets it."""

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from api.domain.names import shard_of
from tests.browser.editor_page import EditorPage
from tests.product import PASSWORD, Product, eventually

UPDATED = """\
from fastapi import FastAPI

app = FastAPI(title="Second")


@app.get("/")
def home() -> dict[str, str]:
    return {"message": "second version"}
"""
BROKEN = UPDATED.replace("second version", "third") + "\n\nPRICES = {}\nprint(PRICES['tea'])\n"
BROKEN_LINE = BROKEN.splitlines().index("print(PRICES['tea'])") + 1
FIXED = UPDATED.replace("second version", "fixed version")


@pytest.fixture
def editor(context: BrowserContext) -> EditorPage:
    return EditorPage(context.new_page())


def test_sign_up_deploy_update_break_fix_and_delete(editor: EditorPage, product: Product, picture):
    page = editor.page
    page.goto("/")
    picture(page, "log-in")
    editor.sign_up("ada")
    picture(page, "first-app")
    editor.begin("Hello API")
    picture(page, "starter")

    editor.deploy()
    expect(page.get_by_role("progressbar")).to_be_visible()
    picture(page, "deploying")
    editor.expect_live()
    picture(page, "live")
    url = editor.app_url
    assert re.fullmatch(rf"{product.apps_origin}/user/[a-z0-9]+/app/hello-api-\w+/", url)

    app = open_link(page, "Open app")
    assert "Hello, world" in app.content()
    assert_its_docs_open(page)

    editor.write(UPDATED)
    editor.deploy()
    editor.expect_live()
    app.reload()
    assert "second version" in app.content()

    editor.write(BROKEN)
    editor.deploy()
    expect(editor.stage("starting", "failed")).to_be_visible(timeout=45_000)
    picture(page, "broken")
    failure = page.get_by_role("tabpanel")
    expect(failure).to_contain_text("KeyError: 'tea'")
    place = failure.get_by_role("button", name=f"user_code.py, line {BROKEN_LINE}")
    place.click()
    expect(editor.code).to_be_focused()
    app.reload()
    assert "second version" in app.content()

    editor.write(FIXED)
    editor.deploy()
    editor.expect_live()
    app.reload()
    assert "fixed version" in app.content()

    page.get_by_role("button", name="More actions").click()
    picture(page, "menu")
    page.get_by_role("menuitem", name="Delete app").click()
    picture(page, "delete")
    page.get_by_role("dialog").get_by_role("button", name="Delete app").click()
    expect(page.get_by_role("heading", name="Ship your first app")).to_be_visible()
    picture(page, "deleted")
    eventually("its address answers no more", lambda: product.visit(url).status_code == 410)
    assert_git_tells_the_story(product, url)


def assert_its_docs_open(page: Page) -> None:
    docs = open_link(page, "Open docs")
    # FastAPI's own page; its script comes from another host, which tests do not ask.
    assert docs.title() == "Hello API - Swagger UI"
    described = re.search(r"url: '([^']+openapi.json)'", docs.content())
    assert described
    paths = docs.evaluate("url => fetch(url).then(a => a.json()).then(d => d.paths)", described[1])
    assert "/hello/{name}" in paths
    docs.close()


def open_link(page: Page, name: str) -> Page:
    with page.context.expect_page() as opened:
        page.get_by_role("link", name=name).first.click()
    opened.value.wait_for_load_state()
    return opened.value


def assert_git_tells_the_story(product: Product, url: str) -> None:
    user_id, app_id = re.search(r"/user/([^/]+)/app/([^/]+)/", url).groups()
    folder = f"apps/{shard_of(user_id, 2)}/{user_id}"
    log = product.git("log", "--reverse", "--format=%an|%s", "main", "--", folder)
    deploy = f"ada|deploy {app_id}: Hello API"
    assert log.splitlines() == [deploy] * 4 + [f"ada|delete {app_id}: Hello API"]
    assert '+    return {"message": "second version"}' in product.git("log", "-p", "main")

    branch = f"flux/{shard_of(user_id, 2)}"
    ran = product.git("log", "-p", "--reverse", branch, "--", user_id)
    story = ["Hello, world", "second version", "third", "fixed version"]
    places = [ran.index(f"+{line}") for line in added_lines(ran, story)]
    assert places == sorted(places)
    sources = product.git("log", "--format=%(trailers:key=Source-Commit,valueonly)", branch)
    on_main = product.git("log", "--format=%H", "main").split()
    assert set(sources.split()) <= set(on_main)
    left = product.git("ls-tree", "-r", "--name-only", branch).splitlines()
    assert [path for path in left if app_id in path] == []


def added_lines(patch: str, words: list[str]) -> list[str]:
    """For each word, the first added line that holds it."""
    added = [line[1:] for line in patch.splitlines() if line.startswith("+")]
    return [next(line for line in added if word in line) for word in words]


def test_a_reload_loses_neither_the_draft_nor_the_progress(
    editor: EditorPage, product: Product, picture
):
    editor.sign_up("grace")
    editor.begin("Hello API")
    editor.write(UPDATED)
    editor.page.wait_for_timeout(600)  # a draft is kept a moment after the last key
    editor.page.reload()
    expect(editor.page.get_by_text("second version")).to_be_visible()
    editor.deploy()
    expect(editor.stage("committed", "done")).to_be_visible(timeout=45_000)
    editor.page.reload()
    editor.page.get_by_role("tab", name="Deploy").click()
    editor.expect_live()
    assert product.visit(editor.app_url).json() == {"message": "second version"}


def test_mistakes_are_marked_while_typing(editor: EditorPage, picture):
    editor.sign_up("alan")
    editor.begin("Hello API")
    editor.write("import os\n" + UPDATED)
    editor.page.get_by_role("button", name="1 error").click()
    problem = editor.page.get_by_role("list", name="Problems").get_by_role("button").first
    expect(problem).to_contain_text("os is not available here")
    expect(problem).to_contain_text("user_code.py:1:")
    expect(editor.page.locator(".squiggly-error")).to_be_visible()
    picture(editor.page, "problems")
    editor.code.focus()
    editor.page.keyboard.press("Control+Enter")
    expect(editor.page.get_by_role("list", name="Problems")).to_be_visible()
    expect(editor.page.get_by_role("heading", level=1)).to_have_text("Hello API")


def test_every_page_fits_a_narrow_screen(editor: EditorPage, picture):
    page = editor.page
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto("/")
    assert_no_sideways_scroll(page)
    page.goto("/signup")
    assert_no_sideways_scroll(page)
    editor.sign_up("joan")
    assert_no_sideways_scroll(page)
    picture(page, "dashboard")
    editor.begin("Notes with a page")
    assert_no_sideways_scroll(page)
    picture(page, "editor")
    editor.deploy()
    editor.expect_live()
    assert_no_sideways_scroll(page)
    picture(page, "live")
    for address in ("/", "/packages", "/account"):
        page.goto(address)
        page.get_by_role("heading", level=1).wait_for()
        assert_no_sideways_scroll(page)
        picture(page, address.strip("/") or "apps")


def assert_no_sideways_scroll(page: Page) -> None:
    page.wait_for_load_state("networkidle")
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"{page.url} is {wide} px too wide"


def test_dark_mode_is_dark(editor: EditorPage, picture):
    page = editor.page
    page.emulate_media(color_scheme="dark")
    editor.sign_up("edsger")
    picture(page, "dashboard")
    editor.begin("To-do list")
    picture(page, "editor")
    editor.deploy()
    editor.expect_live()
    picture(page, "live")
    for selector in ("body", ".monaco-editor"):
        colour = page.evaluate(
            "selector => getComputedStyle(document.querySelector(selector)).backgroundColor",
            selector,
        )
        assert max(map(int, re.findall(r"\d+", colour)[:3])) < 80, f"{selector}: {colour}"


def test_everything_can_be_done_with_the_keyboard(editor: EditorPage, product: Product):
    page = editor.page
    page.goto("/")
    tab_to(page, "Sign up")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Sign up")).to_be_visible()
    for label, text in (
        ("Username", "katherine"),
        ("Email", "katherine@example.org"),
        ("Password", PASSWORD),
    ):
        tab_to(page, label)
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    tab_to(page, "Hello API")
    page.keyboard.press("Enter")
    editor.expect_ready()
    tab_to(page, "Code of user_code.py")
    page.keyboard.press("Control+End")
    page.keyboard.type("\n# typed without a pause, and every key of it is kept")
    typed = page.locator(
        ".view-line", has_text="# typed without a pause, and every key of it is kept"
    )
    expect(typed).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(editor.code).not_to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Escape")
    tab_to(page, "Deploy", backwards=True)
    page.keyboard.press("Enter")
    editor.expect_live()
    tab_to(page, "Open app", backwards=True)
    with page.context.expect_page() as opened:
        page.keyboard.press("Enter")
    opened.value.wait_for_load_state()
    assert "Hello, world" in opened.value.content()
    page.bring_to_front()
    tab_to(page, "More actions")
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem").first).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).not_to_be_visible()


FOCUSED = """() => {
  const e = document.activeElement;
  const label = e.labels?.[0]?.innerText ?? e.getAttribute("aria-label") ?? e.innerText ?? "";
  const box = e.getBoundingClientRect();
  // Monaco takes its keys through an element without a size.
  return [label, e !== document.body && (box.width > 0 || e.role === "textbox")];
}"""


def tab_to(page: Page, name: str, *, backwards: bool = False) -> None:
    """Press Tab until what is named has the focus, as somebody without a mouse would."""
    passed = []
    for _ in range(60):
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
        label, visible = page.evaluate(FOCUSED)
        passed.append(label.split("\n")[0])
        if label.startswith(name) and visible:
            return
    raise AssertionError(f"Tab never reaches {name!r}; it passed {passed}")
