"""Finds what the entrypoint's module-level name `app` is when the module has been imported.

Every honest way to bind it is accepted, and so is what only running could tell; refused is what
certainly gives no FastAPI application, with what was found and where.
"""

import ast
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from api.domain.source_application import APPLICATION, UNKNOWN, Found, Kinds, State, here
from api.domain.source_conditions import always
from api.domain.source_resolve import Project
from api.domain.source_scopes import Facts, Scope, absolute_module
from api.domain.source_text import Diagnostic, Source, whole_file

NAME: Final = "app"
_ADD: Final = "Write `app = FastAPI()` at the left margin of the file."
_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def check_entrypoint(
    entrypoint: str, source: Source, facts: Facts, project: Project
) -> Iterator[Diagnostic]:
    """Refuse an entrypoint that certainly binds no application to `app`."""
    finals = _Finals(project)
    final = finals.final(facts, NAME)
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
    yield _missing(entrypoint, source, facts, finals.kinds)


def _missing(entrypoint: str, source: Source, facts: Facts, kinds: Kinds) -> Diagnostic:
    for scope in facts.scopes.values():
        for binding in scope.bindings.get(NAME, ()):
            if not hasattr(binding.node, "lineno") or binding.how == "parameter":
                continue
            if scope.kind == "module":
                return source.at(
                    binding.node,
                    "app_missing",
                    "`app` is bound here, but importing the file never gets here.",
                    _ADD,
                )
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
            if binding.how == "value" and APPLICATION in kinds.of(binding.value, facts.scope):
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


class _Finals:
    """What names of modules are after their import; each is found once."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.kinds = Kinds(project, self.final)
        self._known: dict[tuple[str, str], State] = {}

    def final(self, facts: Facts, name: str) -> State:
        key = (facts.module, name)
        if key not in self._known:
            self._known[key] = frozenset({Found("unbound")})  # for files that go in a circle
            self._known[key] = _Module(facts, self).final(name)
        return self._known[key]


class _Module:
    """Follows the statements of one module in the order in which importing runs them."""

    def __init__(self, facts: Facts, finals: _Finals) -> None:
        self.facts = facts
        self.project = finals.project
        self.kinds = finals.kinds
        self._elsewhere = finals.final
        self._called: set[Scope] = set()

    def final(self, name: str) -> State:
        """What `name` may be after the import."""
        self.name = name
        bindings = self.facts.scope.bindings.get(name, ())
        self._walrus = any(isinstance(binding.node, ast.NamedExpr) for binding in bindings)
        return self._run(self.facts.tree.body, frozenset({Found("unbound")}), self.facts.scope)

    # Statements --------------------------------------------------------------------------

    def _run(self, body: Sequence[ast.stmt], state: State, scope: Scope) -> State:
        for statement in body:
            state = self._statement(statement, state, scope)
        return state

    def _statement(self, node: ast.stmt, state: State, scope: Scope) -> State:
        state = self._walruses(node, state, scope)
        name = _STATEMENTS.get(type(node))
        if name is None:
            return state
        follow: Callable[[Any, State, Scope], State] = getattr(self, name)
        return follow(node, state, scope)

    def _assign(self, node: Any, state: State, scope: Scope) -> State:
        if node.value is not None:
            for target in getattr(node, "targets", None) or [node.target]:
                state = self._target(target, node.value, state, scope)
        return state

    def _augmented(self, node: Any, state: State, _: Scope) -> State:
        return frozenset({UNKNOWN}) if self.name in _names(node.target) else state

    def _delete(self, node: Any, state: State, _: Scope) -> State:
        if any(isinstance(target, ast.Name) and target.id == self.name for target in node.targets):
            return frozenset({Found("unbound", "deleted", node)})
        return state

    def _define(self, node: Any, state: State, _: Scope) -> State:
        if node.name != self.name:
            return state
        if isinstance(node, ast.ClassDef):
            return frozenset({Found("other", "a class", node)})
        return frozenset({self.kinds.definition(node)})

    def _if(self, node: Any, state: State, scope: Scope) -> State:
        then = always(node.test)
        yes = self._run(node.body, state, scope) if then is not False else frozenset()
        no = self._run(node.orelse, state, scope) if then is not True else frozenset()
        return yes | no

    def _for(self, node: Any, state: State, scope: Scope) -> State:
        start = frozenset({UNKNOWN}) if self.name in _names(node.target) else state
        inside = self._run(node.body, start, scope)
        return self._run(node.orelse, inside | state, scope)

    def _while(self, node: Any, state: State, scope: Scope) -> State:
        inside = self._run(node.body, state, scope)
        if always(node.test) is True:
            return inside
        return self._run(node.orelse, inside | state, scope)

    def _with(self, node: Any, state: State, scope: Scope) -> State:
        for item in node.items:
            if item.optional_vars is not None and self.name in _names(item.optional_vars):
                state = frozenset({UNKNOWN})
        return self._run(node.body, state, scope)

    def _match(self, node: Any, state: State, scope: Scope) -> State:
        ends = state
        for case in node.cases:
            captured = any(getattr(part, "name", "") == self.name for part in ast.walk(case))
            start = frozenset({UNKNOWN}) if captured else state
            ends |= self._run(case.body, start, scope)
        return ends

    def _expression(self, node: Any, state: State, scope: Scope) -> State:
        """A function that says `global app` binds it when it is called."""
        if not isinstance(node.value, ast.Call):
            return state
        for function in self.project.resolve(node.value.func, scope):
            if not isinstance(function, Scope) or function in self._called:
                continue
            if function.outer.get(self.name):
                self._called.add(function)
                body = getattr(function.node, "body", ())
                if isinstance(body, list):
                    state = self._run(body, state, function)
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

    def _import(self, node: Any, state: State, _: Scope) -> State:
        module = absolute_module(self.facts, node) if isinstance(node, ast.ImportFrom) else None
        for alias in node.names:
            if isinstance(node, ast.Import):
                if (alias.asname or alias.name.partition(".")[0]) == self.name:
                    state = frozenset({Found("other", f"the module `{alias.name}`", alias)})
            elif alias.name == "*":
                state = self._star(module or "", node) or state
            elif (alias.asname or alias.name) == self.name:
                state = self.kinds.member(module, alias.name, alias)
        return state

    def _star(self, module: str, node: ast.ImportFrom) -> State:
        facts = self.project.facts.get(module)
        found = self._elsewhere(facts, self.name) if facts is not None else frozenset()
        return here(frozenset(one for one in found if one.kind != "unbound"), node, module)

    def _target(self, target: Any, value: ast.expr, state: State, scope: Scope) -> State:
        if isinstance(target, ast.Name):
            return self.kinds.of(value, scope, node=target) if target.id == self.name else state
        if isinstance(target, ast.Starred):
            return self._target(target.value, ast.List([]), state, scope)
        if isinstance(target, ast.Tuple | ast.List) and self.name in _names(target):
            pairs = _pairs(target, value)
            if pairs is None:
                return frozenset({UNKNOWN})
            for inner, part in pairs:
                state = self._target(inner, part, state, scope)
        return state

    def _walruses(self, node: ast.stmt, state: State, scope: Scope) -> State:
        if not self._walrus or isinstance(node, _DEFINITIONS):
            return state
        for part in _expressions(node):
            for inner in ast.walk(part):
                if isinstance(inner, ast.NamedExpr) and inner.target.id == self.name:
                    state = self.kinds.of(inner.value, scope, node=inner)
        return state


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


_STATEMENTS: Final[dict[type, str]] = {
    ast.Assign: "_assign",
    ast.AnnAssign: "_assign",
    ast.AugAssign: "_augmented",
    ast.Delete: "_delete",
    ast.FunctionDef: "_define",
    ast.AsyncFunctionDef: "_define",
    ast.ClassDef: "_define",
    ast.Import: "_import",
    ast.ImportFrom: "_import",
    ast.If: "_if",
    ast.For: "_for",
    ast.AsyncFor: "_for",
    ast.While: "_while",
    ast.With: "_with",
    ast.AsyncWith: "_with",
    ast.Try: "_try",
    ast.TryStar: "_try",
    ast.Match: "_match",
    ast.Expr: "_expression",
}
