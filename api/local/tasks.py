"""Work in the background whose unexpected end is never silent."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

_LOG: Final = logging.getLogger(__name__)


def start(work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
    """Run it; if it fails, the log says so with its name."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_report)
    return task


def _report(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()):
        _LOG.error("%s failed", task.get_name(), exc_info=error)
