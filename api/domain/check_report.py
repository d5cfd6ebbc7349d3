"""What the check of a pull request says on its page: a status of one line, and a comment.

What stands in the comment was named by whoever made the change: it is shown as plain text, in
which no mention, link or markup of theirs means anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from api.domain.findings import line_of
from api.domain.source_check import Diagnostic

State = Literal["pending", "success", "failure", "error"]
#: The status's name on the forge: what a rule of `main` may require.
CONTEXT: Final = "fastapi-platform/check"
#: GitHub takes 140 characters of a status and 65,536 of a comment.
_MAX_DESCRIPTION: Final = 140
_MAX_LINES: Final = 50
_MAX_LINE: Final = 800
PENDING: Final = "The check is under way."


@dataclass(frozen=True)
class Verdict:
    """What is told about one head."""

    state: State
    description: str
    #: In Markdown; None where there is nothing to say beyond the description.
    details: str | None = None


def verdict(
    head: str, apps: int, findings: Sequence[Diagnostic], not_judged: Sequence[str]
) -> Verdict:
    """What the findings of a check come to."""
    errors = [found for found in findings if found.severity == "error"]
    looked = f"{apps} app{'' if apps == 1 else 's'} checked"
    if not errors:
        text = _details(head, "Nothing stands in the way.", findings, not_judged)
        return Verdict("success", f"{looked}. Nothing stands in the way.", text)
    first = errors[0]
    what = f"{len(errors)} to correct: {first.path}:{first.line}: {first.code}"
    text = _details(head, f"{len(errors)} to correct.", [*errors, *_others(findings)], not_judged)
    return Verdict("failure", _short(what), text)


def unfinished(head: str, why: str) -> Verdict:
    """What is told when the check could not be made."""
    text = _details(head, "The check could not be finished.", (), ())
    return Verdict(
        "error", _short(f"Not checked: {why}"), f"{text}\n\n{_fenced([why])}\n\n{_AGAIN}"
    )


def _others(findings: Sequence[Diagnostic]) -> list[Diagnostic]:
    return [found for found in findings if found.severity != "error"]


def _details(
    head: str, said: str, findings: Sequence[Diagnostic], not_judged: Sequence[str]
) -> str:
    parts = [f"**Platform check** of {head[:12]}: {said}"]
    if findings:
        lines = [line_of(found) for found in findings[:_MAX_LINES]]
        if more := len(findings) - _MAX_LINES:
            lines += [f"… and {more} more"] if more > 0 else []
        parts.append(_fenced(lines))
    parts += [f"Not judged: {rule}." for rule in not_judged]
    return "\n\n".join(parts)


def _fenced(lines: Sequence[str]) -> str:
    """As they are; none of them can end the block, for each has something before it."""
    return "\n".join(["```text", *(f" {_cut(line)}" for line in lines), "```"])


def _cut(line: str) -> str:
    # No backticks: with some spaces before them they end a block as well.
    text = "".join(c if c.isprintable() else " " for c in line).replace("```", "'''")
    return text if len(text) <= _MAX_LINE else f"{text[: _MAX_LINE - 1]}…"


def _short(text: str) -> str:
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain if len(plain) <= _MAX_DESCRIPTION else f"{plain[: _MAX_DESCRIPTION - 1]}…"


_AGAIN: Final = (
    "Push again, or have the forge deliver its last webhook again, and the check is made anew."
)
