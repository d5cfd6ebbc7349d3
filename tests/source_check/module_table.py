"""Import every allowed module in the runner's Python; print what else is reached through each.

Arguments: the allowed modules. Output: JSON {"failed": {module: error}, "modules": {module:
{"modules": {attribute: name}, "objects": {attribute: origin}}}}. test_packages.py runs this with
the runner's interpreter; `python -m tests.source_check.module_table` prints the lines of
api/domain/source_modules.py from it.
"""

import importlib
import json
import pkgutil
import subprocess
import sys
import textwrap
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RUNNER = ROOT / "runner" / ".venv" / "bin" / "python"
#: Functions and classes from these are as good as the modules themselves.
DANGEROUS = frozenset(
    [
        "_frozen_importlib",
        "_pickle",
        "_posixsubprocess",
        "code",
        "codecs",
        "concurrent.futures.process",
        "ctypes",
        "fileinput",
        "gc",
        "glob",
        "importlib",
        "importlib.machinery",
        "importlib.metadata",
        "importlib.util",
        "inspect",
        "marshal",
        "mmap",
        "multiprocessing",
        "os",
        "pathlib",
        "pathlib._local",
        "pickle",
        "pkgutil",
        "posix",
        "runpy",
        "shutil",
        "signal",
        "socket",
        "subprocess",
        "sys",
        "tempfile",
    ]
)
HARMLESS = frozenset({"os.PathLike", "sys.intern"})


def modules_below(name: str, failed: dict[str, str]) -> Iterator[types.ModuleType]:
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (any module may fail in any way)
        failed[name] = repr(error)
        return
    yield module
    for info in pkgutil.iter_modules(getattr(module, "__path__", [])):
        if not info.name.startswith("_"):
            yield from modules_below(f"{name}.{info.name}", failed)


def describe(module: types.ModuleType) -> dict[str, dict[str, str]]:
    modules, objects = {}, {}
    for attribute, value in list(vars(module).items()):
        if attribute.startswith("__"):
            continue
        if isinstance(value, types.ModuleType):
            modules[attribute] = value.__name__
        elif isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
            origin = f"{value.__module__}.{value.__name__}"
            if value.__module__ in DANGEROUS and origin not in HARMLESS:
                objects[attribute] = origin
    return {"modules": modules, "objects": objects}


def look(names: list[str]) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    failed: dict[str, str] = {}
    found = {
        module.__name__: describe(module)
        for name in names
        for module in modules_below(name, failed)
    }
    return {"failed": failed, "modules": found}


def look_in_runner(names: list[str]) -> dict[str, Any]:
    answer = subprocess.run(
        [RUNNER, "-I", __file__, *names], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def lines() -> Iterator[str]:
    """The table of source_modules.py, as the runner's packages have it now."""
    from api.domain import source_imports  # noqa: PLC0415  (not there in the runner's Python)

    found = look_in_runner(list(source_imports.ALLOWED))["modules"]
    for module, reached in sorted(found.items()):
        if not source_imports.is_allowed(module):
            continue
        words = []
        for attribute, name in sorted(reached["modules"].items()):
            if not source_imports.is_allowed(name):
                plain = name in (attribute, f"{module}.{attribute}")
                words.append(attribute if plain else f"{attribute}={name}")
        words += [f"{attribute}={name}" for attribute, name in sorted(reached["objects"].items())]
        if words:
            yield from textwrap.wrap(
                f"{module}: {' '.join(words)}", 98, subsequent_indent="  ", break_on_hyphens=False
            )


if __name__ == "__main__":
    if sys.argv[1:]:
        json.dump(look(sys.argv[1:]), sys.stdout)
    else:
        print(*lines(), sep="\n")  # noqa: T201  (for the generated file)
