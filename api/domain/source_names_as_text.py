"""Attributes that are named by text: `getattr`, format fields, class patterns."""

import ast
import re
from collections.abc import Iterator
from typing import Any, Final

from api.domain import source_names
from api.domain.source_constants import constant_text
from api.domain.source_refusals import Refusals
from api.domain.source_resolve import Project
from api.domain.source_scopes import Facts, Scope
from api.domain.source_text import Diagnostic
from api.domain.source_values import WITH_WAYS_OUT

# A replacement field up to its conversion or format, and the dunder attributes on its path.
_FIELD: Final = re.compile(r"(?<!\{)(?:\{\{)*\{([^{}!:]+)")
_DUNDER: Final = re.compile(r"[.\[]\s*(__\w+)(?=\.?(\w*))")


class NamesAsText:
    """Judges the texts of one file that name attributes."""

    def __init__(self, facts: Facts, project: Project, refusals: Refusals) -> None:
        self.facts = facts
        self.project = project
        self.refusals = refusals

    def check(self) -> Iterator[Diagnostic]:
        """Everything of this kind that is refused in this file."""
        yield from self._texts()
        if self.project.reads_by_name:
            for call, scope in self.facts.calls:
                yield from self._by_name(call, scope)

    def _texts(self) -> Iterator[Diagnostic]:
        for text in self.facts.texts:
            if (name := _refused_in(str(text.value))) is not None:
                yield self.refusals.interpreter(text, name)
        for pattern in self.facts.patterns:
            for name, value in zip(pattern.kwd_attrs, pattern.kwd_patterns, strict=True):
                if source_names.refused_attribute(name):
                    yield self.refusals.interpreter(value, name)
        for subscript in self.facts.subscripts:
            name = subscript.slice.value  # type: ignore[attr-defined]
            if name in source_names.ATTRIBUTES:
                yield self.refusals.interpreter(subscript.slice, name)

    def _by_name(self, call: ast.Call, scope: Scope) -> Iterator[Diagnostic]:
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if method in {"format", "format_map"} and isinstance(call.func, ast.Attribute):
            yield from self._template(call.func.value, scope)
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        for part in (part for argument in given for part in _parts(argument)):
            text = constant_text(part, scope)
            refused = [n for n in (text or "").split(".") if source_names.refused_attribute(n)]
            if refused and self._reads_by_name(call, method, given, scope):
                yield self.refusals.interpreter(part, refused[0])
                return
        if len(call.args) > 1 and "builtins.getattr" in self.project.resolve(call.func, scope):
            yield from self._of_module(call, scope)

    def _reads_by_name(
        self, call: ast.Call, method: str, given: list[ast.expr], scope: Scope
    ) -> bool:
        """Whether the call takes an attribute's name, or passes on a function that does."""
        return method in source_names.METHODS_BY_NAME or any(
            not source_names.BY_NAME.isdisjoint(self.project.resolve(function, scope))
            for function in (call.func, *given)
        )

    def _of_module(self, call: ast.Call, scope: Scope) -> Iterator[Diagnostic]:
        text = constant_text(call.args[1], scope)
        for value in self.project.resolve(call.args[0], scope):
            if text is not None and isinstance(value, str):
                yield from self.refusals.reach(call.args[1], value, text)
            elif text is None and value in WITH_WAYS_OUT:
                yield self.refusals.source.at(
                    call,
                    "attribute_by_name",
                    f"Which attribute of `{value}` this reads is known only when it runs.",
                    "Put the functions that may be chosen into a dictionary of your own.",
                )

    def _template(self, node: Any, scope: Scope) -> Iterator[Diagnostic]:
        if isinstance(node, ast.Constant):
            return  # seen with the texts
        text = constant_text(node, scope)
        if text is None or any(text == known.value for known in self.facts.texts):
            return
        if (name := _refused_in(text)) is not None:
            yield self.refusals.interpreter(node, name)


def _refused_in(template: str) -> str | None:
    """The first attribute in the fields of a format that leads to the interpreter."""
    for field in _FIELD.finditer(template):
        for name, after in _DUNDER.findall(field.group(1)):
            if source_names.refused_attribute(name) and not (
                name == "__class__" and after in source_names.AFTER_CLASS
            ):
                return str(name)
    return None


def _parts(node: Any) -> Iterator[Any]:
    """The expressions in an argument that may be text: itself, and the elements of a display."""
    if isinstance(node, ast.Starred):
        yield from _parts(node.value)
    elif isinstance(node, ast.List | ast.Tuple | ast.Set):
        for element in node.elts:
            yield from _parts(element)
    else:
        yield node
