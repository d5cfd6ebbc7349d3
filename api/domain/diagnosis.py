"""What an operator's doctor finds: a table of checks over what was observed of an installation.

A check is a small function with a name. It yields problems; why they matter stands beside it, once.
What could not be looked at is told apart from what is well: a check that needs it says `Unseen`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from api.domain.installation import ByHand, Installation, Unseen

_Seen = TypeVar("_Seen")
#: Findings of one check that are told one by one: 256 shards may all lack the same.
MANY: Final = 5


class NotSeen(Exception):
    """What a check needs could not be looked at; the message says why."""


class OnlyByHand(Exception):
    """No program can look at it here; the message says what an operator looks at instead."""


class NotHere(Exception):
    """This installation has no such part: there is nothing to be well or broken."""


@dataclass(frozen=True)
class Problem:
    """One thing that is missing or wrong, and the command or line that mends it."""

    missing: str
    mend: str


@dataclass(frozen=True)
class Check:
    """One line of the contract; `about` says what holds when nothing is found."""

    name: str
    about: str
    why: str
    look: Callable[[Installation], Iterable[Problem]]


@dataclass(frozen=True)
class Finding:
    """A problem, and why it matters."""

    check: str
    missing: str
    why: str
    mend: str


@dataclass(frozen=True)
class Unlooked:
    """A check that could not be made."""

    check: str
    why: str


@dataclass(frozen=True)
class Diagnosis:
    """All that was found, and all that could not be looked at."""

    passed: tuple[str, ...]
    findings: tuple[Finding, ...]
    unlooked: tuple[Unlooked, ...]
    by_hand: tuple[Unlooked, ...] = ()

    @property
    def status(self) -> int:
        """The exit status: 0 healthy, 1 something was found, 2 not everything could be seen.

        What is for people to look at in every case counts for nothing: it is never seen.
        """
        return 1 if self.findings else 2 if self.unlooked else 0


def diagnose(checks: Sequence[Check], seen: Installation) -> Diagnosis:
    """Make every check that is for this installation.

    A check that finds something and then cannot look at the rest tells both.
    """
    passed: list[str] = []
    findings: list[Finding] = []
    unlooked: list[Unlooked] = []
    by_hand: list[Unlooked] = []
    for check in checks:
        found: list[Problem] = []
        try:
            for problem in check.look(seen):
                found.append(problem)  # noqa: PERF402  (what was found before a NotSeen counts)
        except NotHere:
            continue
        except NotSeen as error:
            unlooked.append(Unlooked(check.name, str(error)))
        except OnlyByHand as error:
            by_hand.append(Unlooked(check.name, str(error)))
        else:
            passed += [] if found else [check.name]
        findings += [Finding(check.name, p.missing, check.why, p.mend) for p in _few(found)]
    return Diagnosis(tuple(passed), tuple(findings), tuple(unlooked), tuple(by_hand))


def require(what: _Seen | Unseen | ByHand) -> _Seen:
    """What was observed; raises NotSeen or OnlyByHand when it could not be."""
    if isinstance(what, Unseen):
        raise NotSeen(what.why)
    if isinstance(what, ByHand):
        raise OnlyByHand(what.what)
    return what


@dataclass(frozen=True)
class Part(Generic[_Seen]):
    """Turns a look at one part of an installation into a check of the whole."""

    of: Callable[[Installation], _Seen | Unseen | ByHand | None]

    def check(
        self, name: str, about: str, why: str
    ) -> Callable[[Callable[[_Seen], Iterable[Problem]]], Check]:
        """A decorator; where an installation has no such part (None), there is nothing to check."""

        def made(look: Callable[[_Seen], Iterable[Problem]]) -> Check:
            def whole(seen: Installation) -> Iterable[Problem]:
                part = self.of(seen)
                if part is None:
                    raise NotHere
                return look(require(part))

            return Check(name, about, why, whole)

        return made


def _few(told: Sequence[Problem]) -> Iterator[Problem]:
    yield from told[:MANY]
    if len(told) > MANY:
        rest = len(told) - MANY
        yield Problem(f"… and {rest} more of the same kind", told[0].mend)
