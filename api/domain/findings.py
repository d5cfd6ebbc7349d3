"""What a check found, as code hosts and people read it; paths begin at the repository's root."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from api.domain.safe_text import plain_line
from api.domain.source_check import Diagnostic

SARIF_VERSION: Final = "2.1.0"
_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_PLAIN: Final = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._/@+-]*")


def line_of(found: Diagnostic) -> str:
    """`file:line: rule: what to do`, on one line and in plain characters.

    A path of other characters stands in quotes: runners of workflows obey lines that begin so.
    """
    path = found.path if _PLAIN.fullmatch(found.path) else json.dumps(found.path)
    rule = found.code if found.severity == "error" else f"{found.severity} {found.code}"
    return plain_line(f"{path}:{found.line}: {rule}: {found.message} {found.hint}".rstrip())


def sarif(findings: Sequence[Diagnostic], version: str) -> dict[str, Any]:
    """The findings as SARIF 2.1.0: https://docs.oasis-open.org/sarif/sarif/v2.1.0/."""
    rules = sorted({found.code for found in findings})
    places = {rule: number for number, rule in enumerate(rules)}
    driver = {
        "name": "fastapi-platform check",
        "version": version,
        "rules": [{"id": rule, "name": rule} for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(found, places) for found in findings],
    }
    return {"$schema": _SCHEMA, "version": SARIF_VERSION, "runs": [run]}


def _result(found: Diagnostic, places: Mapping[str, int]) -> dict[str, Any]:
    region = {
        "startLine": found.line,
        "startColumn": found.column,
        "endLine": found.end_line,
        "endColumn": found.end_column,
    }
    location = {"artifactLocation": {"uri": quote(found.path)}, "region": region}
    return {
        "ruleId": found.code,
        "ruleIndex": places[found.code],
        "level": "error" if found.severity == "error" else "warning",
        "message": {"text": plain_line(f"{found.message} {found.hint}".rstrip())},
        "locations": [{"physicalLocation": location}],
    }
