"""What other programs say, in words for those who need not know where the platform's parts are.

Errors of git, of the API server, of Flux and of kubelets name hosts, ports and pods. The log keeps
them as they are; an answer to a learner, or to anybody who asks `/readyz`, does not.
"""

import re
from ipaddress import IPv6Address
from typing import Final

SHOWN: Final = "[address]"
_NAMED: Final = re.compile(
    r"""
    [a-zA-Z][a-zA-Z0-9+.-]*://[^\s'"`<>,;)\]]*[^\s'"`<>,;:.)\]]   # any URL
    | [\w.+*-]+@(?!sha\d+:)[\w-][\w.-]*(?::[\w./~-]+)?            # git@host:path, no digest
    | \b\d{1,3}(?:\.\d{1,3}){3}(?:[:/]\d{1,5})?\b                 # IPv4, its port or prefix
    | \b[\w-]+(?:\.[\w-]+)*\.(?:svc|local|internal|lan)(?:\.[\w-]+)*\b(?::\d{1,5})?
    """,
    re.VERBOSE,
)
#: Any name, where it stands for a host without a doubt.
_ASKED: Final = re.compile(
    r"(\b(?:resolve host(?:name)?:?|lookup|connect to host)\s+)[^\s:]+(:\d+)?"
)
_V6: Final = re.compile(r"(?<![\w.:])\[?([0-9A-Fa-f:.]{3,})(?:\]:\d{1,5}|\])?(?!\w)")


def without_addresses(text: str) -> str:
    """The text with `[address]` for every URL, IP address and name of a host inside."""
    text = _NAMED.sub(SHOWN, text)
    text = _ASKED.sub(rf"\1{SHOWN}", text)
    return _V6.sub(lambda found: SHOWN if _is_v6(found[1]) else found[0], text)


def _is_v6(text: str) -> bool:
    return any(_parses(part) for part in (text, text.rstrip(".:")))  # a colon may end it


def _parses(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True
