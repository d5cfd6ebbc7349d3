"""Text that can be told from constants and names of constants alone."""

import ast
from typing import Any, Final

from api.domain.source_scopes import Scope

_MAX_PIECES: Final = 20  # nobody writes an attribute's name in more


def constant_text(node: Any, scope: Scope, depth: int = 0) -> str | None:
    """The text that an expression is; None when it is none, or known only when it runs."""
    if depth > _MAX_PIECES:
        return None
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _joined([node.left, node.right], scope, depth)
    if isinstance(node, ast.JoinedStr):
        parts = [p.value if isinstance(p, ast.FormattedValue) else p for p in node.values]
        return _joined(parts, scope, depth)
    if isinstance(node, ast.Name):
        return _named(node.id, scope, depth)
    return None


def _joined(parts: list[Any], scope: Scope, depth: int) -> str | None:
    texts = [constant_text(part, scope, depth + 1) for part in parts]
    return None if None in texts else "".join(text for text in texts if text)


def _named(name: str, scope: Scope, depth: int) -> str | None:
    owner, bindings = scope.find(name) or (scope, [])
    for binding in bindings:
        if binding.how == "value":
            text = constant_text(binding.value, binding.scope or owner, depth + 1)
            if text is not None:
                return text
    return None
