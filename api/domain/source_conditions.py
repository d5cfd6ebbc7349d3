"""Conditions that come out the same whenever a file is imported."""

import ast


def always(test: ast.expr) -> bool | None:
    """Whether a condition is the same at every import: constants, `__name__`, TYPE_CHECKING."""
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = always(test.operand)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        return _together(test)
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        if {_side(test.left), _side(test.comparators[0])} == {"__name__", "'__main__'"}:
            return {ast.Eq: False, ast.NotEq: True}.get(type(test.ops[0]))
        return None
    name = getattr(test, "attr", None) or getattr(test, "id", None)
    return False if name == "TYPE_CHECKING" else None


def _together(test: ast.BoolOp) -> bool | None:
    known = [always(value) for value in test.values]
    short = isinstance(test.op, ast.Or)
    if short in known:
        return short
    return None if None in known else not short


def _side(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return repr(node.value) if isinstance(node, ast.Constant) else ""
