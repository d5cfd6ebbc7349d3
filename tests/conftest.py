"""One real product for all tests that only use it; those that kill it start their own."""

from collections.abc import Iterator

import pytest

from tests import mongodb
from tests.product import Product


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A running platform; every test signs up people of its own."""
    with Product(tmp_path_factory.mktemp("product") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def mongodb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server that speaks MongoDB's protocol, and that nobody kills."""
    with mongodb.running(tmp_path_factory.mktemp("mongodb")) as uri:
        yield uri


@pytest.fixture
def mongo_uri(mongodb_server: str) -> Iterator[str]:
    """The address of an empty database on it."""
    with mongodb.own_database(mongodb_server) as uri:
        yield uri
