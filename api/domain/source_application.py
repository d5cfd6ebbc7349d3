"""What kind of thing an expression is: a FastAPI application, something else, or nobody knows."""

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from api.domain.source_resolve import Project
from api.domain.source_scopes import Binding, Facts, Scope
from api.domain.source_values import Instance, Module, is_module

_FASTAPI: Final = frozenset({"fastapi.FastAPI", "fastapi.applications.FastAPI"})
_ROUTE_METHODS: Final = frozenset(
    [
        "get",
        "post",
        "put",
        "delete",
        "patch",
        "options",
        "head",
        "trace",
        "websocket",
        "websocket_route",
        "route",
        "api_route",
        "middleware",
        "on_event",
        "exception_handler",
    ]
)
Kind = Literal["application", "unknown", "other", "unbound"]


@dataclass(frozen=True)
class Found:
    """One thing that `app` may be: its kind, what it is in words, and where that is said."""

    kind: Kind
    what: str = ""
    node: Any = None


# Names of names of names: nobody writes so many, and only running could tell.
_MAX_DEPTH: Final = 20
_MAX_STEPS: Final = 5_000
UNKNOWN: Final = Found("unknown")
APPLICATION: Final = Found("application")
State = frozenset[Found]


class Kinds:
    """Judges expressions; what other files bind is asked through `final`."""

    def __init__(self, project: Project, final: Callable[[Facts, str], State]) -> None:
        self.project = project
        self.final = final
        self._steps = 0

    def of(self, value: Any, scope: Scope, *, node: Any = None, depth: int = 0) -> State:
        """What kinds of thing an expression may be."""
        node = node if node is not None else value
        self._steps += 1
        if depth > _MAX_DEPTH or self._steps > _MAX_STEPS:
            return frozenset({UNKNOWN})
        parts: list[Any] | None = None
        if isinstance(value, ast.NamedExpr):
            parts = [value.value]
        elif isinstance(value, ast.IfExp):
            parts = [value.body, value.orelse]
        elif isinstance(value, ast.BoolOp):
            parts = list(value.values)
        if parts is not None:
            return union(self.of(part, scope, node=node, depth=depth + 1) for part in parts)
        return self._single(value, scope, node, depth)

    def _single(self, value: Any, scope: Scope, node: Any, depth: int) -> State:
        if isinstance(value, ast.Call):
            return self._called(value, scope, node, depth)
        if isinstance(value, ast.Name):
            return self._named(value, scope, node, depth)
        if isinstance(value, ast.Attribute):
            return self._read(value, scope, node)
        what = _DISPLAYS.get(type(value))
        if isinstance(value, ast.Constant):
            what = _constant(value.value)
        return frozenset({Found("other", what, node) if what else UNKNOWN})

    def _read(self, value: ast.Attribute, scope: Scope, node: Any) -> State:
        for base in self.project.resolve(value.value, scope):
            if isinstance(base, Module):
                return self.member(base.name, value.attr, node)
        found = self.project.resolve(value, scope)
        return frozenset(self._valued(one, node) for one in found) or frozenset({UNKNOWN})

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
                found.add(UNKNOWN)
        return frozenset(found) or frozenset({UNKNOWN})

    def _returned(self, function: Scope, node: Any, depth: int) -> State:
        name = getattr(function.node, "name", "the function")
        if isinstance(function.node, ast.AsyncFunctionDef):
            return frozenset({Found("other", f"what the `async` function `{name}` gives", node)})
        if function.node in function.facts.generators:
            return frozenset({Found("other", f"what the generator `{name}` gives", node)})
        if getattr(function.node, "decorator_list", None):
            return frozenset({UNKNOWN})
        returned = function.facts.returns.get(function.node, ())
        if not returned:
            what = f"nothing: `{name}` has no `return app`, so it gives `None`"
            return frozenset({Found("other", what, node)})
        return union(self.of(value, scope, node=node, depth=depth + 1) for value, scope in returned)

    def _named(self, value: ast.Name, scope: Scope, node: Any, depth: int) -> State:
        found = scope.find(value.id)
        if found is None:
            return frozenset({UNKNOWN})
        owner, bindings = found
        return union(self._bound(binding, owner, node, depth) for binding in bindings)

    def _bound(self, binding: Binding, owner: Scope, node: Any, depth: int) -> State:
        if binding.how == "value":
            return self.of(binding.value, binding.scope or owner, node=node, depth=depth + 1)
        if binding.how == "member":
            return self.member(binding.value[0], binding.value[1], node)
        if binding.how == "module":
            return frozenset({Found("other", f"the module `{binding.value}`", node)})
        if binding.how == "function":
            definition = self.definition(binding.node)
            return frozenset({Found(definition.kind, definition.what, node)})
        if binding.how == "class":
            return frozenset({Found("other", "a class", node)})
        return frozenset({UNKNOWN})

    def _valued(self, value: Any, node: Any) -> Found:
        if isinstance(value, str):
            return self._outside(value, node)
        if isinstance(value, Instance):
            ancestors = self._ancestors(value.of, set())
            if ancestors & _FASTAPI:
                return APPLICATION
            if "?" in ancestors:
                return UNKNOWN
            name = getattr(value.of.node, "name", "?")
            return Found("other", f"an object of your class `{name}`", node)
        return UNKNOWN

    def _ancestors(self, scope: Scope, seen: set[Scope]) -> frozenset[str]:
        if scope in seen or not isinstance(scope.node, ast.ClassDef):
            return frozenset()
        seen.add(scope)
        if scope.node.keywords or scope.node.decorator_list:
            return frozenset({"?"})  # a metaclass or decorator may give anything
        names: frozenset[str] = frozenset()
        for base in scope.node.bases:
            values = self.project.resolve(base, scope.parent or scope)
            if not values:
                names |= {"?"}
            for value in values:
                if isinstance(value, Scope):
                    names |= self._ancestors(value, seen)
                else:
                    names |= {value if isinstance(value, str) else "?"}
        return names

    def _outside(self, dotted: str, node: Any) -> Found:
        if dotted.endswith("()"):
            return self._made_outside(dotted[:-2], node)
        if dotted in _FASTAPI:
            return Found("other", "the class `FastAPI` itself (its `()` is missing)", node)
        if is_module(dotted):
            return Found("other", f"the module `{dotted}`", node)
        if _is_class_name(dotted):
            return Found("other", f"the class `{dotted}` itself", node)
        return UNKNOWN

    def _made_outside(self, function: str, node: Any) -> Found:
        if function in _FASTAPI:
            return APPLICATION
        if _is_class_name(function) and "()" not in function:
            name = function.removeprefix("builtins.")
            article = "an" if name.rpartition(".")[2][0] in "AEIOU" else "a"
            return Found("other", f"{article} `{name.rpartition('.')[2]}` of `{name}`", node)
        return UNKNOWN

    def definition(self, node: Any) -> Found:
        """What a function is, unless a decorator may make something else of it."""
        for decorator in node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if not (isinstance(called, ast.Attribute) and called.attr in _ROUTE_METHODS):
                return UNKNOWN
        return Found("other", f"the function `{node.name}`", node)

    def member(self, module: str | None, name: str, node: Any) -> State:
        """What a name imported from a module is."""
        if module is None:
            return frozenset({UNKNOWN})
        dotted = f"{module}.{name}".removeprefix(".")
        facts = self.project.facts.get(module)
        found = self.final(facts, name) if facts is not None else frozenset()
        if facts is not None and any(one.kind != "unbound" for one in found):
            return here(found, node, module)
        if dotted in self.project.modules:
            one = Found("other", f"the module `{dotted}`", node)
        elif facts is not None:
            what = f"missing from `{facts.path}`, from which it is imported"
            one = Found("other", what, node)
        elif module in self.project.modules:
            one = UNKNOWN  # of a file that could not be read
        else:
            one = self._outside(dotted, node)
        return frozenset({one})


def here(found: State, node: Any, module: str) -> State:
    """What another file says, told at the line of this file that imports it."""
    return frozenset(
        Found(one.kind, f"{one.what} (in `{module}`)", node) if one.kind == "other" else one
        for one in found
    )


def _constant(value: object) -> str:
    if value is None or isinstance(value, bool):
        return f"`{value}`"
    return _CONSTANTS.get(type(value), "a constant")


def _is_class_name(dotted: str) -> bool:
    name = dotted.rpartition(".")[2]
    return name[:1].isupper() or dotted in _PLAIN_CLASSES


def union(states: Iterable[State]) -> State:
    """Everything that any of the states may be."""
    found: State = frozenset()
    for state in states:
        found |= state
    return found


_PLAIN_CLASSES: Final = frozenset(
    f"builtins.{name}"
    for name in ["object", "dict", "list", "set", "tuple", "str", "int", "float", "bool", "bytes"]
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
_CONSTANTS: Final[dict[type, str]] = {str: "a text", int: "a number", float: "a number"}
