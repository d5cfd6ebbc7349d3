"""The rules about names, attributes and imports: what leads out of an app is refused, and why."""

import ast
import builtins
import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from api.domain import source_imports, source_modules, source_names
from api.domain.source_constants import constant_text
from api.domain.source_resolve import Project
from api.domain.source_scopes import Binding, Facts, Scope, absolute_module
from api.domain.source_text import Diagnostic, Source
from api.domain.source_values import Module, Values

_INTERPRETER: Final = (
    "It leads from an object to Python's interpreter, which is not yours to change."
)
_USE_FIELDS: Final = (
    "Use the object's own fields and methods; `type(x)` gives its class, `type(x).__name__` the "
    "name."
)
# A replacement field up to its conversion or format, and the dunder attributes on its path.
_FIELD: Final = re.compile(r"(?<!\{)(?:\{\{)*\{([^{}!:]+)")
_DUNDER: Final = re.compile(r"[.\[]\s*(__\w+)(?=\.?(\w*))")
_STATIC: Final = frozenset(vars(builtins))


class Rules:
    """Judges one file of a project."""

    def __init__(
        self, source: Source, facts: Facts, project: Project, additional: Collection[str]
    ) -> None:
        self.source = source
        self.facts = facts
        self.project = project
        self.additional = additional

    def check(self) -> Iterator[Diagnostic]:
        """Everything that is refused in this file."""
        for node, scope in self.facts.imports:
            if isinstance(node, ast.Import):
                yield from self._import(node)
            else:
                yield from self._import_from(node)
            del scope
        yield from self._builtins()
        for attribute, scope in self.facts.attributes:
            yield from self._attribute(attribute, scope)
        yield from self._texts()
        if self.project.reads_by_name:
            for call, scope in self.facts.calls:
                yield from self._by_name(call, scope)

    # Imports -----------------------------------------------------------------------------

    def _import(self, node: ast.Import) -> Iterator[Diagnostic]:
        for alias in node.names:
            name = alias.name
            if name.partition(".")[0] in self.project.modules:
                if name not in self.project.modules:
                    yield self._no_such_file(alias, name)
            elif not source_imports.is_allowed(name, self.additional):
                yield self._not_available(alias, name)

    def _import_from(self, node: ast.ImportFrom) -> Iterator[Diagnostic]:
        module = absolute_module(self.facts, node)
        if module is None:
            yield self.source.at(
                node,
                "relative_import",
                "This relative import starts from a folder above the app's files."
                if self.facts.package
                else f"`{self.facts.path}` stands in no folder, so nothing is beside it to import "
                "with a dot.",
                f"Write `from {node.module or 'package'} import …` without the dots.",
            )
            return
        module = module or ""
        own = node.level > 0 or module.partition(".")[0] in self.project.modules
        if own:
            if module not in self.project.modules:
                yield self._no_such_file(node, module)
        elif not source_imports.is_allowed(module, self.additional):
            if not source_imports.holds_allowed(module, self.additional):
                yield self._not_available(node, module)
                return
            for alias in node.names:
                if not source_imports.is_allowed(f"{module}.{alias.name}", self.additional):
                    yield self._not_available(alias, f"{module}.{alias.name}")
            return
        for alias in node.names:
            yield from self._member(alias, module, alias.name, own=own)

    def _member(
        self, alias: ast.alias, module: str, name: str, *, own: bool
    ) -> Iterator[Diagnostic]:
        if source_names.refused_attribute(name):
            yield self._interpreter(alias, name)
        elif own:
            for value in self.project.member(module, name):
                if isinstance(value, str):
                    yield from self._refused_object(alias, value)
        else:
            yield from self._reach(alias, module, name)

    def _not_available(self, node: Any, name: str) -> Diagnostic:
        top = name.partition(".")[0]
        hint = source_imports.INSTEAD.get(name) or source_imports.INSTEAD.get(top)
        if hint is None:
            hint = (
                "Put the file beside this one, or see the list of packages for what can be used."
                if top not in source_imports.PYTHON
                else "The list of packages shows what can be used instead."
            )
        return self.source.at(node, "import_not_allowed", f"`{name}` is not available here.", hint)

    def _no_such_file(self, node: Any, name: str) -> Diagnostic:
        path = name.replace(".", "/")
        return self.source.at(
            node,
            "no_such_module",
            f"There is no file for the module `{name}`.",
            f"Add `{path}.py`, or correct the name.",
        )

    # Attributes --------------------------------------------------------------------------

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Iterator[Diagnostic]:
        name = node.attr
        if name in source_names.ATTRIBUTES:
            yield self._interpreter(node, name)
        elif name == "__class__":
            harmless = node in self.facts.class_in_passing and isinstance(node.ctx, ast.Load)
            if not harmless:
                yield self._interpreter(node, name)
        elif name == "mro":
            if self._is_class(node.value, scope):
                yield self._interpreter(node, name)
        elif name in source_names.MODULE_ATTRIBUTES:
            for value in self.project.resolve(node.value, scope):
                if isinstance(value, Module) or (isinstance(value, str) and _is_module(value)):
                    yield self._interpreter(node, name)
                    return
        elif name[:2] != "__" or (name in source_names.OBJECT_NAMES):
            for value in self.project.resolve(node.value, scope):
                refused = []
                if isinstance(value, str):
                    refused = list(self._reach(node, value, name))
                yield from refused
                if refused:
                    return

    def _is_class(self, node: Any, scope: Scope) -> bool:
        if isinstance(node, ast.Attribute) and node.attr == "__class__":
            return True
        values = self.project.resolve(node, scope)
        return any(
            value == "builtins.type()"
            or (isinstance(value, Scope) and value.kind == "class")
            or (isinstance(value, str) and value.removeprefix("builtins.") in _STATIC)
            for value in values
        )

    def _reach(self, node: Any, module: str, name: str) -> Iterator[Diagnostic]:
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
            yield from self._refused_object(node, dotted)

    def _refused_object(self, node: Any, dotted: str) -> Iterator[Diagnostic]:
        hint = source_names.OBJECTS.get(dotted)
        if hint is None and dotted.startswith("builtins."):
            hint = source_names.BUILTINS.get(dotted.removeprefix("builtins."))
        if hint is not None:
            yield self._say(node, "not_allowed", f"`{dotted}` is not available here.", hint)

    def _interpreter(self, node: Any, name: str) -> Diagnostic:
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

    # Built-in functions ------------------------------------------------------------------

    def _builtins(self) -> Iterator[Diagnostic]:
        for node, scope in (*self.facts.loads, *self.facts.bases):
            name = node.id
            if name in source_names.BUILTINS:
                if self.means_builtin(node, scope):
                    yield self.source.at(
                        node,
                        "builtin_not_allowed",
                        f"`{name}` is not available here.",
                        source_names.BUILTINS[name],
                    )
            elif self.facts.stars and scope.find(name) is None:
                for module in self.facts.stars:
                    if module not in self.project.modules:
                        yield from self._reach(node, module, name)

    def means_builtin(self, node: ast.Name, scope: Scope) -> bool:
        """Whether the name may be the built-in function, for all that is bound where it stands."""
        found = scope.find(node.id)
        if found is None:
            values = self.project.from_stars(node.id, self.facts)
            return not any(not isinstance(value, str) for value in values)
        owner, bindings = found
        if owner.kind in ("function", "comprehension"):
            return False
        if any(binding.how == "deleted" for binding in bindings):
            return True
        return not any(self._bound_before(binding, owner, node, scope) for binding in bindings)

    def _bound_before(self, binding: Binding, owner: Scope, use: ast.Name, scope: Scope) -> bool:
        """Whether a module or class binds the name for certain before it is used."""
        for statement in owner.node.body:
            if statement is not binding.node and binding.node not in getattr(
                statement, "names", ()
            ):
                continue
            if not isinstance(statement, _BINDS_ALWAYS) or binding.how == "unknown":
                return False
            end = (statement.end_lineno, statement.end_col_offset)
            if isinstance(statement, ast.With):
                end = (statement.body[0].lineno, statement.body[0].col_offset)
            start = (statement.lineno, statement.col_offset)
            here = (use.lineno, use.col_offset)
            if end <= here:
                return True
            if binding.how in ("function", "class") and start <= here and scope is not owner:
                return True
            return self._called_later(scope, owner, start)
        return False

    def _called_later(self, scope: Scope, owner: Scope, start: tuple[int, int]) -> bool:
        """Whether the function around a use is named nowhere before the binding further down."""
        outermost = scope
        while outermost.parent is not None and outermost.parent is not owner:
            outermost = outermost.parent
        name = getattr(outermost.node, "name", None)
        if outermost is owner or owner.kind != "module" or name is None:
            return False
        if outermost.kind == "class" and scope is outermost:
            return False
        end = (outermost.node.end_lineno, outermost.node.end_col_offset)
        return not any(
            node.id == name and end < (node.lineno, node.col_offset) < start
            for node, _ in (*self.facts.loads, *self.facts.bases)
        )

    # Names of attributes as text ---------------------------------------------------------

    def _texts(self) -> Iterator[Diagnostic]:
        for text in self.facts.texts:
            if (name := _refused_in(text.value)) is not None:
                yield self._interpreter(text, name)
        for pattern in self.facts.patterns:
            for name, value in zip(pattern.kwd_attrs, pattern.kwd_patterns, strict=True):
                if source_names.refused_attribute(name):
                    yield self._interpreter(value, name)
        for subscript in self.facts.subscripts:
            name = subscript.slice.value  # type: ignore[attr-defined]
            if name in source_names.ATTRIBUTES:
                yield self._interpreter(subscript.slice, name)

    def _by_name(self, call: ast.Call, scope: Scope) -> Iterator[Diagnostic]:
        functions = self.project.resolve(call.func, scope)
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        passed: Values = frozenset()
        for argument in given:
            if type(argument) in (ast.Name, ast.Attribute):
                passed |= self.project.resolve(argument, scope)
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if method in ("format", "format_map") and isinstance(call.func, ast.Attribute):
            yield from self._template(call.func.value, scope)
        if not (
            functions & source_names.BY_NAME
            or passed & source_names.BY_NAME
            or method in source_names.METHODS_BY_NAME
        ):
            return
        for argument in given:
            for part in _parts(argument):
                text = constant_text(part, scope)
                refused = [n for n in (text or "").split(".") if source_names.refused_attribute(n)]
                if refused:
                    yield self._interpreter(part, refused[0])
                    return
        if "builtins.getattr" in functions and len(call.args) > 1:
            text = constant_text(call.args[1], scope)
            for value in self.project.resolve(call.args[0], scope):
                if text is not None and isinstance(value, str):
                    yield from self._reach(call.args[1], value, text)
                elif text is None and isinstance(value, str) and value in _WITH_WAYS_OUT:
                    yield self.source.at(
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
            yield self._interpreter(node, name)


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
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        for element in node.elts:
            yield from _parts(element)
    else:
        yield node


def _is_module(name: str) -> bool:
    return name in source_imports.ALLOWED or name in _WITH_WAYS_OUT


_BINDS_ALWAYS: Final = (
    ast.Assign,
    ast.AnnAssign,
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.With,
)
_WITH_WAYS_OUT: Final = frozenset(module for module, _ in source_modules.LEADS_TO)
