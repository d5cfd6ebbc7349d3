from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.settings import Settings
from tests.application import Application, application


@pytest.fixture
def editor(tmp_path: Path) -> Path:
    """A built editor: a page and an asset."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Editor</title>")
    (folder / "assets" / "index-4f2a.js").write_text("console.log(1)")
    (folder / "favicon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "secret.txt").write_text("outside")
    return folder


@pytest.fixture
async def platform(tmp_path: Path, editor: Path) -> AsyncIterator[Application]:
    settings = Settings(data_dir=tmp_path / "data", frontend_dist=editor)
    async with application(settings) as opened:
        yield opened
