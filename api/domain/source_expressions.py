"""What the walk does at expressions: notes what a rule may ask about."""

import ast
from collections.abc import Mapping
from typing import Any, Final

from api.domain import source_imports, source_modules, source_names
from api.domain.source_scopes import Binding, ComprehensionNode
from api.domain.source_walk import Handler, Walk

#: Names whose subscript holds types, where Pydantic and FastAPI evaluate text.
_GENERIC: Final = frozenset(
    [
        "Optional",
        "Union",
        "List",
        "Dict",
        "Set",
        "FrozenSet",
        "Tuple",
        "Type",
        "Sequence",
        "Iterable",
        "Iterator",
        "Mapping",
        "Callable",
        "Annotated",
        "ClassVar",
        "Final",
        "Awaitable",
        "Coroutine",
        "AsyncIterator",
        "Generator",
        "AsyncGenerator",
        "Deque",
        "Required",
        "NotRequired",
        "ReadOnly",
        "InitVar",
        "Mapped",
        "list",
        "dict",
        "set",
        "frozenset",
        "tuple",
        "type",
    ]
)
#: Calls whose text arguments are evaluated as types.
_TYPE_CALLS: Final = frozenset(
    {"ForwardRef", "TypeAdapter", "create_model", "TypeAliasType", "NamedTuple", "TypedDict"}
)
_CALLS: Final = _TYPE_CALLS | {"__class__", "isinstance", "issubclass"}
_REFERENCES: Final = (ast.Name, ast.Attribute)
_NAMED_FIRST: Final = frozenset({"create_model", "TypeAliasType", "NamedTuple", "TypedDict"})
#: Attributes that a rule looks at; dunders are looked at by their first two characters.
_INTERESTING: Final = (
    source_modules.ATTRIBUTES
    | source_names.ATTRIBUTES
    | source_names.OBJECT_NAMES
    | frozenset({"mro", "request"})
    | frozenset(name.rpartition(".")[2] for name in source_imports.LEADS_OUT)
)


def _name(walk: Walk, node: ast.Name) -> None:
    kind = type(node.ctx)
    if kind is ast.Load:
        walk.facts.loads.append((node, walk.scope))
    else:
        walk.bind(node.id, Binding("deleted" if kind is ast.Del else "unknown", node))


def _constant(walk: Walk, node: ast.Constant) -> None:
    value = node.value
    if type(value) is str and "__" in value and "{" in value:
        walk.facts.texts.append(node)


def _attribute(walk: Walk, node: ast.Attribute) -> None:
    attr, value, facts = node.attr, node.value, walk.facts
    if attr in _INTERESTING or attr[:2] == "__":
        facts.attributes.append((node, walk.scope))
    if type(value) is ast.Name:
        facts.bases.append((value, walk.scope))
        return
    if type(value) is ast.Attribute and value.attr == "__class__":
        facts.class_in_passing.add(value)  # what follows is judged by itself
    walk.stack.append(value)


def _call(walk: Walk, node: ast.Call) -> None:
    func, facts = node.func, walk.facts
    entry = (node, walk.scope)
    facts.calls.append(entry)
    if type(func) is ast.Name:
        name = func.id
    elif type(func) is ast.Attribute:
        name = func.attr
    else:
        name = ""
    if name:
        facts.calls_by_name.setdefault(name, []).append(entry)
        if name in _CALLS:
            if name in _TYPE_CALLS:
                _type_call(walk, node, name)
            else:
                _pass_class(walk, func, *node.args)
    walk.stack.append(func)
    if node.args:
        walk.stack.extend(node.args)
    for keyword in node.keywords:
        value = keyword.value
        if keyword.arg and type(value) in _REFERENCES:
            walk.store(keyword.arg, value)
        walk.stack.append(value)


def _type_call(walk: Walk, node: ast.Call, name: str) -> None:
    arguments = node.args[1:] if name in _NAMED_FIRST else node.args
    for argument in (*arguments, *(keyword.value for keyword in node.keywords)):
        for inner in ast.walk(argument):
            if type(inner) is ast.Constant and type(inner.value) is str:
                walk.annotation(inner)


def _pass_class(walk: Walk, *nodes: Any) -> None:
    for node in nodes:
        if type(node) is ast.Attribute and node.attr == "__class__":
            walk.facts.class_in_passing.add(node)


def _compare(walk: Walk, node: ast.Compare) -> None:
    _pass_class(walk, node.left, *node.comparators)
    walk.stack.append(node.left)
    walk.stack.extend(node.comparators)


def _subscript(walk: Walk, node: ast.Subscript) -> None:
    inner = node.slice
    if type(inner) is ast.Constant and type(inner.value) is str and inner.value[:2] == "__":
        walk.facts.subscripts.append(node)
    name = getattr(node.value, "attr", None) or getattr(node.value, "id", None)
    if name in _GENERIC:
        walk.annotation(node)
    else:
        walk.push(node.value, inner)


def _walrus(walk: Walk, node: ast.NamedExpr) -> None:
    scope = walk.scope
    while scope.kind == "comprehension" and scope.parent is not None:
        scope = scope.parent
    walk.assign(node.target, Binding("value", node, node.value, 0, walk.scope), scope)
    walk.stack.append(node.value)


def _comprehension(walk: Walk, node: ComprehensionNode) -> None:
    outside, scope = walk.scope, walk.enter("comprehension", node)
    inside: list[Any] = []
    for number, generator in enumerate(node.generators):
        iterated_in = scope if number else outside
        element = Binding("element", generator, generator.iter, 0, iterated_in)
        walk.scope = scope
        kept, walk.stack = walk.stack, []
        walk.assign(generator.target, element, scope)
        inside += [*walk.stack, *generator.ifs]
        walk.scope, walk.stack = outside, kept
        if number:
            inside.append(generator.iter)
        else:  # the first iterable belongs to the scope outside
            walk.later(outside, [generator.iter], walk.nested + 1)
    inside += [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    walk.later(scope, inside, walk.nested + 1)


HANDLERS: Final[Mapping[type, Handler]] = {
    ast.Name: _name,
    ast.Constant: _constant,
    ast.Attribute: _attribute,
    ast.Call: _call,
    ast.Compare: _compare,
    ast.Subscript: _subscript,
    ast.NamedExpr: _walrus,
    ast.ListComp: _comprehension,
    ast.SetComp: _comprehension,
    ast.DictComp: _comprehension,
    ast.GeneratorExp: _comprehension,
}
