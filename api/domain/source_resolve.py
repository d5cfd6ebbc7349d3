"""Follows names to what they mean: through imports, aliases, defaults, containers and files.

The answer is the set of things an expression may be, whichever way the program runs; what cannot
be known is left out. Only a rule that asks costs anything, and each expression is followed once.
"""

import ast
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from api.domain import source_imports, source_modules, source_names
from api.domain.source_scopes import Binding, Facts, Scope
from api.domain.source_spread import Spread, spread
from api.domain.source_values import (
    MODULES,
    NOTHING,
    Instance,
    Module,
    Values,
    choices,
    item_at,
    only_modules,
    union,
)

_DEPENDENCY: Final = frozenset({"fastapi.Depends()", "fastapi.Security()"})
MAX_STEPS: Final = 50_000


class TooIntertwined(Exception):
    """Names refer to each other in more ways than can be followed in reasonable time."""


class Project:
    """All of an app's Python files, seen together."""

    def __init__(self, facts: Iterable[Facts], modules: Collection[str]) -> None:
        """Take the files that parsed; `modules` are the dotted names of all, folders included."""
        self.facts: Mapping[str, Facts] = {one.module: one for one in facts}
        self.modules = frozenset(modules)
        self._known: dict[Any, Values] = {}
        self._following: set[Any] = set()
        self._circles = 0
        self._steps = 0
        self._spread = Spread()
        self._spread = self._follow_modules()
        self._known.clear()
        self.reads_by_name = any(_reads_by_name(one) for one in self.facts.values())

    # What an expression may be -----------------------------------------------------------

    def resolve(self, node: Any, scope: Scope) -> Values:
        """What `node`, evaluated in `scope`, may be."""
        kind = type(node)
        if kind is ast.Name:
            return self._once((scope, node.id), lambda: self._name(node.id, scope))
        if kind in _FOLLOWED:
            return self._once(node, lambda: self._expression(node, scope))
        return NOTHING

    def _once(self, key: Any, find: Any) -> Values:
        if (known := self._known.get(key)) is not None:
            return known
        if key in self._following:
            self._circles += 1
            return NOTHING
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise TooIntertwined
        circles = self._circles
        self._following.add(key)
        try:
            found: Values = find()
        finally:
            self._following.discard(key)
        # What was found inside a circle is only a part; the outermost question gets it all.
        if self._circles == circles or not self._following:
            self._known[key] = found
        return found

    def _expression(self, node: Any, scope: Scope) -> Values:
        if isinstance(node, ast.Attribute):
            return self._attribute(node, scope)
        if isinstance(node, ast.Call):
            return self._call(node, scope)
        if isinstance(node, ast.Lambda):
            return frozenset({scope.facts.scopes[node]})
        if isinstance(node, ast.Subscript):
            classes = (v for v in self.resolve(node.value, scope) if isinstance(v, Scope))
            return self.inside(node.value, scope) | frozenset(classes)
        return union(self.resolve(part, scope) for part in choices(node))

    def _name(self, name: str, scope: Scope) -> Values:
        found = scope.find(name)
        if found is None:
            return self.from_stars(name, scope.facts) or frozenset({f"builtins.{name}"})
        owner, bindings = found
        values = union(self._binding(binding, owner) for binding in bindings)
        if owner.kind != "function":
            values |= self.from_stars(name, scope.facts)
        return values

    def from_stars(self, name: str, facts: Facts) -> Values:
        """What `name` may be by a `from … import *` of this file."""
        return union(
            self.member(module, name)
            for module in facts.stars
            if module not in self.modules or self._defines(module, name)
        )

    def _defines(self, module: str, name: str) -> bool:
        facts = self.facts.get(module)
        if facts is None or name.startswith("_"):
            return False
        return name in facts.scope.bindings or self.gives_by_star(name, facts)

    def gives_by_star(self, name: str, facts: Facts) -> bool:
        """Whether `from … import *` of another of the learner's files binds the name here."""
        key = (facts.module, name)
        if key in self._following:  # files that import everything from each other
            return False
        self._following.add(key)
        try:
            return any(self._defines(module, name) for module in facts.stars)
        finally:
            self._following.discard(key)

    def _binding(self, binding: Binding, owner: Scope) -> Values:
        how, value, scope = binding.how, binding.value, binding.scope or owner
        found = NOTHING
        if how == "value":
            found = self.resolve(value, scope)
        elif how == "item":
            item = item_at(value, binding.position)
            found = self.inside(value, scope) if item is None else self.resolve(item, scope)
        elif how == "element":
            found = self.inside(value, scope)
        elif how == "module":
            found = frozenset({Module(value) if value in self.modules else value})
        elif how == "member" and value[0] is not None:
            found = self.member(*value)
        elif how in {"function", "class"}:
            found = frozenset({owner.facts.scopes.get(binding.node, owner)})
        elif how == "parameter":
            found = self._once(binding.node, lambda: self._parameter(binding, owner))
        return found

    # Modules and their members -----------------------------------------------------------

    def member(self, module: str, name: str) -> Values:
        """What `from module import name` may give."""
        if module not in self.modules and module:
            return self._outside(module, name)
        dotted = f"{module}.{name}" if module else name
        facts = self.facts.get(module)
        found = NOTHING
        if facts is not None:
            found = self._once((facts.scope, name), lambda: self._own(name, facts))
        return found or (frozenset({Module(dotted)}) if dotted in self.modules else NOTHING)

    def _own(self, name: str, facts: Facts) -> Values:
        if name not in facts.scope.bindings:
            return self.from_stars(name, facts)
        return self._name(name, facts.scope)

    def _outside(self, module: str, name: str) -> Values:
        if (module, name) in source_modules.LEADS_TO:
            return NOTHING  # refused where it stands
        dotted = f"{module}.{name}"
        plain = name.lstrip("_")
        # Allowed modules import each other: `fastapi.routing.asyncio` is `asyncio`.
        own = module.rpartition(".")[2]  # but `datetime.datetime` is a class
        if module in MODULES and plain in source_imports.ALLOWED and plain != own:
            return frozenset({dotted, plain})
        return frozenset({dotted})

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Values:
        found = NOTHING
        for base in self.resolve(node.value, scope):
            if isinstance(base, str):
                found |= self._outside(base, node.attr)
            elif isinstance(base, Module):
                found |= self.member(base.name, node.attr)
            else:
                found |= self._of_class(base.of if isinstance(base, Instance) else base, node.attr)
        if not found or node.attr in self._spread.names:
            for facts in self.facts.values():
                for value, where in facts.stored.get(node.attr, ()):
                    found |= self.resolve(value, where)
        return found

    def _of_class(self, scope: Scope, name: str) -> Values:
        if scope.kind != "class" or not isinstance(scope.node, ast.ClassDef):
            return NOTHING
        if bindings := scope.bindings.get(name):
            return union(self._binding(binding, scope) for binding in bindings)
        found = NOTHING
        for base in scope.node.bases:
            for value in self.resolve(base, scope.parent or scope):
                if isinstance(value, Scope) and value is not scope:
                    owner = value
                    found |= self._once(
                        (owner, name, "of"), lambda o=owner: self._of_class(o, name)
                    )
        return found

    # Calls, parameters and containers ----------------------------------------------------

    def _call(self, node: ast.Call, scope: Scope) -> Values:
        found = NOTHING
        for function in self.resolve(node.func, scope):
            if isinstance(function, str):
                found |= {f"{function}()"}
            elif isinstance(function, Scope):
                found |= self._result(function)
        if found & _DEPENDENCY:
            given = (self.resolve(argument, scope) for argument in node.args[:1])
            found |= union(self._result(one) for one in union(given) if isinstance(one, Scope))
        if node in self._spread.passing:  # whatever is called may hand out what it was given
            arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
            if isinstance(node.func, ast.Attribute):
                arguments.append(node.func.value)
            found |= only_modules(self.inside(one, scope, whole=True) for one in arguments)
        return found

    def _result(self, function: Scope) -> Values:
        if function.kind == "class":
            return frozenset({Instance(function)})
        returned = function.facts.returns.get(function.node, ())
        return union(self.resolve(value, where) for value, where in returned)

    def _parameter(self, binding: Binding, owner: Scope) -> Values:
        outside = binding.scope or owner
        found = self.resolve(binding.value, outside) if binding.value is not None else NOTHING
        if (
            binding.position == 0
            and outside.kind == "class"
            and isinstance(owner.node, _DEFINITIONS)
        ):
            found |= {Instance(outside)}
        if binding.node.arg in self._spread.names:
            self._steps += len(self._spread.calls)
            for call, scope in self._spread.calls:
                given = [*call.args, *(keyword.value for keyword in call.keywords)]
                if any(owner in self.resolve(value, scope) for value in (call.func, *given)):
                    inside = (self.inside(value, scope, whole=True) for value in given)
                    found |= only_modules(inside)
        return found

    def inside(self, node: Any, scope: Scope, *, whole: bool = False) -> Values:
        """What the elements of `node`, at any depth, may be; with `whole`, and itself."""
        kind = type(node)
        if kind in _DISPLAYS:
            parts = [*node.keys, *node.values] if kind is ast.Dict else node.elts
            return union(self.inside(part, scope, whole=True) for part in parts)
        if kind in _COMPREHENSIONS:
            inner = scope.facts.scopes[node]
            parts = [node.key, node.value] if kind is ast.DictComp else [node.elt]
            return union(self.inside(part, inner, whole=True) for part in parts)
        found = self.resolve(node, scope) if whole or kind is ast.Call else NOTHING
        if kind is ast.Name:
            found |= self._once((scope, node.id, "inside"), lambda: self._inside_name(node, scope))
        elif kind is ast.Attribute:
            found |= self._once((node, "inside"), lambda: self._inside_attribute(node))
        elif kind is ast.BinOp:
            found |= self.inside(node.left, scope) | self.inside(node.right, scope)
        elif kind is ast.Subscript:
            found |= self.inside(node.value, scope)
        else:
            found |= union(self.inside(part, scope) for part in choices(node))
        return found

    def _inside_attribute(self, node: ast.Attribute) -> Values:
        return union(
            self.inside(value, where)
            for facts in self.facts.values()
            for value, where in facts.stored.get(node.attr, ())
        )

    def _inside_name(self, node: ast.Name, scope: Scope) -> Values:
        found = scope.find(node.id)
        if found is None:
            return NOTHING
        owner, bindings = found
        values = NOTHING
        for binding in bindings:
            if binding.how in ("value", "item", "element", "parameter") and binding.value:
                values |= self.inside(binding.value, binding.scope or owner)
            elif binding.how == "member" and binding.value[0] in self.facts:
                there = self.facts[binding.value[0]].scope
                values |= self.inside(ast.Name(binding.value[1], ast.Load()), there)
        for value, where in owner.facts.stored.get(f"[{node.id}]", ()):
            values |= self.inside(value, where, whole=True)
        return values

    def _follow_modules(self) -> Spread:
        """Where modules are used as values, if any are."""
        names = {
            facts.path: frozenset(
                name
                for scope in facts.scopes.values()
                for name, bindings in scope.bindings.items()
                if any(self._binds_module(binding) for binding in bindings)
            )
            for facts in self.facts.values()
        }
        for facts in self.facts.values():
            for node, scope in facts.loads:
                if node.id in names[facts.path]:
                    found = scope.find(node.id)
                    if found and any(self._binds_module(binding) for binding in found[1]):
                        return spread(self.facts.values(), names)
        return Spread()

    def _binds_module(self, binding: Binding) -> bool:
        if binding.how == "module":
            return True
        if binding.how != "member":
            return False
        return bool(only_modules([self.member(binding.value[0] or "", binding.value[1])]))


def _reads_by_name(facts: Facts) -> bool:
    """Whether a file names a function or method that takes an attribute's name as text."""
    return (
        any(node.id in _BY_NAME for node, _ in facts.loads)
        or any(node.id in _BY_NAME for node, _ in facts.bases)
        or not _BY_NAME.isdisjoint(facts.calls_by_name)
        or any(alias.name in _BY_NAME for node, _ in facts.imports for alias in node.names)
    )


_BY_NAME: Final = (
    frozenset(name.rpartition(".")[2] for name in source_names.BY_NAME)
    | source_names.METHODS_BY_NAME
    | {"format", "format_map"}
)


_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_DISPLAYS: Final = (ast.Tuple, ast.List, ast.Set, ast.Dict)
_COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FOLLOWED: Final = frozenset(
    {
        ast.Attribute, ast.Call, ast.NamedExpr, ast.Await, ast.Starred, ast.IfExp, ast.BoolOp,
        ast.Lambda, ast.Subscript,
    }
)  # fmt: skip
