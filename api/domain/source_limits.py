"""What files must be before anything looks into them: named plainly, text, and of bounded size."""

import re
import string
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from api.domain import source_imports
from api.domain.repo_layout import MAX_PATH, is_plain_path
from api.domain.source_text import Diagnostic, Source, whole_file

MAX_FILES: Final = 50
MAX_FILE_BYTES: Final = 256 * 1024
MAX_TOTAL_BYTES: Final = 900 * 1024
#: CPython parses about 10 µs per statement: this many pieces stay well below a second.
MAX_TOKENS: Final = 60_000
EXTENSIONS: Final = (".py", ".html", ".css", ".js", ".svg", ".json", ".txt", ".md", ".csv")

# Besides what misleads readers: characters that kustomize alters or refuses in a ConfigMap.
_FORBIDDEN: Final = re.compile(
    "\x00|\r(?!\n)|[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)
_TOLD: Final = 20  # such characters in one file
# PEP 263: a comment on one of the first two lines, the first of which holds nothing else.
_CODING: Final = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*([-_.a-zA-Z0-9]+)")
_BLANK: Final = re.compile(r"^[ \t\f]*(?:#.*)?\r?$")
_UTF8_NAMES: Final = frozenset({"utf-8", "utf8", "u8", "utf", "utf-8-sig", "cp65001"})
# A string that is not closed counts to its end: no place is read twice, so time stays linear.
_STRING: Final = (
    r'''"""(?:[^"\\]|\\.|"(?!""))*(?:"""|\Z)'''
    r"""|'''(?:[^'\\]|\\.|'(?!''))*(?:'''|\Z)"""
    r"""|"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|\#[^\n]*"""
)
_STRINGS: Final = re.compile(_STRING, re.DOTALL)
_TOKEN: Final = re.compile(rf"{_STRING}|\w+|[^\w\s]", re.DOTALL)
_SIGNS: Final = string.punctuation.replace("_", "").encode()


def check_paths(
    files: Mapping[str, bytes], additional_imports: Collection[str] = ()
) -> Iterator[Diagnostic]:
    """Paths, kinds, counts and sizes; nothing is decoded yet."""
    if len(files) > MAX_FILES:
        yield whole_file(
            sorted(files)[MAX_FILES],
            "too_many_files",
            f"An app has at most {MAX_FILES} files; this one has {len(files)}.",
            "Delete files that the app does not need, or join small ones.",
        )
    if (total := sum(map(len, files.values()))) > MAX_TOTAL_BYTES:
        yield whole_file(
            max(files, key=lambda path: (len(files[path]), path)),
            "too_large",
            f"The files have {total:,} bytes in all; at most {MAX_TOTAL_BYTES:,} are possible.",
            "This is the largest file; make it smaller, or load large data from elsewhere.",
        )
    for path, data in files.items():
        yield from _check_path(path, additional_imports)
        if len(data) > MAX_FILE_BYTES:
            yield whole_file(
                path,
                "file_too_large",
                f"This file has {len(data):,} bytes; at most {MAX_FILE_BYTES:,} are possible.",
                "Split it into several files.",
            )
    yield from _check_twins(files)


def _check_path(path: str, additional: Collection[str]) -> Iterator[Diagnostic]:
    if not is_plain_path(path):
        yield whole_file(
            path,
            "bad_path",
            f"`{path[:MAX_PATH]}` cannot be a file's path.",
            "Use letters, digits, `_`, `-` and `.`, with `/` between folders; no part may be "
            f"empty, begin with a dot or be `..`, and {MAX_PATH} characters are the most.",
        )
    elif not path.endswith(EXTENSIONS):
        yield whole_file(
            path,
            "bad_extension",
            f"`{path.rpartition('/')[2]}` is of a kind that cannot be used here.",
            f"Files end in {', '.join(f'`{end}`' for end in EXTENSIONS)}.",
        )
    elif path.endswith(".py"):
        top = path.partition("/")[0].removesuffix(".py")
        if source_imports.is_known_module(top, additional):
            what = "file" if "/" not in path else "folder"
            yield whole_file(
                path,
                "shadows_module",
                f"A {what} called `{path.partition('/')[0]}` would hide the module `{top}`: "
                f"`import {top}` would find it instead.",
                f"Rename the {what}, for example to `my_{top}{'.py' if what == 'file' else ''}`.",
            )


def _check_twins(files: Mapping[str, bytes]) -> Iterator[Diagnostic]:
    """Paths that differ in case only, or use one name for a file and a folder."""
    seen: dict[str, str] = {}
    for path in files:
        package = path.removesuffix(".py") + "/__init__.py"
        if path.endswith(".py") and package in files:
            yield whole_file(
                path,
                "twin_path",
                f"`{path}` and `{package}` would be one module.",
                "Rename one of them: Python would only ever find the second.",
            )
    for path in sorted(files):
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            name = "/".join(parts[:end])
            first = seen.setdefault(name.casefold(), name)
            clash = name in files and end < len(parts)
            if first != name or clash:
                yield whole_file(
                    path,
                    "twin_path",
                    f"`{name}` is a file and cannot hold `{path}`."
                    if clash
                    else f"`{path}` and `{first}` differ in upper and lower case only.",
                    "Give one of them another name: some computers cannot keep the two apart.",
                )
                break


def decode(path: str, data: bytes) -> tuple[Source, list[Diagnostic]]:
    """The text of a file without a leading byte order mark, and what is wrong with it as text."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        source = Source(path, data[: error.start].decode())
        diagnostic = source.character(
            error.start and len(source.text),
            "not_utf8",
            f"This file is not UTF-8: byte {data[error.start]:#04x} cannot stand here.",
            "Save the file with the encoding UTF-8.",
        )
        return source, [diagnostic]
    source = Source(path, text)
    found = []
    if not text.isascii() or any(character in text for character in "\x00\r\x7f"):
        matches = zip(range(_TOLD), _FORBIDDEN.finditer(text), strict=False)
        found = [source.character(m.start(), *_character_message(m.group())) for _, m in matches]
    if path.endswith(".py"):
        found += _check_encoding(source)
    return source, found


def _character_message(character: str) -> tuple[str, str, str]:
    if character == "\x00":
        return "nul", "A NUL character cannot stand in a file.", "Delete it."
    if character == "\r":
        return (
            "lone_carriage_return",
            "A carriage return without a line feed: editors and Python differ where lines end.",
            "End lines with LF or CRLF.",
        )
    if character <= "\x9f" or character >= "\ufffe":
        return (
            "control_character",
            f"The invisible character U+{ord(character):04X} does not survive publishing.",
            f'Delete it; in text, write it as `"\\u{ord(character):04x}"`.',
        )
    return (
        "bidirectional",
        f"The invisible character U+{ord(character):04X} lets code read other than it runs.",
        f'Delete it; in text, write it as `"\\u{ord(character):04x}"`.',
    )


def _check_encoding(source: Source) -> list[Diagnostic]:
    lines = source.text.split("\n", 2)[:2]
    for number, line in enumerate(lines, 1):
        match = _CODING.match(line)
        if match is None:
            if not _BLANK.match(line):
                break
            continue
        name = match.group(1).lower().replace("_", "-")
        if name not in _UTF8_NAMES:
            column, end = match.start(1) + 1, match.end(1) + 1
            message = f"This comment declares the encoding `{match.group(1)}`; files are UTF-8."
            hint = "Delete the comment: Python reads UTF-8 without it."
            found = Diagnostic(
                source.path, number, column, number, end, "error", "encoding", message, hint
            )
            return [found]
        break
    return []


def check_amount(sources: Collection[Source]) -> list[Diagnostic]:
    """Bound what the parser has to build: all Python files together."""
    if sum(len(source.text) for source in sources) <= MAX_TOKENS:
        return []
    if sum(_at_most(source.text) for source in sources) <= MAX_TOKENS:
        return []
    count = 0
    for source in sources:
        for match in _TOKEN.finditer(source.text):
            piece = match.group()
            count += 1 + piece.count("{") if len(piece) > 1 else 1  # of f-strings
            if count > MAX_TOKENS:
                return [
                    source.character(
                        match.start(),
                        "too_much_code",
                        f"The Python files have more than {MAX_TOKENS:,} names, numbers and "
                        "signs in all; here is one too many.",
                        "Keep data in `.json` or `.csv` files, and delete code that is not used.",
                    )
                ]
    return []


def _at_most(text: str) -> int:
    """A bound of the number of tokens, some ten times as fast as counting them."""
    code = _STRINGS.sub(" ", text).encode()
    words = len(code.split())
    signs = len(code) - len(code.translate(None, _SIGNS))
    return words + 2 * signs + text.count("{")
