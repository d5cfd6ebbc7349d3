"""The rules about names, attributes and imports: what leads out of an app is refused, and why."""

import ast
import builtins
from collections.abc import Collection, Iterator
from typing import Any, Final

from api.domain import source_imports, source_names
from api.domain.source_names_as_text import NamesAsText
from api.domain.source_refusals import Refusals
from api.domain.source_resolve import Project
from api.domain.source_scopes import Binding, Facts, Scope, absolute_module
from api.domain.source_text import Diagnostic, Source
from api.domain.source_values import MODULES, Module

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
        self.refusals = Refusals(source, additional)
        self._statements: dict[Scope, dict[Any, ast.stmt]] = {}
        self._known_sure: dict[tuple[Scope, str], list[tuple[Binding, ast.stmt]]] = {}
        self._looked = 0

    def check(self) -> Iterator[Diagnostic]:
        """Everything that is refused in this file."""
        for node, _ in self.facts.imports:
            if isinstance(node, ast.Import):
                yield from self._import(node)
            else:
                yield from self._import_from(node)
        yield from self._builtins()
        for attribute, scope in self.facts.attributes:
            yield from self._attribute(attribute, scope)
        yield from NamesAsText(self.facts, self.project, self.refusals).check()

    # Imports -----------------------------------------------------------------------------

    def _import(self, node: ast.Import) -> Iterator[Diagnostic]:
        for alias in node.names:
            name = alias.name
            if name.partition(".")[0] in self.project.modules:
                if name not in self.project.modules:
                    yield self.refusals.no_such_file(alias, name)
            elif not source_imports.is_allowed(name, self.additional):
                yield self.refusals.not_available(alias, name)

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
                yield self.refusals.no_such_file(node, module)
        elif not source_imports.is_allowed(module, self.additional):
            if not source_imports.holds_allowed(module, self.additional):
                yield self.refusals.not_available(node, module)
                return
            for alias in node.names:
                if not source_imports.is_allowed(f"{module}.{alias.name}", self.additional):
                    yield self.refusals.not_available(alias, f"{module}.{alias.name}")
            return
        for alias in node.names:
            yield from self._member(alias, module, alias.name, own=own)

    def _member(
        self, alias: ast.alias, module: str, name: str, *, own: bool
    ) -> Iterator[Diagnostic]:
        if source_names.refused_attribute(name):
            yield self.refusals.interpreter(alias, name)
        elif own:
            for value in self.project.member(module, name):
                if isinstance(value, str):
                    yield from self.refusals.forbidden(alias, value)
        else:
            yield from self.refusals.reach(alias, module, name)

    # Attributes --------------------------------------------------------------------------

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Iterator[Diagnostic]:
        name = node.attr
        if name == "__class__":
            refused = node not in self.facts.class_in_passing or not isinstance(node.ctx, ast.Load)
        elif name == "mro":
            refused = self._is_class(node.value, scope)
        elif name in source_names.MODULE_ATTRIBUTES:
            values = self.project.resolve(node.value, scope)
            refused = any(isinstance(value, Module) or value in MODULES for value in values)
        else:
            refused = name in source_names.ATTRIBUTES
        if refused:
            yield self.refusals.interpreter(node, name)
        elif name[:2] != "__":
            yield from self._of_module(node, scope)

    def _of_module(self, node: ast.Attribute, scope: Scope) -> Iterator[Diagnostic]:
        for value in self.project.resolve(node.value, scope):
            if isinstance(value, str):
                found = list(self.refusals.reach(node, value, node.attr))
                yield from found
                if found:  # once is enough, whatever else it may be
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

    # Built-in functions ------------------------------------------------------------------

    def _builtins(self) -> Iterator[Diagnostic]:
        harmless: set[str] = set()  # names that no star import makes a way out
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
            elif self.facts.stars and name not in harmless and scope.find(name) is None:
                found = list(self._from_stars(node))
                yield from found
                if not found:
                    harmless.add(name)

    def _from_stars(self, node: ast.Name) -> Iterator[Diagnostic]:
        for module in self.facts.stars:
            if module not in self.project.modules:
                yield from self.refusals.reach(node, module, node.id)

    def means_builtin(self, node: ast.Name, scope: Scope) -> bool:
        """Whether the name may be the built-in function, for all that is bound where it stands."""
        found = scope.find(node.id)
        if found is None:
            return not self.project.gives_by_star(node.id, self.facts)
        owner, bindings = found
        if owner.kind in ("function", "comprehension"):
            return False
        return not any(
            self._before(binding, statement, owner, node, scope)
            for binding, statement in self._sure(owner, node.id, bindings)
        )

    def _sure(
        self, owner: Scope, name: str, bindings: list[Binding]
    ) -> list[tuple[Binding, ast.stmt]]:
        """The bindings of a name that a module or class makes for certain, with their statements.

        None when it is also deleted somewhere. Only the first few count: they come first.
        """
        if (owner, name) not in self._known_sure:
            if owner not in self._statements:
                self._statements[owner] = {
                    part: statement
                    for statement in owner.node.body
                    if isinstance(statement, _BINDS_ALWAYS)
                    for part in (statement, *getattr(statement, "names", ()))
                }
            statements = self._statements[owner]
            sure = [
                (binding, statements[binding.node])
                for binding in bindings
                if binding.how != "unknown" and binding.node in statements
            ]
            if any(binding.how == "deleted" for binding in bindings):
                sure = []
            self._known_sure[owner, name] = sure[:_COMPARED]
        return self._known_sure[owner, name]

    def _before(
        self, binding: Binding, statement: ast.stmt, owner: Scope, use: ast.Name, scope: Scope
    ) -> bool:
        """Whether a statement binds the name before it is used."""
        end = (statement.end_lineno or 0, statement.end_col_offset or 0)
        if isinstance(statement, ast.With):
            end = (statement.body[0].lineno, statement.body[0].col_offset)
        start = (statement.lineno, statement.col_offset)
        here = (use.lineno, use.col_offset)
        if end <= here:
            return True
        if binding.how in ("function", "class") and start <= here and scope is not owner:
            return True
        return self._called_later(scope, owner, start)

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
        self._looked += 1
        if self._looked > _COMPARED:
            return False
        end = (outermost.node.end_lineno, outermost.node.end_col_offset)
        return not any(
            node.id == name and end < (node.lineno, node.col_offset) < start
            for node, _ in (*self.facts.loads, *self.facts.bases)
        )


_COMPARED: Final = 50  # bindings of one name; and uses before their binding in one file
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
