"""The stack of use cases, and people's git."""

import pytest

from tests.history.people import Repository
from tests.publishing.conftest import sources, stack, template_repo

__all__ = ["sources", "stack", "template_repo"]


@pytest.fixture
def people(stack) -> Repository:
    """The stack's repository, as people with push access have it."""
    return Repository(stack.repo.path)
