"""What a commit says: a subject that people read, trailers that programs read."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from api.domain.names import AppRef


@dataclass(frozen=True)
class Person:
    """A name and an address, as git keeps them."""

    name: str
    email: str


#: Committer of everything that the platform writes.
COMMITTER: Final = Person("FastAPI Platform", "platform@users.noreply.invalid")
#: Author of a commit that wakes an app because somebody opened its address.
VISITOR: Final = Person("A visitor", COMMITTER.email)
#: Action of an operator's command, on files that are no tenant's.
TEMPLATE_ACTION: Final = "init-repo"
_NOTHING: Final[Mapping[str, str | None]] = {}
_TRAILER: Final = re.compile(r"([A-Z][A-Za-z-]*): (.*)")


def person(username: str, user_id: str) -> Person:
    """A user as author: history is for ever, so their e-mail address stays out of it."""
    return Person(username, f"{user_id}@users.noreply.invalid")


def intent_message(
    action: str, apps: Iterable[AppRef], what: str, request_id: str | None = None
) -> str:
    """The message of a commit on `main`: `deploy <app_id>: <display name>` and its trailers.

    `what` must be one line: display names are checked for that when they are accepted.
    """
    refs = sorted(apps)
    subject = f"{action} {refs[0].app_id}: {what}" if len(refs) == 1 else f"{action}: {what}"
    trailers = [("App-Id", ref.app_id) for ref in refs]
    trailers += [("User-Id", user_id) for user_id in sorted({ref.user_id for ref in refs})]
    return _message(subject, [*trailers, ("Action", action), ("Request-Id", request_id or "")])


def tenant_message(action: str, user_id: str, what: str) -> str:
    """The message of a commit on `main` that is about a tenant as a whole."""
    return _message(f"{action} {user_id}: {what}", [("User-Id", user_id), ("Action", action)])


def template_message(paths: Sequence[str]) -> str:
    """The message of a commit on `main` that follows the platform's template."""
    subject = f"Follow the template in {len(paths)} file{'' if len(paths) == 1 else 's'}"
    return _message(subject, [("Action", TEMPLATE_ACTION)])


def clusters_message(source: str) -> str:
    """The message of a commit on the branch that a cluster's own objects are applied from."""
    return _message("Take over clusters/ of main", [("Source-Commit", source)])


#: Of a publish commit in which apps were rendered anew that people had not changed.
RERENDER: Final = "rerender"


def publish_message(
    subject: str, source: str, renderer_version: int, more: Mapping[str, str | None] = _NOTHING
) -> str:
    """The message of a commit on a shard branch; `more` trailers where they have a value."""
    return _message(
        subject,
        [
            ("Source-Commit", source),
            ("Renderer-Version", str(renderer_version)),
            *((name, value or "") for name, value in more.items()),
        ],
    )


def trailers(message: str) -> Mapping[str, list[str]]:
    """The trailers in the last paragraph of a message, each with all of its values."""
    found: dict[str, list[str]] = {}
    for line in message.strip().rpartition("\n\n")[2].splitlines():
        if match := _TRAILER.fullmatch(line):
            found.setdefault(match[1], []).append(match[2])
    return found


def source_commit(message: str) -> str | None:
    """The commit of `main` that a publish commit was made from."""
    return next(iter(trailers(message).get("Source-Commit", ())), None)


def _message(subject: str, pairs: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f"{name}: {value}\n" for name, value in pairs if value)
    return f"{subject}\n\n{lines}"


def newer_renderer(message: str, ours: int) -> str | None:
    """The renderer that a publish commit names, if it is newer than ours or no number at all."""
    version = trailers(message).get("Renderer-Version", ["0"])[0]
    return None if version.isdecimal() and int(version) <= ours else version
