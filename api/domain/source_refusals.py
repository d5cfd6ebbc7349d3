"""How a refusal is said: what is not available, where it leads, and what to use instead."""

import ast
from collections.abc import Collection, Iterator
from typing import Any, Final

from api.domain import source_imports, source_modules, source_names
from api.domain.source_text import Diagnostic, Source

_INTERPRETER: Final = (
    "It leads from an object to Python's interpreter, which is not yours to change."
)
_USE_FIELDS: Final = (
    "Use the object's own fields and methods; `type(x)` gives its class, `type(x).__name__` the "
    "name."
)


class Refusals:
    """Makes the diagnostics of one file; `additional` are modules an administrator allowed."""

    def __init__(self, source: Source, additional: Collection[str]) -> None:
        self.source = source
        self.additional = additional

    def not_available(self, node: Any, name: str) -> Diagnostic:
        """A module that is not in the table."""
        top = name.partition(".")[0]
        hint = source_imports.INSTEAD.get(name) or source_imports.INSTEAD.get(top)
        if hint is None:
            hint = (
                "Put the file beside this one, or see the list of packages for what can be used."
                if top not in source_imports.PYTHON
                else "The list of packages shows what can be used instead."
            )
        return self.source.at(node, "import_not_allowed", f"`{name}` is not available here.", hint)

    def no_such_file(self, node: Any, name: str) -> Diagnostic:
        """A module of the learner's own that is not there."""
        path = name.replace(".", "/")
        return self.source.at(
            node,
            "no_such_module",
            f"There is no file for the module `{name}`.",
            f"Add `{path}.py`, or correct the name.",
        )

    def reach(self, node: Any, module: str, name: str) -> Iterator[Diagnostic]:
        """What `name` of an allowed module gives, by attribute or by `from`."""
        dotted = f"{module}.{name}"
        target = source_modules.LEADS_TO.get((module, name))
        if target is None and dotted in source_imports.LEADS_OUT:
            target = dotted
        if (
            target is None
            and not source_imports.is_allowed(module, self.additional)
            and source_imports.holds_allowed(module, self.additional)
            and not source_imports.is_allowed(dotted, self.additional)
            and not source_imports.holds_allowed(dotted, self.additional)
        ):
            target = dotted
        if target is not None and not source_imports.is_allowed(target, self.additional):
            if target == name and dotted in source_imports.LEADS_OUT:
                target = dotted
            hint = source_imports.INSTEAD.get(
                target.partition(".")[0], f"Use what `{module}` itself offers."
            )
            message = f"`{dotted}` leads to `{target}`, which is not available here."
            if target in (dotted, name) and dotted in source_imports.LEADS_OUT:
                message = f"`{dotted}` is not available here."
            yield self._say(node, "module_not_allowed", message, hint)
        else:
            yield from self.forbidden(node, dotted)

    def forbidden(self, node: Any, dotted: str) -> Iterator[Diagnostic]:
        """A function or class that is refused wherever it comes from."""
        hint = source_names.OBJECTS.get(dotted)
        if hint is None and dotted.startswith("builtins."):
            hint = source_names.BUILTINS.get(dotted.removeprefix("builtins."))
        if hint is not None:
            yield self._say(node, "not_allowed", f"`{dotted}` is not available here.", hint)

    def interpreter(self, node: Any, name: str) -> Diagnostic:
        """A name that leads from an object to the interpreter."""
        return self._say(
            node,
            "leads_to_interpreter",
            f"`{name}` cannot be used here. {_INTERPRETER}",
            _USE_FIELDS,
        )

    def _say(self, node: Any, code: str, message: str, hint: str) -> Diagnostic:
        if isinstance(node, ast.Attribute):
            return self.source.attribute(node, code, message, hint)
        return self.source.at(node, code, message, hint)
