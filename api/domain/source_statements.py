"""What the walk does at statements and definitions; `collect` runs it over a file."""

import ast
from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.domain import source_expressions
from api.domain.source_scopes import Binding, Facts, FunctionNode, Scope, absolute_module
from api.domain.source_walk import Handler, Walk

MAX_STARS: Final = 100  # more than there are modules to import everything from


def collect(path: str, module: str, tree: ast.Module) -> Facts:
    """Walk the tree once; raise TooDeep when scopes nest beyond the limits."""
    facts = Facts(path, module, tree)
    Walk(facts).run(_HANDLERS)
    return facts


def _expression(walk: Walk, node: ast.Expr) -> None:
    if type(node.value) is not ast.Constant:  # a docstring is nothing to judge
        walk.stack.append(node.value)


def _assign(walk: Walk, node: ast.Assign) -> None:
    binding = Binding("value", node, node.value, 0, walk.scope)
    for target in node.targets:
        walk.assign(target, binding)
    walk.stack.append(node.value)


def _annotated(walk: Walk, node: ast.AnnAssign) -> None:
    walk.annotation(node.annotation)
    if node.value is not None:
        walk.assign(node.target, Binding("value", node, node.value, 0, walk.scope))
        walk.stack.append(node.value)
    elif type(node.target) is not ast.Name:
        walk.stack.append(node.target)
    elif walk.scope.kind == "function":  # a bare annotation makes a local, bound or not
        walk.bind(node.target.id, Binding("unknown", node))


def _augmented(walk: Walk, node: ast.AugAssign) -> None:
    if type(node.target) is ast.Name:
        # It reads the name first: a built-in, should nothing be bound before.
        walk.facts.loads.append((node.target, walk.scope))
        walk.bind(node.target.id, Binding("value", node, node.value, 0, walk.scope))
    else:
        walk.stack.append(node.target)
    walk.stack.append(node.value)


def _for(walk: Walk, node: ast.For | ast.AsyncFor) -> None:
    walk.assign(node.target, Binding("element", node, node.iter, 0, walk.scope))
    walk.push(node.iter, *node.body, *node.orelse)


def _while(walk: Walk, node: ast.While) -> None:
    walk.facts.loops.append(node)
    walk.push(node.test, *node.body, *node.orelse)


def _with(walk: Walk, node: ast.With | ast.AsyncWith) -> None:
    for item in node.items:
        if item.optional_vars is not None:
            context = item.context_expr
            walk.assign(item.optional_vars, Binding("value", node, context, 0, walk.scope))
        walk.stack.append(item.context_expr)
    walk.stack.extend(node.body)


def _except(walk: Walk, node: ast.ExceptHandler) -> None:
    if node.name:
        walk.bind(node.name, Binding("unknown", node))
        walk.bind(node.name, Binding("deleted", node))  # Python unbinds it after the block
    walk.push(node.type, *node.body)


def _match_class(walk: Walk, node: ast.MatchClass) -> None:
    if node.kwd_attrs:
        walk.facts.patterns.append(node)
    walk.push(node.cls, *node.patterns, *node.kwd_patterns)


def _capture(walk: Walk, node: ast.MatchAs | ast.MatchStar) -> None:
    if node.name:
        walk.bind(node.name, Binding("unknown", node))
    walk.push(getattr(node, "pattern", None))


def _match_mapping(walk: Walk, node: ast.MatchMapping) -> None:
    if node.rest:
        walk.bind(node.rest, Binding("unknown", node))
    walk.push(*node.keys, *node.patterns)


def _match(walk: Walk, node: ast.Match) -> None:
    for case in node.cases:
        if isinstance(case.pattern, ast.MatchAs) and case.pattern.name:
            binding = Binding("value", case.pattern, node.subject, 0, walk.scope)
            walk.bind(case.pattern.name, binding)
    walk.push(node.subject, *node.cases)


def _outer(walk: Walk, node: ast.Global | ast.Nonlocal) -> None:
    for name in node.names:
        walk.scope.outer[name] = type(node) is ast.Global


def _import(walk: Walk, node: ast.Import) -> None:
    walk.facts.imports.append((node, walk.scope))
    for alias in node.names:
        if alias.asname:
            walk.bind(alias.asname, Binding("module", alias, alias.name))
        else:
            top = alias.name.partition(".")[0]
            walk.bind(top, Binding("module", alias, top))


def _import_from(walk: Walk, node: ast.ImportFrom) -> None:
    facts = walk.facts
    facts.imports.append((node, walk.scope))
    module = absolute_module(facts, node)
    for alias in node.names:
        if alias.name == "*":
            if len(facts.stars) < MAX_STARS and module not in facts.stars:
                facts.stars.append(module or "")
        else:
            member = Binding("member", alias, (module, alias.name))
            walk.bind(alias.asname or alias.name, member)


def _function(walk: Walk, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    walk.bind(node.name, Binding("function", node))
    walk.stack.extend(node.decorator_list)
    if node.returns is not None:
        walk.annotation(node.returns)
    _body(walk, node, node.body)


def _lambda(walk: Walk, node: ast.Lambda) -> None:
    _body(walk, node, [node.body])
    walk.facts.returns[node] = [(node.body, walk.facts.scopes[node])]


def _body(walk: Walk, node: FunctionNode, body: Sequence[Any]) -> None:
    scope = walk.enter("function", node)
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    first = len(positional) - len(arguments.defaults)
    for index, argument in enumerate(positional):
        default = arguments.defaults[index - first] if index >= first else None
        _parameter(walk, scope, argument, default, index)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        _parameter(walk, scope, argument, default, -1)
    for extra in (arguments.vararg, arguments.kwarg):
        if extra is not None:
            _parameter(walk, scope, extra, None, -2)
    _parameters_of_types(walk, node, scope)
    for statement in body:  # known before the names below are bound
        if type(statement) is ast.Global or type(statement) is ast.Nonlocal:
            for name in statement.names:
                scope.outer[name] = type(statement) is ast.Global
    walk.later(scope, body)


def _parameter(
    walk: Walk, scope: Scope, argument: ast.arg, default: ast.expr | None, index: int
) -> None:
    binding = Binding("parameter", argument, default, index, walk.scope)
    scope.bindings[argument.arg] = [binding]
    if default is not None:
        walk.stack.append(default)
    if argument.annotation is not None:
        walk.annotation(argument.annotation)


def _parameters_of_types(walk: Walk, node: Any, scope: Scope) -> None:
    for parameter in getattr(node, "type_params", ()):  # Python ≥ 3.12
        scope.bindings[parameter.name] = [Binding("unknown", parameter)]
        walk.push(getattr(parameter, "bound", None), getattr(parameter, "default_value", None))


def _return(walk: Walk, node: ast.Return | ast.Yield | ast.YieldFrom) -> None:
    scope: Scope | None = walk.scope
    while scope is not None and scope.kind == "comprehension":
        scope = scope.parent
    if scope is not None:
        if type(node) is not ast.Return:
            walk.facts.generators.add(scope.node)
        if node.value is not None:
            walk.facts.returns.setdefault(scope.node, []).append((node.value, walk.scope))
    walk.push(node.value)


def _class(walk: Walk, node: ast.ClassDef) -> None:
    walk.bind(node.name, Binding("class", node))
    walk.stack.extend(node.decorator_list)
    walk.stack.extend(node.bases)
    walk.stack.extend(keyword.value for keyword in node.keywords)
    scope = walk.enter("class", node)
    _parameters_of_types(walk, node, scope)
    walk.later(scope, node.body)


def _alias_statement(walk: Walk, node: Any) -> None:  # `type X = …`, Python ≥ 3.12
    walk.bind(node.name.id, Binding("unknown", node))
    scope = walk.enter("function", node)
    _parameters_of_types(walk, node, scope)
    walk.later(scope, [node.value])


_STATEMENTS: Final[dict[type, Handler]] = {
    ast.Expr: _expression,
    ast.Assign: _assign,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.For: _for,
    ast.AsyncFor: _for,
    ast.While: _while,
    ast.With: _with,
    ast.AsyncWith: _with,
    ast.ExceptHandler: _except,
    ast.Match: _match,
    ast.MatchClass: _match_class,
    ast.MatchAs: _capture,
    ast.MatchStar: _capture,
    ast.MatchMapping: _match_mapping,
    ast.Global: _outer,
    ast.Nonlocal: _outer,
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.FunctionDef: _function,
    ast.AsyncFunctionDef: _function,
    ast.Lambda: _lambda,
    ast.Return: _return,
    ast.Yield: _return,
    ast.YieldFrom: _return,
    ast.ClassDef: _class,
}
if hasattr(ast, "TypeAlias"):
    _STATEMENTS[ast.TypeAlias] = _alias_statement
_HANDLERS: Final[Mapping[type, Handler]] = {**source_expressions.HANDLERS, **_STATEMENTS}
