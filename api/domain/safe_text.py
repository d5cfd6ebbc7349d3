"""Characters that text of people may not hold, where tools would alter it or screens mislead."""

import re
from typing import Final

# YAML, kustomize or Kubernetes alter or refuse these: NUL, C0 but tab and line ends, DEL and C1,
# lone surrogates, and the two non-characters U+FFFE and U+FFFF.
_UNSAFE_TEXT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_CONTROL_OR_BIDI: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
    "\ufffe\uffff]"
)


def unsafe_character(text: str) -> int | None:
    """Index of the first character that YAML tools alter or refuse; None when there is none."""
    match = _UNSAFE_TEXT.search(text)
    return match.start() if match else None


def plain_line(text: str) -> str:
    """The text with control and bidirectional characters replaced: it can be shown anywhere."""
    return _CONTROL_OR_BIDI.sub("\N{REPLACEMENT CHARACTER}", text)
