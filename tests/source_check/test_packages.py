import os
from typing import Any

import pytest

from api.domain import source_imports, source_modules
from tests.source_check.module_table import ROOT, RUNNER, look_in_runner

LOCK = ROOT / "runner" / "requirements.txt"


@pytest.fixture(scope="module")
def reached() -> dict[str, Any]:
    if not RUNNER.exists():
        why = (
            f"{RUNNER} does not exist: make the runner's environment with `make run` or `make test`"
        )
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return look_in_runner(list(source_imports.ALLOWED))


@pytest.mark.parametrize("module", sorted(source_imports.ALLOWED))
def test_every_allowed_module_is_there_in_the_runner(module: str, reached: dict[str, Any]) -> None:
    assert module in reached["modules"], reached["failed"].get(module)


def test_every_way_out_of_an_allowed_module_is_in_the_table(reached: dict[str, Any]) -> None:
    missing = {
        f"{module}.{attribute}": name
        for module, found in reached["modules"].items()
        if source_imports.is_allowed(module)
        for kind in ("modules", "objects")
        for attribute, name in found[kind].items()
        if (kind == "objects" or not source_imports.is_allowed(name))
        and (module, attribute) not in source_modules.LEADS_TO
    }
    assert missing == {}, "regenerate api/domain/source_modules.py with this package's module_table"


@pytest.mark.parametrize(
    "module", [entry.module for entry in source_imports.ALLOWED.values() if entry.distribution]
)
def test_every_package_has_its_version_in_the_lock(module: str) -> None:
    assert source_imports.module_versions(LOCK.read_text())[module]


def test_the_standard_library_has_no_version_of_its_own() -> None:
    versions = source_imports.module_versions("fastapi==1.2.3\n")
    assert versions["json"] is None
    assert versions["fastapi"] == "1.2.3"


def test_every_module_has_its_reason() -> None:
    assert all(entry.reason for entry in source_imports.ALLOWED.values())
    assert {entry.kind for entry in source_imports.ALLOWED.values()} == {
        "package",
        "standard library",
    }


def test_a_lock_is_read_by_the_names_of_distributions() -> None:
    lock = (
        "# a comment\nfastapi==0.1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "Python_Multipart==0.0.34 ; python_version < '4' \\\n    --hash=sha256:cc\n"
        "uvicorn[standard]==1.0\nnot-pinned>=3\n    --hash=fake==9\n"
    )
    assert source_imports.locked_versions(lock) == {
        "fastapi": "0.1",
        "python-multipart": "0.0.34",
        "uvicorn": "1.0",
    }


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("json", True),
        ("json.decoder", True),
        ("json.tool", False),
        ("asyncio.subprocess", False),
        ("asyncio.tasks", True),
        ("urllib", False),
        ("urllib.parse", True),
        ("urllib.request", False),
        ("concurrent", False),
        ("concurrent.futures", True),
        ("concurrent.futures.process", False),
        ("pydantic._internal", False),
        ("jsonx", False),
        ("fastapi.responses", True),
        ("", False),
        ("logging.handlers", True),
        ("logging.config", False),
        ("http.server", False),
        ("os", False),
    ],
)
def test_a_module_is_allowed_with_what_does_not_lead_out(module: str, *, allowed: bool) -> None:
    assert source_imports.is_allowed(module) is allowed
