"""Where modules go as values: the few names and calls that must be followed far.

Most programs use a module only as `module.attribute`. Where one is passed on, the names that may
hold it are found here by name alone: generously, but in a time that grows with the code's length.
"""

import ast
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from api.domain.source_scopes import Facts, Scope

_ROUNDS: Final = 12  # from name to name; who passes a module on more often is not a learner
_HOLD: Final = frozenset({"value", "element", "item", "parameter"})


@dataclass(frozen=True)
class Spread:
    """Names that may hold a module, and the calls that are given one, by file."""

    names: frozenset[str] = frozenset()
    calls: tuple[tuple[ast.Call, Scope], ...] = ()
    passing: frozenset[ast.Call] = frozenset()


def spread(files: Iterable[Facts], modules: Mapping[str, frozenset[str]]) -> Spread:
    """Follow modules from name to name; `modules` are the names bound by imports, by file."""
    files = [facts for facts in files if facts.loads]
    names: frozenset[str] = frozenset()
    for _ in range(_ROUNDS):
        calls: list[tuple[ast.Call, Scope]] = []
        found = set(names)
        for facts in files:
            places = _Places(facts, names, modules.get(facts.path, frozenset()))
            if places:
                found |= _bound(facts, places)
                calls += [entry for entry in facts.calls if places.within(entry[0])]
            found |= _imported(facts, names)
        found |= _given(files, calls)
        if found == names:
            break
        names = frozenset(found)
    return Spread(names, tuple(calls), frozenset(call for call, _ in calls))


class _Places:
    """Where a file mentions a name that may hold a module, other than as `module.attribute`."""

    def __init__(self, facts: Facts, names: frozenset[str], modules: frozenset[str]) -> None:
        own = names | modules
        nodes = [node for node, _ in facts.loads if node.id in own]
        nodes += [node for node, _ in facts.bases if node.id in names]
        self._sorted = sorted((node.lineno, node.col_offset) for node in nodes)

    def __bool__(self) -> bool:
        return bool(self._sorted)

    def within(self, node: Any) -> bool:
        start = bisect_left(self._sorted, (node.lineno, node.col_offset))
        end = (node.end_lineno, node.end_col_offset)
        return start < len(self._sorted) and self._sorted[start] < end


def _bound(facts: Facts, places: _Places) -> set[str]:
    """Names bound to an expression that mentions one, and functions that return one."""
    found = {
        name
        for scope in facts.scopes.values()
        for name, bindings in scope.bindings.items()
        for binding in bindings
        if binding.how in _HOLD and binding.value is not None and places.within(binding.value)
    }
    for node, returned in facts.returns.items():
        if hasattr(node, "name") and any(places.within(value) for value, _ in returned):
            found.add(node.name)
    for name, stored in facts.stored.items():
        if any(places.within(value) for value, _ in stored):
            found.add(name.strip("[]"))
    return found


def _imported(facts: Facts, names: frozenset[str]) -> set[str]:
    """Names imported from where they may hold a module."""
    return {
        alias.asname or alias.name
        for node, _ in facts.imports
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in names
    }


def _given(files: Iterable[Facts], calls: Iterable[tuple[ast.Call, Scope]]) -> set[str]:
    """Parameters of the functions that the calls name, and of lambdas within them."""
    functions: set[str] = set()
    lambdas: set[Any] = set()
    for call, _ in calls:
        for part in (call.func, *call.args, *(keyword.value for keyword in call.keywords)):
            if isinstance(part, ast.Name):
                functions.add(part.id)
            elif isinstance(part, ast.Attribute):
                functions.add(part.attr)
            elif isinstance(part, ast.Lambda):
                lambdas.add(part)
    return {
        name
        for facts in files
        for node, scope in facts.scopes.items()
        if node in lambdas
        or getattr(node, "name", None) in functions
        or (isinstance(node, ast.Lambda) and not functions.isdisjoint(_names_of(facts, node)))
        for name, bindings in scope.bindings.items()
        if bindings[0].how == "parameter"
    }


def _names_of(facts: Facts, node: ast.Lambda) -> set[str]:
    """The names a lambda is bound to."""
    return {
        name
        for name, bindings in facts.scope.bindings.items()
        if any(binding.value is node for binding in bindings)
    }
