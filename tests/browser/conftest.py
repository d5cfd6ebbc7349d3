"""A real, headless Chromium: the system's own, found by its path; nothing is downloaded."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.product import ROOT, Product

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PICTURES = ROOT / "test-results"
Picture = Callable[[Page, str], None]


# Not for the whole session: while Playwright's loop runs, no asynchronous test can.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        reason = f"no Chromium on this machine (looked for {', '.join(PROGRAMS)})"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    # Chromium's own sandbox cannot be set up by root, as in most containers.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def profile() -> dict[str, Any]:
    """What a browser's profile has beside the usual; a module may have its own."""
    return {}


@pytest.fixture
def context(
    chromium: Browser, product: Product, profile: dict[str, Any]
) -> Iterator[BrowserContext]:
    """A fresh profile; a page of the editor that throws or logs an error fails the test."""
    size = {"width": 1280, "height": 800}
    context = chromium.new_context(base_url=product.origin, viewport=size, **profile)
    context.set_default_timeout(20_000)
    complaints: list[str] = []

    def complain(page: Page | None, text: str) -> None:
        # Chromium logs every answer of 400 and more; some tests are about those.
        ours = page is not None and page.url.startswith(product.origin)
        if ours and "Failed to load resource" not in text:
            complaints.append(text)

    context.on("weberror", lambda error: complain(error.page, str(error.error)))
    context.on(
        "console",
        lambda message: complain(message.page, message.text) if message.type == "error" else None,
    )
    yield context
    context.close()
    assert complaints == []


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Picture:
    """Keeps a screenshot under test-results/, named after the test and the moment."""
    test = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())

    folder = PICTURES / test
    shutil.rmtree(folder, ignore_errors=True)

    def take(page: Page, moment: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.glob("*.png"))) + 1
        page.screenshot(path=folder / f"{number:02}-{moment}.png")

    return take
