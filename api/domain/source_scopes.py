"""What one pass over a file's syntax tree leaves behind: scopes, bindings and what to judge."""

import ast
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
ComprehensionNode = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
#: CPython 3.12 and 3.13 can be killed by about 25 nested comprehensions: stay far below.
MAX_COMPREHENSIONS: Final = 8
MAX_SCOPES: Final = 40


class TooDeep(Exception):
    """Scopes nest deeper than the compiler can be trusted with."""

    def __init__(self, node: Any) -> None:
        super().__init__("nested too deeply")
        self.node = node


class Binding(NamedTuple):
    """One way in which a name gets its value.

    `how`: value (of the expression), element (of the iterable), item (number `position`), module
    (`value` is a dotted name), member (`value` is (module, name)), function, class, parameter
    (`value` is its default or None, `position` its place), deleted, unknown.
    """

    how: Literal[
        "value", "element", "item", "module", "member", "function", "class", "parameter", "deleted",
        "unknown",
    ]  # fmt: skip
    node: Any
    value: Any = None
    position: int = 0
    scope: "Scope | None" = None  # where `value` is evaluated; None: where the name is bound


@dataclass(eq=False, slots=True)
class Scope:
    """A module, class, function or comprehension and the names bound in it."""

    kind: Literal["module", "class", "function", "comprehension"]
    node: Any
    parent: "Scope | None"
    facts: "Facts"
    depth: int = 0
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    outer: dict[str, bool] = field(default_factory=dict)  # global → True, nonlocal → False

    def find(self, name: str) -> "tuple[Scope, list[Binding]] | None":
        """The scope that owns `name` as seen from here, and its bindings; None: a built-in."""
        scope: Scope | None = self
        while scope is not None:
            if scope.outer.get(name):
                scope = scope.facts.scope
            elif (found := scope.bindings.get(name)) and name not in scope.outer:
                return scope, found
            if scope.kind == "module":
                found = scope.bindings.get(name)
                return (scope, found) if found else None
            scope = scope.parent
            while scope is not None and scope.kind == "class":
                scope = scope.parent
        return None


@dataclass(eq=False, slots=True)
class Facts:
    """What one file's tree holds, as far as a rule may ask."""

    path: str
    module: str
    tree: ast.Module
    scope: Scope = field(init=False)
    loads: list[tuple[ast.Name, Scope]] = field(default_factory=list)  # but those in `bases`
    bases: list[tuple[ast.Name, Scope]] = field(default_factory=list)  # `x` in `x.attribute`
    attributes: list[tuple[ast.Attribute, Scope]] = field(default_factory=list)
    imports: list[tuple[ast.Import | ast.ImportFrom, Scope]] = field(default_factory=list)
    stars: list[str] = field(default_factory=list)
    calls: list[tuple[ast.Call, Scope]] = field(default_factory=list)
    calls_by_name: dict[str, list[tuple[ast.Call, Scope]]] = field(default_factory=dict)
    stored: dict[str, list[tuple[Any, Scope]]] = field(default_factory=dict)
    patterns: list[ast.MatchClass] = field(default_factory=list)
    texts: list[ast.Constant] = field(default_factory=list)
    subscripts: list[ast.Subscript] = field(default_factory=list)
    scopes: dict[Any, Scope] = field(default_factory=dict)
    returns: dict[Any, list[tuple[Any, Scope]]] = field(default_factory=dict)
    loops: list[ast.While] = field(default_factory=list)
    generators: set[Any] = field(default_factory=set)
    class_in_passing: set[ast.Attribute] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.scope = self.scopes[self.tree] = Scope("module", self.tree, None, self)

    @property
    def package(self) -> str:
        """The dotted package that relative imports start from; "" at the top."""
        return self.path.rpartition("/")[0].replace("/", ".")


def absolute_module(facts: Facts, node: ast.ImportFrom) -> str | None:
    """The dotted module a `from` import names; None when it climbs out of the learner's files."""
    if not node.level:
        return node.module or ""
    parts = facts.package.split(".") if facts.package else []
    if node.level > len(parts):
        return None
    parts = parts[: len(parts) - node.level + 1]
    return ".".join((*parts, *([node.module] if node.module else [])))
