"""A deploy in a real browser that ends in a pod, and a mistake that its log explains."""

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.conftest import chromium, context, picture, profile  # noqa: F401  (fixtures)
from tests.browser.editor_page import EditorPage
from tests.cluster.platform import Installed
from tests.product import Product

BROKEN = 'from fastapi import FastAPI\n\napp = FastAPI()\n\nPRICES = {}\nprint(PRICES["tea"])\n'


@pytest.fixture
def product(platform: Installed) -> Product:
    """The platform that serves the cluster, in place of the embedded one."""
    return platform.product


def test_a_deploy_in_the_browser_ends_in_a_pod(
    platform: Installed,
    context: BrowserContext,  # noqa: F811  (the fixture that is imported above)
    picture,  # noqa: F811
) -> None:
    editor = EditorPage(context.new_page())
    editor.sign_up("ada")
    editor.begin("Hello API")
    editor.deploy()
    editor.expect_live()
    picture(editor.page, "live")
    assert "Hello, world" in platform.visit(editor.app_url).text
    editor.write(BROKEN)
    editor.deploy()
    expect(editor.stage("starting", "failed")).to_be_visible(timeout=60_000)
    failure = editor.page.get_by_role("tabpanel")
    expect(failure).to_contain_text("KeyError: 'tea'")
    expect(failure.get_by_role("button", name="user_code.py, line 6")).to_be_visible()
    picture(editor.page, "broken")
    assert "Hello, world" in platform.visit(editor.app_url).text
