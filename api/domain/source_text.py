"""A file's bytes as text, and places in it: what every diagnostic is made of."""

import ast
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

_LAST_NAME: Final = re.compile(r"\w+$")
Severity = Literal["error", "warning"]


@dataclass(frozen=True, order=True)
class Diagnostic:
    """One thing to say about one place; lines and columns count from 1, columns in characters."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    severity: Severity
    code: str
    message: str
    hint: str


class Source:
    """A file's text, and its lines as the compiler counts them."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self._lines: list[str] | None = None

    @property
    def lines(self) -> list[str]:
        """The lines without their ends (only LF and CRLF end a line)."""
        if self._lines is None:
            self._lines = self.text.split("\n")
        return self._lines

    def column(self, line: int, offset: int) -> int:
        """The 1-based column in characters of a 0-based offset in UTF-8 bytes."""
        if not 1 <= line <= len(self.lines):
            return 1
        text = self.lines[line - 1]
        if text.isascii():
            return min(offset, len(text)) + 1
        return len(text.encode()[:offset].decode(errors="ignore")) + 1

    def at(
        self, node: Any, code: str, message: str, hint: str, *, severity: Severity = "error"
    ) -> Diagnostic:
        """Say something about a node of the syntax tree; only its first line is marked."""
        line, column = node.lineno, self.column(node.lineno, node.col_offset)
        end_line = node.end_lineno or line
        end = self.column(end_line, node.end_col_offset or 0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            end_line, end = line, len(self.lines[line - 1].rstrip("\r")) + 1
        return Diagnostic(self.path, line, column, end_line, end, severity, code, message, hint)

    def attribute(self, node: ast.Attribute, code: str, message: str, hint: str) -> Diagnostic:
        """Say something about the name after the dot."""
        end_line = node.end_lineno or node.lineno
        end = self.column(end_line, node.end_col_offset or 0)
        before = self.lines[end_line - 1][: end - 1] if end_line <= len(self.lines) else ""
        name = _LAST_NAME.search(before)  # as written, which Python may normalise
        if name is None:  # inside the text of an annotation
            return self.at(node, code, message, hint)
        start = name.start() + 1
        return Diagnostic(self.path, end_line, start, end_line, end, "error", code, message, hint)

    def character(
        self, index: int, code: str, message: str, hint: str, *, severity: Severity = "error"
    ) -> Diagnostic:
        """Say something about one character of the text."""
        line = self.text.count("\n", 0, index) + 1
        column = index - self.text.rfind("\n", 0, index)
        return Diagnostic(self.path, line, column, line, column + 1, severity, code, message, hint)


def whole_file(path: str, code: str, message: str, hint: str) -> Diagnostic:
    """Say something about a file as such."""
    return Diagnostic(path, 1, 1, 1, 1, "error", code, message, hint)
