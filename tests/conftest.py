"""One real product for all tests that only use it; those that kill it start their own."""

from collections.abc import Iterator

import pytest

from tests.product import Product


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A running platform; every test signs up people of its own."""
    with Product(tmp_path_factory.mktemp("product") / "data") as running:
        yield running
