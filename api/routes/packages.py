"""What learners' code may import, with the versions that it will find."""

import asyncio
import functools
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fastapi import APIRouter

from api.dependencies import Intents
from api.domain.source_imports import ALLOWED, module_versions
from api.routes.schemas import Package, Packages

RUNNER_LOCK: Final = Path(__file__).parents[2] / "runner" / "requirements.txt"
router = APIRouter(tags=["platform"])


@router.get("/api/packages")
async def packages(intents: Intents) -> Packages:
    """What may be imported, and why; with what this installation's administrators added."""
    versions = await asyncio.to_thread(_versions)
    settings = await intents.platform(await intents.tip())
    listed = [
        Package(
            module=entry.module,
            kind=entry.kind,
            version=versions[entry.module],
            reason=entry.reason,
        )
        for entry in ALLOWED.values()
    ]
    added = [
        Package(module=module, kind="package", version=None, reason="added by an administrator")
        for module in settings.additional_imports
        if module not in ALLOWED
    ]
    # Apps are checked and run by one version of Python.
    return Packages(python=platform.python_version(), packages=[*listed, *added])


@functools.cache
def _versions() -> Mapping[str, str | None]:
    return module_versions(RUNNER_LOCK.read_text())
