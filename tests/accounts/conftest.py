from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from api.clients import passwords
from api.settings import Settings
from tests.application import Application, application

CLUSTER = {
    "mode": "cluster",
    "secret_key": "s" * 32,
    "mongo_uri": "mongodb://unused.example",
    "base_domain": "platform.example.org",
}


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hashes keep their kind and lose their cost; a test of its own looks at the real ones."""
    monkeypatch.setattr(passwords, "MEMORY_KIB", 8)
    monkeypatch.setattr(passwords, "PASSES", 1)


@pytest.fixture
def settings_for(tmp_path: Path) -> Callable[..., Settings]:
    return lambda **values: Settings(**{"data_dir": tmp_path / "data"} | values)


@pytest.fixture
async def on_mongodb(
    settings_for: Callable[..., Settings], mongo_uri: str
) -> AsyncIterator[Application]:
    """The same with its accounts in MongoDB, as in a cluster."""
    settings = settings_for(**CLUSTER | {"mongo_uri": mongo_uri})
    async with application(settings) as opened:
        yield opened


@pytest.fixture(params=["platform", "on_mongodb"])
def on_either(request: pytest.FixtureRequest) -> Application:
    """The application on SQLite, then on MongoDB."""
    opened: Application = request.getfixturevalue(request.param)
    return opened


@pytest.fixture
async def platform(settings_for: Callable[..., Settings]) -> AsyncIterator[Application]:
    async with application(settings_for()) as opened:
        yield opened
