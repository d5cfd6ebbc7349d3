"""What runs while a file is imported: it must come to an end, or the server never starts."""

import ast
from collections.abc import Iterator, Sequence
from typing import Any, Final

from api.domain.source_conditions import always
from api.domain.source_resolve import Project
from api.domain.source_scopes import Facts, Scope
from api.domain.source_text import Diagnostic, Source

_GUARD: Final = 'Put it under `if __name__ == "__main__":`, which only your own computer runs.'
_STARTS: Final = {
    "uvicorn.run": f"The platform starts the server itself. {_GUARD}",
    "uvicorn.main": f"The platform starts the server itself. {_GUARD}",
    "uvicorn.main.run": f"The platform starts the server itself. {_GUARD}",
    "uvicorn.Server().run": f"The platform starts the server itself. {_GUARD}",
    "uvicorn.Server().serve": f"The platform starts the server itself. {_GUARD}",
    "asyncio.run": "Await it in the app's `lifespan` function, or in a route.",
    "asyncio.runners.run": "Await it in the app's `lifespan` function, or in a route.",
    "asyncio.Runner().run": "Await it in the app's `lifespan` function, or in a route.",
}
_LOOP_METHODS: Final = frozenset({"run_until_complete", "run_forever"})
_ENDLESS: Final = frozenset({"itertools.count()", "itertools.cycle()"})
_ENDLESS_HINT: Final = (
    "Nothing below it is ever reached. Start repeated work in the app's `lifespan` function, for "
    "example with `asyncio.create_task`."
)
_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class ImportTime:
    """Follows a module's statements, and the functions that they call."""

    def __init__(self, sources: dict[str, Source], project: Project) -> None:
        self.sources = sources
        self.project = project
        self.seen: set[Any] = set()
        self.needed = any(_may_not_end(facts) for facts in project.facts.values())

    def check(self, facts: Facts) -> Iterator[Diagnostic]:
        """What of this file starts a server, an event loop or an endless loop when imported."""
        if self.needed:
            yield from self._run(facts.tree.body, facts.scope)

    def _run(self, body: Sequence[ast.stmt], scope: Scope) -> Iterator[Diagnostic]:
        waiting: list[ast.AST] = list(body)
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                waiting += [*node.decorator_list, *node.args.defaults]
                waiting += [default for default in node.args.kw_defaults if default is not None]
                continue
            if isinstance(node, ast.Lambda):
                continue
            if isinstance(node, ast.ClassDef):
                waiting += [*node.decorator_list, *node.bases]
                yield from self._run(node.body, scope.facts.scopes[node])
                continue
            if isinstance(node, ast.If):
                waiting += _branches(node)
                continue
            if isinstance(node, ast.While | ast.For):
                yield from self._loop(node, scope)
            elif isinstance(node, ast.Call):
                yield from self._call(node, scope)
            elif isinstance(node, ast.GeneratorExp):
                waiting.append(node.generators[0].iter)  # the rest waits to be asked for
                continue
            waiting.extend(ast.iter_child_nodes(node))

    def _loop(self, node: ast.While | ast.For, scope: Scope) -> Iterator[Diagnostic]:
        if isinstance(node, ast.While):
            endless = always(node.test) is True
        else:
            endless = bool(self.project.resolve(node.iter, scope) & _ENDLESS)
        if endless and not _leaves(node.body):
            source = self.sources[scope.facts.path]
            lines = source.lines[node.lineno - 1].rstrip("\r")
            column = source.column(node.lineno, node.col_offset)
            yield Diagnostic(
                source.path,
                node.lineno,
                column,
                node.lineno,
                len(lines) + 1,
                "error",
                "endless_loop",
                "This loop never ends, so the server cannot start.",
                _ENDLESS_HINT,
            )

    def _call(self, node: ast.Call, scope: Scope) -> Iterator[Diagnostic]:
        source = self.sources[scope.facts.path]
        if isinstance(node.func, ast.Attribute) and node.func.attr in _LOOP_METHODS:
            yield source.at(
                node,
                "runs_at_import",
                f"`{node.func.attr}` would start an event loop while the file is imported.",
                _STARTS["asyncio.run"],
            )
            return
        for function in self.project.resolve(node.func, scope):
            if isinstance(function, str) and function in _STARTS:
                yield source.at(
                    node,
                    "runs_at_import",
                    f"`{function}` would start while the file is imported, and never give way to "
                    "the server."
                    if function.startswith("uvicorn")
                    else f"`{function}` would start an event loop while the file is imported.",
                    _STARTS[function],
                )
            elif isinstance(function, Scope) and function.node not in self.seen:
                self.seen.add(function.node)
                yield from self._called(function)

    def _called(self, function: Scope) -> Iterator[Diagnostic]:
        node = function.node
        if isinstance(node, ast.FunctionDef) and node not in function.facts.generators:
            yield from self._run(node.body, function)
        elif isinstance(node, ast.Lambda):
            yield from self._run([ast.Expr(node.body)], function)
        elif isinstance(node, ast.ClassDef):
            for statement in node.body:
                if isinstance(statement, ast.FunctionDef) and statement.name in _MADE_BY:
                    yield from self._run(statement.body, function.facts.scopes[statement])


def _branches(node: ast.If) -> list[ast.AST]:
    """The parts of a condition that importing may run."""
    then = always(node.test)
    yes = node.body if then is not False else []
    return [node.test, *yes, *(node.orelse if then is not True else [])]


def _may_not_end(facts: Facts) -> bool:
    """Whether a file names anything that could keep an import from ending; most do not."""
    return (
        any(always(loop.test) is True for loop in facts.loops)
        or not _LOOP_METHODS.isdisjoint(facts.calls_by_name)
        or any(
            ((node.module if isinstance(node, ast.ImportFrom) else alias.name) or "").partition(
                "."
            )[0]
            in _STARTERS
            for node, _ in facts.imports
            for alias in node.names
        )
    )


_STARTERS: Final = frozenset({"asyncio", "uvicorn", "itertools"})
_MADE_BY: Final = frozenset({"__init__", "__new__", "__post_init__"})


def _leaves(body: Sequence[ast.stmt]) -> bool:
    """Whether a loop's body has a way out: `break` of its own, `return`, `raise`."""
    waiting: list[tuple[ast.AST, bool]] = [(statement, True) for statement in body]
    while waiting:
        node, own = waiting.pop()
        if isinstance(node, ast.Return | ast.Raise | ast.Yield | ast.YieldFrom):
            return True
        if isinstance(node, ast.Break) and own:
            return True
        if isinstance(node, (*_DEFINITIONS, ast.ClassDef)):
            continue
        if isinstance(node, ast.While | ast.For | ast.AsyncFor):
            waiting += [(child, False) for child in node.body]
            waiting += [(child, own) for child in node.orelse]
            continue
        waiting += [(child, own) for child in ast.iter_child_nodes(node)]
    return False
