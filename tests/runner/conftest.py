"""A runner for a test's files, ended with the test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.runner.running import HELLO, Running


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start a runner with `code` as its user_code.py, or with `files`."""
    numbers = count()
    with ExitStack() as stack:

        def started(code: str = HELLO, **more: Any) -> Running:
            files = more.pop("files", {"user_code.py": code})
            folder = tmp_path / str(next(numbers))
            return stack.enter_context(Running(folder, files, **more))

        yield started
