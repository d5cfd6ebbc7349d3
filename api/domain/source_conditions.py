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
