"""Text that can be told from constants and names of constants alone."""

import ast
from itertools import count
from typing import Any, Final

from api.domain.source_scopes import Scope

_MAX_PIECES: Final = 50  # nobody writes an attribute's name in more


def constant_text(node: Any, scope: Scope) -> str | None:
    """The text that an expression is; None when it is none, or known only when it runs."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    return _text(node, scope, count())


def _text(node: Any, scope: Scope, pieces: "count[int]") -> str | None:
    if next(pieces) > _MAX_PIECES:
        return None
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _joined([node.left, node.right], scope, pieces)
    if isinstance(node, ast.JoinedStr):
        parts = [p.value if isinstance(p, ast.FormattedValue) else p for p in node.values]
        return _joined(parts, scope, pieces)
    if isinstance(node, ast.Name):
        return _named(node.id, scope, pieces)
    return None


def _joined(parts: list[Any], scope: Scope, pieces: "count[int]") -> str | None:
    texts = [_text(part, scope, pieces) for part in parts]
    return None if None in texts else "".join(text for text in texts if text)


def _named(name: str, scope: Scope, pieces: "count[int]") -> str | None:
    owner, bindings = scope.find(name) or (scope, [])
    for binding in bindings[:_MAX_PIECES]:
        if binding.how == "value":
            text = _text(binding.value, binding.scope or owner, pieces)
            if text is not None:
                return text
    return None
