"""What runs, but probably not as meant: unknown and unused names, shadowed routes, a second app."""

import __future__

import ast
import builtins
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from api.domain.source_resolve import Project
from api.domain.source_scopes import Binding, Facts, Scope
from api.domain.source_text import Diagnostic, Source

_KNOWN: Final = frozenset(dir(builtins)) | frozenset(
    [
        "__file__",
        "__path__",
        "__annotations__",
        "__cached__",
        "__dict__",
        "__class__",
        "__module__",
        "__qualname__",
        "__conditional_annotations__",
        "exit",
        "quit",
        "copyright",
        "credits",
        "license",
        "help",
        "WindowsError",
    ]
)
_HELPED: Final = 10  # names that are compared with known ones: it takes time
_COMPARED: Final = 300  # routes or names that another one is compared with
_METHODS: Final = frozenset(
    ["get", "post", "put", "delete", "patch", "options", "head", "trace", "websocket"]
)
_PARAMETER: Final = re.compile(r"\{[^{}/]+?(:path)?\}")


def check_warnings(
    source: Source, facts: Facts, project: Project, entrypoint: str
) -> Iterator[Diagnostic]:
    """Warnings of one file; none of them keeps an app from being deployed."""
    yield from _unknown_names(source, facts, project)
    yield from _unknown_members(source, facts, project)
    if not facts.path.endswith("__init__.py"):
        yield from _unused(source, facts)
    yield from _shadowed_routes(source, facts)
    if facts.path == entrypoint:
        yield from _second_app(source, facts, project)


def _unknown_names(source: Source, facts: Facts, project: Project) -> Iterator[Diagnostic]:
    if any(module not in project.modules for module in facts.stars):
        return
    told: set[str] = set()
    for node, scope in (*facts.loads, *facts.bases):
        name = node.id
        if name in _KNOWN or name in told or scope.find(name) is not None:
            continue
        if project.gives_by_star(name, facts):
            continue
        told.add(name)
        near = _alike(name, facts) if len(told) <= _HELPED else []
        hint = f"Did you mean `{near[0]}`?" if near else "Define or import it first."
        yield source.at(
            node, "unknown_name", f"`{name}` is defined nowhere.", hint, severity="warning"
        )


def _alike(name: str, facts: Facts) -> list[str]:
    known = [one for one in (*facts.scope.bindings, *_KNOWN) if one[0] == name[0]]
    return difflib.get_close_matches(name, known[:_COMPARED], 1, 0.8)


def _unknown_members(source: Source, facts: Facts, project: Project) -> Iterator[Diagnostic]:
    for bindings in facts.scope.bindings.values():
        for binding in bindings:
            if binding.how != "member" or binding.value[0] not in project.facts:
                continue
            module, name = binding.value
            there = project.facts[module]
            if (
                name in there.scope.bindings
                or any(star not in project.modules for star in there.stars)
                or "__getattr__" in there.scope.bindings
                or project.member(module, name)
                or name.startswith("__")
            ):
                continue
            yield source.at(
                binding.node,
                "unknown_name",
                f"`{there.path}` defines no `{name}`.",
                "Define it there, or correct the name.",
                severity="warning",
            )


def _unused(source: Source, facts: Facts) -> Iterator[Diagnostic]:
    used = {node.id for node, _ in (*facts.loads, *facts.bases)} | _exported(facts) | {"app"}
    for scope in facts.scopes.values():
        if scope.kind not in ("module", "function"):
            continue
        for name, bindings in scope.bindings.items():
            if name in used or name.startswith("_") or name in scope.outer:
                continue
            what = _unused_what(bindings[0], scope)
            if what is None or len(bindings) > 1:
                continue
            node = bindings[0].node
            if isinstance(node, ast.alias) and node.asname == node.name:
                continue  # `import x as x` says: exported on purpose
            yield source.at(
                node,
                "unused_name",
                f"{what} `{name}` is never used.",
                "Delete it, or use it.",
                severity="warning",
            )


def _unused_what(binding: Binding, scope: Scope) -> str | None:
    if binding.how in ("module", "member"):
        return "The import" if binding.value not in _FUTURE else None
    if binding.how == "value" and scope.kind == "function":
        return "The variable" if isinstance(binding.node, ast.Assign | ast.AnnAssign) else None
    return None


_FUTURE: Final = frozenset(("__future__", name) for name in __future__.all_feature_names)


def _exported(facts: Facts) -> set[str]:
    return {
        part.value
        for binding in facts.scope.bindings.get("__all__", ())
        if isinstance(binding.value, ast.AST)
        for part in ast.walk(binding.value)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


@dataclass(frozen=True)
class _Route:
    owner: str
    method: str
    path: str
    node: Any


def _routes(facts: Facts) -> Iterator[_Route]:
    for statement in facts.tree.body:
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for decorator in reversed(statement.decorator_list):
            if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Attribute):
                continue
            owner, method = decorator.func.value, decorator.func.attr
            if not isinstance(owner, ast.Name) or method not in _METHODS:
                continue
            given = decorator.args[0] if decorator.args else None
            for keyword in decorator.keywords:
                if keyword.arg == "path":
                    given = keyword.value
            if not isinstance(given, ast.Constant) or not isinstance(given.value, str):
                continue
            if _is_simple(given.value):
                yield _Route(owner.id, method, given.value, decorator)


def _is_simple(path: str) -> bool:
    """Whether matching takes no longer than the path is: one parameter a segment, one `:path`."""
    return path.count(":path}") <= 1 and all(part.count("{") <= 1 for part in path.split("/"))


def _shadowed_routes(source: Source, facts: Facts) -> Iterator[Diagnostic]:
    before: list[tuple[_Route, re.Pattern[str]]] = []
    for route in _routes(facts):
        sample = _PARAMETER.sub(lambda match: "x/x" if match.group(1) else "{}", route.path)
        for earlier, pattern in before[:_COMPARED]:
            same = (earlier.owner, earlier.method) == (route.owner, route.method)
            if same and pattern.fullmatch(sample):
                yield source.at(
                    route.node,
                    "shadowed_route",
                    f"`{earlier.path}` in line {earlier.node.lineno} answers these requests first.",
                    "Put the more special path above the more general one."
                    if earlier.path != route.path
                    else "Give one of the two another path or method.",
                    severity="warning",
                )
                break
        before.append((route, _pattern(route.path)))


def _pattern(path: str) -> re.Pattern[str]:
    """What a path template matches; `{}` in a sample stands for any one segment."""
    parts, end = [], 0
    for match in _PARAMETER.finditer(path):
        converter = match.group().partition(":")[2]
        parts.append(re.escape(path[end : match.start()]))
        # A typed converter (`{id:int}`) lets other text through to later routes.
        parts.append(".*" if match.group(1) else r"\{\}" if converter else "[^/]+")
        end = match.end()
    return re.compile("".join((*parts, re.escape(path[end:]))))


def _second_app(source: Source, facts: Facts, project: Project) -> Iterator[Diagnostic]:
    first: Any = None
    for statement in facts.tree.body:
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        values = project.resolve(statement.value, facts.scope)
        if "app" not in names or "fastapi.FastAPI()" not in values:
            continue
        if first is not None:
            yield source.at(
                statement,
                "second_app",
                f"A second `app` is made here; the routes of the one in line {first.lineno} are "
                "lost.",
                "Keep one of the two.",
                severity="warning",
            )
        first = first or statement
