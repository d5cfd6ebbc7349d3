"""Text as YAML that every reader understands alike.

Readers disagree about plain and even quoted scalars (`yes`, `1e3`, emoji, U+2028), but not about
double-quoted scalars in ASCII: https://yaml.org/spec/1.2.2/#57-escaped-characters. Only these are
written here, and reading back takes the few plain forms that the JSON schema of YAML 1.2 gives a
type, so that nothing turns into a date, a base-60 number or a merge key on the way.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from api.domain.repo_layout import unsafe_character

_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED: Final = re.compile(r"[^ !#-\[\]-~]")
_LAST_BYTE: Final = 0xFF
_LAST_BMP: Final = 0xFFFF
# libyaml where the wheel has it (20 times faster), the same schema without it.
_Base: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class UnsafeText(ValueError):
    """The text holds a character that YAML tools alter or refuse."""


def quote(text: str) -> str:
    """`text` as one ASCII-only double-quoted scalar on one line; raise UnsafeText."""
    if (at := unsafe_character(text)) is not None:
        raise UnsafeText(f"character {at + 1} (U+{ord(text[at]):04X}) cannot be kept in YAML")
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if short := _SHORT.get(character):
        return short
    number = ord(character)
    if number <= _LAST_BYTE:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= _LAST_BMP else f"\\U{number:08x}"


class _Loader(_Base):  # type: ignore[misc]  # its base depends on how PyYAML was built
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  (PyYAML's interface)


for _tag, _pattern, _first in (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"-?(?:0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", list("-0123456789")),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first
    )


def load_all(text: str | bytes) -> list[Any]:
    """Every document of `text` as plain values; raise yaml.YAMLError."""
    return list(yaml.load_all(text, Loader=_Loader))


def quoted_scalars(text: str) -> Iterator[str]:
    """The values of all double-quoted scalars of `text`, in their order."""
    for event in yaml.parse(text, Loader=_Base):
        if isinstance(event, yaml.ScalarEvent) and event.style == '"':
            yield event.value
