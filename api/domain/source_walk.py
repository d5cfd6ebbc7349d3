"""The walk over a syntax tree: binds names to what they get, scope by scope.

Nothing is judged here, and names are followed only where a rule asks (source_resolve.py), so that
the pass costs about as much as parsing did. It keeps its own stack: depth is no danger.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from api.domain.source_scopes import (
    MAX_COMPREHENSIONS,
    MAX_SCOPES,
    Binding,
    Facts,
    Scope,
    TooDeep,
)

Handler = Callable[["Walk", Any], None]
_LEAVES: Final = frozenset(
    [
        "ctx",
        "op",
        "ops",
        "id",
        "attr",
        "arg",
        "name",
        "names",
        "kind",
        "type_comment",
        "lineno",
        "level",
        "module",
        "kwd_attrs",
        "rest",
        "conversion",
        "is_async",
        "simple",
    ]
)
_FIELDS: Final[dict[type, tuple[str, ...]]] = {
    kind: tuple(name for name in kind._fields if name not in _LEAVES)
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
} | {type(None): ()}  # the key of `**more` in a dictionary


class Walk:
    """The state of one walk; handlers are called with it, one for each kind of node."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.scope = facts.scope
        self.stack: list[Any] = []
        self.nested = 0  # comprehensions around the node at hand
        self.waiting: list[tuple[Scope, Sequence[Any], int]] = []

    def run(self, handlers: Mapping[type, Handler]) -> None:
        """Call the handler of every node; nodes without one are passed through."""
        stack, fields = self.stack, _FIELDS
        self.later(self.scope, self.facts.tree.body)
        while self.waiting:
            self.scope, nodes, self.nested = self.waiting.pop()
            stack.extend(nodes)
            while stack:
                node = stack.pop()
                kind = type(node)
                handler = handlers.get(kind)
                if handler is not None:
                    handler(self, node)
                    continue
                for name in fields[kind]:
                    value = getattr(node, name)
                    if type(value) is list:
                        stack.extend(value)
                    elif value is not None:
                        stack.append(value)

    def push(self, *nodes: Any) -> None:
        """Walk these next, in the scope at hand."""
        self.stack.extend(node for node in nodes if node is not None)

    def later(self, scope: Scope, nodes: Sequence[Any], nested: int | None = None) -> None:
        """Walk these when the scope at hand is done."""
        self.waiting.append((scope, nodes, self.nested if nested is None else nested))

    def enter(self, kind: Literal["class", "function", "comprehension"], node: Any) -> Scope:
        """Open the scope of a class, function or comprehension; raise TooDeep."""
        parent = self.scope
        scope = Scope(kind, node, parent, self.facts, parent.depth + 1)
        if self.nested > MAX_COMPREHENSIONS or scope.depth > MAX_SCOPES:
            raise TooDeep(node)
        self.facts.scopes[node] = scope
        return scope

    def bind(self, name: str, binding: Binding, scope: Scope | None = None) -> None:
        """Bind a name in a scope (the one at hand), or where `global` and `nonlocal` say."""
        scope = scope or self.scope
        if name in scope.outer:
            self.bind_outside(name, binding, scope)
            return
        found = scope.bindings.get(name)
        if found is None:
            scope.bindings[name] = [binding]
        else:
            found.append(binding)

    def bind_outside(self, name: str, binding: Binding, scope: Scope) -> None:
        """Bind a name where `global` or `nonlocal` of this scope says."""
        owner: Scope | None = self.facts.scope if scope.outer[name] else scope.parent
        while owner is not None and owner.kind != "module" and name not in owner.bindings:
            owner = owner.parent
        owner = owner or self.facts.scope
        owner.bindings.setdefault(name, []).append(binding)

    def assign(self, target: Any, binding: Binding, scope: Scope | None = None) -> None:
        """Bind the names in an assignment's target and look at what else stands in it."""
        kind = type(target)
        if kind is ast.Name:
            self.bind(target.id, binding, scope)
        elif kind is ast.Tuple or kind is ast.List:
            for index, element in enumerate(target.elts):
                if type(element) is ast.Starred:
                    self.assign(element.value, binding._replace(how="element"), scope)
                elif binding.how == "value":
                    self.assign(element, binding._replace(how="item", position=index), scope)
                else:
                    self.assign(element, binding._replace(how="element"), scope)
        else:
            if kind is ast.Attribute and binding.value is not None:
                self.store(target.attr, binding.value)
            elif kind is ast.Subscript and type(target.value) is ast.Name:
                self.store(f"[{target.value.id}]", binding.value)
            self.stack.append(target)

    def store(self, name: str, value: Any) -> None:
        """Note what an attribute, keyword or item (`[name]`) is set to."""
        self.facts.stored.setdefault(name, []).append((value, self.scope))

    def annotation(self, node: Any) -> None:
        """Push an annotation's parts; text in it is Python that Pydantic would evaluate."""
        waiting = [node]
        while waiting:
            node = waiting.pop()
            kind = type(node)
            if kind is ast.Constant:
                if type(node.value) is str and (tree := _parse_annotation(node)) is not None:
                    waiting.append(tree)
            elif kind is ast.Subscript:
                self.stack.append(node.value)
                inner = node.slice
                name = getattr(node.value, "attr", None) or getattr(node.value, "id", None)
                if name == "Literal":
                    self.stack.append(inner)
                elif name == "Annotated" and type(inner) is ast.Tuple and inner.elts:
                    waiting.append(inner.elts[0])
                    self.stack.extend(inner.elts[1:])
                else:
                    waiting.append(inner)
            elif kind is ast.Tuple or kind is ast.List:
                waiting.extend(node.elts)
            elif kind is ast.BinOp:
                waiting.append(node.left)
                waiting.append(node.right)
            elif node is not None:
                self.stack.append(node)


def _parse_annotation(text: ast.Constant) -> ast.expr | None:
    content = str(text.value)
    if content.isidentifier():
        return None
    try:
        tree = ast.parse(content.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.arg | ast.keyword):
            node.lineno, node.col_offset = text.lineno, text.col_offset
            node.end_lineno, node.end_col_offset = text.end_lineno, text.end_col_offset
    return tree
