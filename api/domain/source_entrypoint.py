"""Finds what the entrypoint's module-level name `app` is when the module has been imported.

Every honest way to bind it is accepted, and so is what only running could tell; refused is what
certainly gives no FastAPI application, with what was found and where.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from api.domain.source_resolve import Instance, Module, Project
from api.domain.source_scopes import Binding, Facts, Scope
from api.domain.source_text import Diagnostic, Source, whole_file

NAME: Final = "app"
_FASTAPI: Final = frozenset({"fastapi.FastAPI", "fastapi.applications.FastAPI"})
_ROUTE_METHODS: Final = frozenset(
    "get post put delete patch options head trace websocket websocket_route route api_route "
    "middleware on_event exception_handler".split()
)
_ADD: Final = "Write `app = FastAPI()` at the left margin of the file."
Kind = Literal["application", "unknown", "other", "unbound"]


@dataclass(frozen=True)
class Found:
    """One thing that `app` may be: its kind, what it is in words, and where that is said."""

    kind: Kind
    what: str = ""
    node: Any = None


_UNKNOWN: Final = Found("unknown")
_APPLICATION: Final = Found("application")
State = frozenset[Found]


def check_entrypoint(
    entrypoint: str, source: Source, facts: Facts, project: Project
) -> Iterator[Diagnostic]:
    """Refuse an entrypoint that certainly binds no application to `app`."""
    final = _Module(facts, project, frozenset()).final(NAME)
    if any(found.kind in ("application", "unknown") for found in final):
        return
    others = sorted(
        (found for found in final if found.kind == "other" and found.node is not None),
        key=lambda found: (found.node.lineno, found.node.col_offset),
    )
    if others:
        last = others[-1]
        yield source.at(
            last.node,
            "app_of_another_kind",
            f"`app` is {last.what} here, not a FastAPI application.",
            "The app that is served must be a FastAPI application, made with `app = FastAPI()`.",
        )
        return
    deleted = [found for found in final if found.node is not None]
    if deleted:
        yield source.at(
            deleted[0].node,
            "app_deleted",
            "`app` is deleted here, so nothing is left to serve.",
            "Delete this line.",
        )
        return
    yield _missing(entrypoint, source, facts, project)


def _missing(entrypoint: str, source: Source, facts: Facts, project: Project) -> Diagnostic:
    for scope in facts.scopes.values():
        for binding in scope.bindings.get(NAME, ()):
            if scope.kind != "module" and hasattr(binding.node, "lineno"):
                where = getattr(scope.node, "name", "another scope")
                return source.at(
                    binding.node,
                    "app_inside_function",
                    f"`app` is bound inside `{where}` only, where the server cannot find it.",
                    f"Return it and write `app = {where}()` at the left margin, or write "
                    "`app = FastAPI()` there.",
                )
    for name, bindings in facts.scope.bindings.items():
        for binding in bindings:
            module = _Module(facts, project, frozenset())
            if binding.how == "value" and _APPLICATION in module.kinds(binding.value, facts.scope):
                return source.at(
                    binding.node,
                    "app_missing",
                    f"The application is called `{name}` here; the server looks for `app`.",
                    f"Rename it to `app`, or add the line `app = {name}`.",
                )
    return whole_file(
        entrypoint,
        "app_missing",
        f"`{entrypoint}` binds no name `app` at its left margin.",
        f"{_ADD} FastAPI is imported with `from fastapi import FastAPI`.",
    )


class _Module:
    """Follows the statements of one module in the order in which importing runs them."""

    def __init__(self, facts: Facts, project: Project, above: frozenset[tuple[str, str]]) -> None:
        self.facts = facts
        self.project = project
        self.above = above

    def final(self, name: str) -> State:
        """What `name` may be after the import."""
        self.name = name
        key = (self.facts.module, name)
        if key in self.above:
            return frozenset({Found("unbound")})
        self.above |= {key}
        return self._run(self.facts.tree.body, frozenset({Found("unbound")}), self.facts.scope)

    # Statements --------------------------------------------------------------------------

    def _run(self, body: Sequence[ast.stmt], state: State, scope: Scope) -> State:
        for statement in body:
            state = self._statement(statement, state, scope)
        return state

    def _statement(self, node: ast.stmt, state: State, scope: Scope) -> State:
        state = self._walruses(node, state, scope)
        if isinstance(node, ast.Assign):
            for target in node.targets:
                state = self._target(target, node.value, state, scope)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                state = self._target(node.target, node.value, state, scope)
        elif isinstance(node, ast.AugAssign):
            if isinstance(node.target, ast.Name) and node.target.id == self.name:
                state = frozenset({_UNKNOWN})
        elif isinstance(node, ast.Delete):
            if any(isinstance(t, ast.Name) and t.id == self.name for t in node.targets):
                state = frozenset({Found("unbound", "deleted", node)})
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name == self.name:
                state = frozenset({self._definition(node)})
        elif isinstance(node, ast.ClassDef):
            if node.name == self.name:
                state = frozenset({Found("other", "a class", node)})
        elif isinstance(node, ast.Import | ast.ImportFrom):
            state = self._import(node, state)
        else:
            state = self._block(node, state, scope)
        return state

    def _block(self, node: ast.stmt, state: State, scope: Scope) -> State:
        if isinstance(node, ast.If):
            then = always(node.test)
            yes = self._run(node.body, state, scope) if then is not False else frozenset()
            no = self._run(node.orelse, state, scope) if then is not True else frozenset()
            return yes | no
        if isinstance(node, ast.For | ast.AsyncFor | ast.While):
            before = state
            if not isinstance(node, ast.While) and self.name in _names(node.target):
                state = frozenset({_UNKNOWN})
            inside = self._run(node.body, state, scope)
            endless = isinstance(node, ast.While) and always(node.test) is True
            return self._run(node.orelse, inside | (inside if endless else before), scope)
        if isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                if item.optional_vars is not None and self.name in _names(item.optional_vars):
                    state = frozenset({_UNKNOWN})
            return self._run(node.body, state, scope)
        if isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
            return self._try(node, state, scope)
        if isinstance(node, ast.Match):
            states = state
            for case in node.cases:
                captured = any(getattr(part, "name", "") == self.name for part in ast.walk(case))
                start = frozenset({_UNKNOWN}) if captured else state
                states |= self._run(case.body, start, scope)
            return states
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            return self._call(node.value, state, scope)
        return state

    def _try(self, node: Any, state: State, scope: Scope) -> State:
        body = self._run(node.body, state, scope)
        ends = self._run(node.orelse, body, scope)
        for handler in node.handlers:
            caught = self._run(handler.body, state | body, scope)
            if handler.name == self.name:
                caught = frozenset({Found("unbound", "deleted", handler)})
            ends |= caught
        return self._run(node.finalbody, ends, scope)

    def _call(self, node: ast.Call, state: State, scope: Scope) -> State:
        """A function that says `global app` binds it when it is called."""
        for function in self.project.resolve(node.func, scope):
            if isinstance(function, Scope) and function.outer.get(self.name):
                body = getattr(function.node, "body", ())
                if isinstance(body, list):
                    state = self._run(body, state, function)
        return state

    def _import(self, node: ast.Import | ast.ImportFrom, state: State) -> State:
        for alias in node.names:
            if isinstance(node, ast.Import):
                if (alias.asname or alias.name.partition(".")[0]) == self.name:
                    state = frozenset({Found("other", f"the module `{alias.name}`", alias)})
            elif (alias.asname or alias.name) == self.name:
                bindings = self.facts.scope.bindings.get(self.name, ())
                for binding in bindings:
                    if binding.node is alias:
                        state = self._member(*binding.value, alias)
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            state = self._star(node, state)
        return state

    def _star(self, node: ast.ImportFrom, state: State) -> State:
        for module in self.facts.stars:
            if (facts := self.project.facts.get(module)) is not None:
                found = _Module(facts, self.project, self.above).final(self.name)
                bound = {one for one in found if one.kind != "unbound"}
                if bound and _ends_with(module, node):
                    state = _here(frozenset(bound), node, module)
        return state

    def _member(self, module: str | None, name: str, node: Any) -> State:
        if module is None:
            return frozenset({_UNKNOWN})
        if (facts := self.project.facts.get(module)) is not None:
            found = _Module(facts, self.project, self.above).final(name)
            dotted = f"{module}.{name}" if module else name
            if all(one.kind == "unbound" for one in found):
                if dotted in self.project.modules:
                    return frozenset({Found("other", f"the module `{dotted}`", node)})
                what = f"missing from `{facts.path}`, from which it is imported"
                return frozenset({Found("other", what, node)})
            return _here(found, node, module)
        dotted = f"{module}.{name}"
        dotted = dotted.removeprefix(".")
        if dotted in self.project.modules:
            return frozenset({Found("other", f"the module `{dotted}`", node)})
        if module in self.project.modules:
            return frozenset({_UNKNOWN})  # of a file that could not be read
        return frozenset({self._outside(dotted, node)})

    def _target(self, target: Any, value: ast.expr, state: State, scope: Scope) -> State:
        if isinstance(target, ast.Name):
            return self.kinds(value, scope, node=target) if target.id == self.name else state
        if isinstance(target, ast.Starred):
            return self._target(target.value, ast.List([]), state, scope)
        if isinstance(target, ast.Tuple | ast.List) and self.name in _names(target):
            pairs = _pairs(target, value)
            if pairs is None:
                return frozenset({_UNKNOWN})
            for inner, part in pairs:
                state = self._target(inner, part, state, scope)
        return state

    def _walruses(self, node: ast.stmt, state: State, scope: Scope) -> State:
        if isinstance(node, _DEFINITIONS):
            return state
        for part in _expressions(node):
            for inner in ast.walk(part):
                if isinstance(inner, ast.NamedExpr) and inner.target.id == self.name:
                    state = self.kinds(inner.value, scope, node=inner)
        return state

    # Expressions -------------------------------------------------------------------------

    def kinds(self, value: Any, scope: Scope, *, node: Any = None, depth: int = 0) -> State:
        """What kinds of thing an expression may be."""
        node = node if node is not None else value
        if depth > 20:  # noqa: PLR2004  (names of names of names: nobody writes so many)
            return frozenset({_UNKNOWN})
        if isinstance(value, ast.Call):
            return self._called(value, scope, node, depth)
        if isinstance(value, ast.NamedExpr):
            return self.kinds(value.value, scope, node=node, depth=depth + 1)
        if isinstance(value, ast.IfExp):
            parts: list[Any] = [value.body, value.orelse]
        elif isinstance(value, ast.BoolOp):
            parts = list(value.values)
        elif isinstance(value, ast.Name):
            return self._named(value, scope, node, depth)
        elif isinstance(value, ast.Attribute):
            states = [self._valued(v, node) for v in self.project.resolve(value, scope)]
            for base in self.project.resolve(value.value, scope):
                if isinstance(base, Module):
                    return self._member(base.name, value.attr, node)
            return frozenset(states) or frozenset({_UNKNOWN})
        else:
            what = _DISPLAYS.get(type(value))
            if isinstance(value, ast.Constant):
                what = f"`{value.value!r}`"[:60]
            return frozenset({Found("other", what, node) if what else _UNKNOWN})
        return _union(self.kinds(part, scope, node=node, depth=depth + 1) for part in parts)

    def _called(self, value: ast.Call, scope: Scope, node: Any, depth: int) -> State:
        found: set[Found] = set()
        for function in self.project.resolve(value.func, scope):
            if isinstance(function, str):
                found.add(self._made_outside(function, node))
            elif isinstance(function, Module):
                found.add(Found("other", "a call of a module", node))
            elif isinstance(function, Scope) and function.kind == "class":
                found.add(self._valued(Instance(function), node))
            elif isinstance(function, Scope):
                found |= self._returned(function, node, depth)
            else:
                found.add(_UNKNOWN)
        return frozenset(found) or frozenset({_UNKNOWN})

    def _returned(self, function: Scope, node: Any, depth: int) -> State:
        name = getattr(function.node, "name", "the function")
        if isinstance(function.node, ast.AsyncFunctionDef):
            return frozenset({Found("other", f"what the `async` function `{name}` gives", node)})
        if function.node in function.facts.generators:
            return frozenset({Found("other", f"what the generator `{name}` gives", node)})
        if getattr(function.node, "decorator_list", None):
            return frozenset({_UNKNOWN})
        returned = function.facts.returns.get(function.node, ())
        if not returned:
            what = f"nothing: `{name}` has no `return app`, so it gives `None`"
            return frozenset({Found("other", what, node)})
        there = _Module(function.facts, self.project, self.above)
        return _union(
            there.kinds(value, scope, node=node, depth=depth + 1) for value, scope in returned
        )

    def _named(self, value: ast.Name, scope: Scope, node: Any, depth: int) -> State:
        found = scope.find(value.id)
        if found is None:
            return frozenset({_UNKNOWN})
        owner, bindings = found
        return _union(self._bound(binding, owner, node, depth) for binding in bindings)

    def _bound(self, binding: Binding, owner: Scope, node: Any, depth: int) -> State:
        if binding.how == "value":
            return self.kinds(binding.value, binding.scope or owner, node=node, depth=depth + 1)
        if binding.how == "member":
            return self._member(*binding.value, node)
        if binding.how == "module":
            return frozenset({Found("other", f"the module `{binding.value}`", node)})
        if binding.how == "function":
            definition = self._definition(binding.node)
            return frozenset({Found(definition.kind, definition.what, node)})
        if binding.how == "class":
            return frozenset({Found("other", "a class", node)})
        return frozenset({_UNKNOWN})

    def _valued(self, value: Any, node: Any) -> Found:
        if isinstance(value, str):
            return self._outside(value, node)
        if isinstance(value, Instance):
            ancestors = self._ancestors(value.of, frozenset())
            if ancestors & _FASTAPI:
                return _APPLICATION
            if "?" in ancestors:
                return _UNKNOWN
            name = getattr(value.of.node, "name", "?")
            return Found("other", f"an object of your class `{name}`", node)
        return _UNKNOWN

    def _ancestors(self, scope: Scope, seen: frozenset[Scope]) -> frozenset[str]:
        if scope in seen or not isinstance(scope.node, ast.ClassDef):
            return frozenset()
        if scope.node.keywords or scope.node.decorator_list:
            return frozenset({"?"})  # a metaclass or decorator may give anything
        names: frozenset[str] = frozenset()
        for base in scope.node.bases:
            values = self.project.resolve(base, scope.parent or scope)
            if not values:
                names |= {"?"}
            for value in values:
                if isinstance(value, Scope):
                    names |= self._ancestors(value, seen | {scope})
                else:
                    names |= {value if isinstance(value, str) else "?"}
        return names

    def _outside(self, dotted: str, node: Any) -> Found:
        if dotted.endswith("()"):
            return self._made_outside(dotted[:-2], node)
        if dotted in _FASTAPI:
            return Found("other", "the class `FastAPI` itself (its `()` is missing)", node)
        if _is_class_name(dotted):
            return Found("other", f"the class `{dotted}` itself", node)
        return _UNKNOWN

    def _made_outside(self, function: str, node: Any) -> Found:
        if function in _FASTAPI:
            return _APPLICATION
        if _is_class_name(function) and "()" not in function:
            name = function.removeprefix("builtins.")
            article = "an" if name.rpartition(".")[2][0] in "AEIOU" else "a"
            return Found("other", f"{article} `{name.rpartition('.')[2]}` of `{name}`", node)
        return _UNKNOWN

    def _definition(self, node: Any) -> Found:
        for decorator in node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if not (isinstance(called, ast.Attribute) and called.attr in _ROUTE_METHODS):
                return _UNKNOWN
        return Found("other", f"the function `{node.name}`", node)


def always(test: ast.expr) -> bool | None:
    """Whether a condition is the same at every import: constants, `__name__`, TYPE_CHECKING."""
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = always(test.operand)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        known = [always(value) for value in test.values]
        short = isinstance(test.op, ast.Or)
        if short in known:
            return short
        return None if None in known else not short
    name = getattr(test, "attr", None) or getattr(test, "id", None)
    if name == "TYPE_CHECKING":
        return False
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        sides = {_side(test.left), _side(test.comparators[0])}
        if sides == {"__name__", "'__main__'"}:
            equal = {ast.Eq: False, ast.NotEq: True}
            return equal.get(type(test.ops[0]))
    return None


def _side(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return repr(node.value) if isinstance(node, ast.Constant) else ""


def _here(found: State, node: Any, module: str) -> State:
    """What another file says, told at the line of this file that imports it."""
    return frozenset(
        Found(one.kind, f"{one.what} (in `{module}`)", node) if one.kind == "other" else one
        for one in found
    )


def _is_class_name(dotted: str) -> bool:
    name = dotted.rpartition(".")[2]
    return name[:1].isupper() or dotted in _PLAIN_CLASSES


def _ends_with(module: str, node: ast.ImportFrom) -> bool:
    return not node.module or module == node.module or module.endswith(f".{node.module}")


def _names(target: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}


def _pairs(target: Any, value: ast.expr) -> list[tuple[Any, ast.expr]] | None:
    if not isinstance(value, ast.Tuple | ast.List) or len(value.elts) != len(target.elts):
        return None
    if any(isinstance(part, ast.Starred) for part in (*target.elts, *value.elts)):
        return None
    return list(zip(target.elts, value.elts, strict=True))


def _expressions(node: ast.stmt) -> Iterator[ast.expr]:
    """The expressions of a statement itself, not of the statements inside it."""
    for name in ("value", "test", "iter", "subject", "msg", "exc"):
        part = getattr(node, name, None)
        if isinstance(part, ast.expr):
            yield part
    for item in getattr(node, "items", ()):
        yield item.context_expr


def _union(states: Iterable[State]) -> State:
    found: State = frozenset()
    for state in states:
        found |= state
    return found


_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_PLAIN_CLASSES: Final = frozenset(
    f"builtins.{name}" for name in "object dict list set tuple str int float bool bytes".split()
)
_DISPLAYS: Final[dict[type, str]] = {
    ast.List: "a list",
    ast.ListComp: "a list",
    ast.Tuple: "a tuple",
    ast.Dict: "a dictionary",
    ast.DictComp: "a dictionary",
    ast.Set: "a set",
    ast.SetComp: "a set",
    ast.GeneratorExp: "a generator",
    ast.Lambda: "a function",
    ast.JoinedStr: "a text",
    ast.Compare: "a truth value",
}
