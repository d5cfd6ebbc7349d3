"""Text as YAML that every reader understands alike.

Readers disagree about plain and even quoted scalars (`yes`, `1e3`, emoji, U+2028), but not about
double-quoted scalars in ASCII: https://yaml.org/spec/1.2.2/#57-escaped-characters. Only these are
written here, and reading back takes the few plain forms that the JSON schema of YAML 1.2 gives a
type, so that nothing turns into a date, a base-60 number or a merge key on the way.
"""

import re
from typing import Any, Final

import yaml

from api.domain.safe_text import unsafe_character

_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
MAX_DEPTH: Final = 32
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


class _Reader(_Base):  # type: ignore[misc]  # its base depends on how PyYAML was built
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  (PyYAML's interface)


for _tag, _pattern, _first in (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"-?(?:0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", list("-0123456789")),
):
    _Reader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first
    )


def load_all(text: str | bytes) -> list[Any]:
    """Every document of `text` as plain values; raise yaml.YAMLError."""
    return list(yaml.load_all(text, Loader=_Reader))


class _StrictReader(_Reader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002  (PyYAML's interface)
        keys = [str(key.value) for key, _ in node.value]
        if len(keys) != len(set(keys)) or "<<" in keys:
            raise yaml.constructor.ConstructorError(
                None, None, "a key stands twice in one mapping, or is <<", node.start_mark
            )
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def load_strict(text: str) -> list[Any]:
    """Every document of what a person wrote, without anchors, tags, repeated keys or deep nesting.

    Raises yaml.YAMLError. The depth is bounded first: libyaml's loader recurses in C.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_Base):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or getattr(event, "anchor", None) or getattr(event, "tag", None):
            mark: Any = event.start_mark
            problem = "anchors, tags and deep nesting are not used here"
            raise yaml.constructor.ConstructorError(None, None, problem, mark)
    return list(yaml.load_all(text, Loader=_StrictReader))


def compose_all(text: str) -> list[yaml.Node]:
    """Every document of `text` as nodes, half the work of plain values; raise yaml.YAMLError."""
    return list(yaml.compose_all(text, Loader=_Base))


def text_at(node: yaml.Node, *path: str) -> str | None:
    """The scalar below a mapping's keys, as it is written; None where there is none."""
    for key in path:
        if not isinstance(node, yaml.MappingNode):
            return None
        found = next((value for name, value in node.value if name.value == key), None)
        if found is None:
            return None
        node = found
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def quoted_scalars(document: yaml.Node) -> list[str]:
    """The values of all double-quoted scalars of a document, in their order."""
    found: list[str] = []
    waiting: list[Any] = [document]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.ScalarNode):
            if node.style == '"':
                found.append(node.value)
        elif isinstance(node, yaml.MappingNode):
            waiting.extend(part for pair in reversed(node.value) for part in reversed(pair))
        else:
            waiting.extend(reversed(node.value))
    return found
