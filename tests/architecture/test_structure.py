"""What keeps the project readable and that neither the linter nor import-linter can say."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 350
SOURCES = ("api", "runner", "bench", "frontend/src")
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
GENERATED = {Path("frontend/src/api/schema.d.ts")}


def sources(*suffixes: str) -> Iterator[Path]:
    """Every source file of the product, relative to the root, without what tools generated."""
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            relative = path.relative_to(ROOT)
            made = {".venv", "node_modules", "__pycache__"} & set(relative.parts)
            if path.is_file() and path.suffix in suffixes and not made:
                yield relative


def parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=str(path))


def test_no_source_file_outgrows_a_reader():
    long = {
        str(path): lines
        for path in sources(".py", ".ts", ".tsx")
        if path not in GENERATED
        and (lines := len((ROOT / path).read_text(encoding="utf-8").splitlines())) > MAX_LINES
    }
    assert long == {}, "split these along a real seam"


def test_module_names_say_what_is_inside():
    assert [path for path in sources(".py", ".ts", ".tsx") if path.stem.lower() in VAGUE] == []


def test_nothing_is_left_unfinished():
    unfinished = [
        f"{path}:{number}: {line.strip()}"
        for path in sources(".py", ".ts", ".tsx", ".css")
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert unfinished == []


def test_the_domain_never_awaits_and_touches_no_file():
    impure = [
        f"{path}:{node.lineno}"
        for path in sources(".py")
        if path.parts[:2] == ("api", "domain")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith)
        or (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"open", "print", "input"}
        )
    ]
    assert impure == []


def swallowed(handler: ast.ExceptHandler) -> bool:
    """Whether a broad handler neither raises nor reports nor uses what it caught."""
    caught = handler.type
    broad = caught is None or (
        isinstance(caught, ast.Name) and caught.id in {"Exception", "BaseException"}
    )
    speaks = any(
        isinstance(node, ast.Raise)
        or (isinstance(node, ast.Name) and node.id == handler.name)
        or (isinstance(node, ast.Attribute) and node.attr in {"exception", "error", "warning"})
        for statement in handler.body
        for node in ast.walk(statement)
    )
    return broad and not speaks


def test_no_broad_handler_goes_on_as_if_nothing_happened():
    silent = [
        f"{path}:{node.lineno}"
        for path in sources(".py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler) and swallowed(node)
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("try: pass\nexcept Exception: pass", True),
        ("try: pass\nexcept: x = 1", True),
        ("try: pass\nexcept Exception as e: log.exception('no')", False),
        ("try: pass\nexcept Exception as e: raise Other from e", False),
        ("try: pass\nexcept KeyError: pass", False),
    ],
)
def test_the_search_for_silent_handlers_finds_them(source: str, *, expected: bool):
    handlers = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ExceptHandler)]
    assert [swallowed(handler) for handler in handlers] == [expected]
