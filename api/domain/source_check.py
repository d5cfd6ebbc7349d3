"""The source check: whether an app's files may be deployed, and if not, what to change where.

A teacher, not the security boundary (docs/security.md): it works on the syntax tree, follows names
to what they mean, and says what it found in words that help. It never runs any of the code.
"""

import ast
import warnings
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Final

from api.domain.source_entrypoint import check_entrypoint
from api.domain.source_import_time import ImportTime
from api.domain.source_limits import check_amount, check_paths, decode
from api.domain.source_resolve import Project, TooIntertwined
from api.domain.source_rules import Rules
from api.domain.source_scopes import Facts, TooDeep
from api.domain.source_statements import collect
from api.domain.source_text import Diagnostic, Source, whole_file
from api.domain.source_warnings import check_warnings

__all__ = ["CHECKER_VERSION", "Diagnostic", "check", "is_valid"]

#: Part of the key of every remembered verdict: goes up whenever a verdict may change.
CHECKER_VERSION: Final = 1
MAX_DIAGNOSTICS: Final = 200
_TOO_DEEP: Final = "Split it into smaller pieces with names of their own."


def check(
    files: Mapping[str, bytes],
    entrypoint: str = "user_code.py",
    additional_imports: Collection[str] = (),
) -> list[Diagnostic]:
    """Check all files of an app; the diagnostics are in the order of path, line and column.

    `files` maps paths below `code/` to content; `additional_imports` are modules that an
    administrator allowed. Raises nothing, whatever the input, but costs up to a second of
    processor time and, on an interpreter with a flaw, could end the process: run it in a helper.
    """
    found = list(check_paths(files, additional_imports))
    if any(one.code in ("too_many_files", "too_large", "file_too_large") for one in found):
        return _in_order(found)
    sources: dict[str, Source] = {}
    for path, data in files.items():
        source, problems = decode(path, data)
        found += problems
        if path.endswith(".py") and not problems:
            sources[path] = source
    if entrypoint not in files:
        found.append(
            whole_file(
                entrypoint,
                "no_entrypoint",
                f"There is no file `{entrypoint}`, where the app is to be found.",
                "Add it, or choose another file as the entrypoint.",
            )
        )
    if problems := check_amount(sources.values()):
        return _in_order(found + problems)
    found += _check_python(sources, files, entrypoint, additional_imports)
    return _in_order(found)


def is_valid(diagnostics: Iterable[Diagnostic]) -> bool:
    """Whether the files may be deployed: warnings do not stand in the way."""
    return all(one.severity != "error" for one in diagnostics)


def _check_python(
    sources: dict[str, Source],
    files: Mapping[str, bytes],
    entrypoint: str,
    additional: Collection[str],
) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    parsed: list[Facts] = []
    for source in sources.values():
        facts, problems = _parse(source)
        found += problems
        if facts is not None:
            parsed.append(facts)
    try:
        project = Project(parsed, _modules(files))
        import_time = ImportTime(sources, project)
        for facts in parsed:
            source = sources[facts.path]
            found += islice(Rules(source, facts, project, additional).check(), MAX_DIAGNOSTICS)
            found += import_time.check(facts)
            found += check_warnings(source, facts, project, entrypoint)
            if facts.path == entrypoint:
                found += check_entrypoint(entrypoint, source, facts, project)
    except (TooIntertwined, RecursionError, MemoryError):
        found.append(
            whole_file(
                entrypoint if entrypoint in files else next(iter(files)),
                "too_intertwined",
                "The names in these files refer to each other in too many steps to follow.",
                "Use fewer names for the same thing, and import modules where they are used.",
            )
        )
    return found


def _parse(source: Source) -> tuple[Facts | None, list[Diagnostic]]:
    """The tree of a file and what the compiler says about it, as the runner's would."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            tree = ast.parse(source.text, source.path)
            facts = collect(source.path, _module_name(source.path), tree)
            compile(tree, source.path, "exec", dont_inherit=True)
        except SyntaxError as error:
            return None, [_syntax_error(source, error)]
        except TooDeep as error:
            message = "The code nests too deeply here to be checked."
            return None, [source.at(error.node, "too_deep", message, _TOO_DEEP)]
        except (RecursionError, MemoryError):
            message = "An expression in this file is too long or nests too deeply to be read."
            return None, [whole_file(source.path, "too_deep", message, _TOO_DEEP)]
        except ValueError as error:  # the compiler's other way to refuse a text
            return None, [whole_file(source.path, "syntax_error", f"{error}.", "Correct it.")]
    return facts, [
        _syntax_warning(source, one) for one in caught if issubclass(one.category, SyntaxWarning)
    ]


def _syntax_error(source: Source, error: SyntaxError) -> Diagnostic:
    last = len(source.lines)
    line = min(max(error.lineno or 1, 1), last)
    width = len(source.lines[line - 1].rstrip("\r")) + 1
    column = min(max(error.offset or 1, 1), width)
    end_line = min(max(error.end_lineno or line, line), last)
    end = error.end_offset or 0
    if end_line == line and end <= column:
        end = column + 1
    return Diagnostic(
        source.path,
        line,
        column,
        end_line,
        max(end, 1),
        "error",
        "syntax_error",
        f"Python cannot read this: {error.msg}.",
        "Correct it; the mistake may also stand just before this place.",
    )


def _syntax_warning(source: Source, warning: warnings.WarningMessage) -> Diagnostic:
    line = min(max(warning.lineno, 1), len(source.lines))
    end = len(source.lines[line - 1].rstrip("\r")) + 1
    text = str(warning.message)
    hint = "Python runs this, but it is probably not what you mean."
    return Diagnostic(source.path, line, 1, line, end, "warning", "syntax_warning", text, hint)


def _module_name(path: str) -> str:
    parts = path.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def _modules(files: Mapping[str, bytes]) -> set[str]:
    """The dotted names of all modules and packages that the files make."""
    modules: set[str] = set()
    for path in files:
        parts = _module_name(path).split(".")
        if path.endswith(".py") and all(part.isidentifier() for part in parts):
            modules |= {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
    return modules - {""}


def _in_order(found: list[Diagnostic]) -> list[Diagnostic]:
    refused = {(one.path, one.line, one.column) for one in found if one.severity == "error"}
    found = [
        one
        for one in set(found)
        if one.severity == "error" or (one.path, one.line, one.column) not in refused
    ]
    if len(found) > MAX_DIAGNOSTICS:  # errors before warnings, so that the verdict stays
        found = sorted(found, key=lambda one: (one.severity != "error", one))[:MAX_DIAGNOSTICS]
    return sorted(found)
