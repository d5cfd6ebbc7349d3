"""What a name may mean: modules, and functions, classes and objects of the learner's own."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from api.domain import source_imports, source_modules
from api.domain.source_scopes import Scope

#: Modules that hold others, and functions of others, that are refused.
WITH_WAYS_OUT: Final = frozenset(module for module, _ in source_modules.LEADS_TO)
#: Modules whose attributes are known.
MODULES: Final = WITH_WAYS_OUT | frozenset(source_imports.ALLOWED)


@dataclass(frozen=True)
class Module:
    """A module made of the learner's own files."""

    name: str


@dataclass(frozen=True)
class Instance:
    """An object of a class of the learner's own."""

    of: Scope


#: Text is a dotted name outside the learner's files: `asyncio`, `uvicorn.run`, `uvicorn.Server()`
#: for what a call gives, `builtins.open`. A Scope is a function or class of the learner's own.
Value = str | Module | Scope | Instance
Values = frozenset[Value]
NOTHING: Final[Values] = frozenset()


def is_module(name: str) -> bool:
    """Whether a dotted name is a module whose attributes are known."""
    return name in MODULES or name in source_imports.INSTEAD


def union(several: Iterable[Values]) -> Values:
    """Everything that is given."""
    found = NOTHING
    for values in several:
        found = found | values if found else values
    return found


def only_modules(several: Iterable[Values]) -> Values:
    """The modules among all that is given."""
    return frozenset(
        value
        for values in several
        for value in values
        if isinstance(value, Module) or (isinstance(value, str) and is_module(value))
    )


def choices(node: Any) -> list[Any]:
    """The parts one of which an expression is."""
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    if isinstance(node, ast.BoolOp):
        return list(node.values)
    if isinstance(node, ast.NamedExpr | ast.Await | ast.Starred):
        return [node.value]
    return []


def item_at(value: Any, index: int) -> Any:
    """The element that unpacking gives at `index`; None when a starred one stands before it."""
    if not isinstance(value, ast.Tuple | ast.List):
        return None
    before = value.elts[: index + 1]
    if len(before) <= index or any(isinstance(element, ast.Starred) for element in before):
        return None
    return before[-1]
