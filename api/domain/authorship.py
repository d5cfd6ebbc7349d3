"""Who made a commit of `main`, and what they did: told from what the commit says of itself."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from api.domain.commit_message import COMMITTER, VISITOR, Person, trailers
from api.domain.safe_text import plain_line

Kind = Literal["editor", "pull_request", "by_hand", "cleanup", "visitor", "administrator"]

_MAX_SUBJECT: Final = 200
_MAX_NAME: Final = 100
#: How forges name a squashed or rebased pull request (`… (#12)`, GitLab: `… (!12)`), and its merge:
#: GitHub first, then Gitea.
_PULL_REQUEST: Final = re.compile(
    r".* \(([#!][0-9]{1,9})\)|Merge pull request ([#!][0-9]{1,9}) .*"
    r"|Merge pull request '.*' \(([#!][0-9]{1,9})\) from .*"
)


@dataclass(frozen=True)
class Authorship:
    """Who, what and in which words; all of it in plain characters, whatever stood there."""

    name: str
    kind: Kind
    action: str  # the platform's trailer; `edit` or `merge` for commits by other hands
    subject: str


def pull_request(subject: str) -> str | None:
    """What a subject says of the pull request that it comes from: `#12`, or GitLab's `!12`.

    Anybody may write it: it leads to a page of the forge, and proves nothing.
    """
    found = _PULL_REQUEST.fullmatch(subject)
    return next(filter(None, found.groups()), None) if found else None


def by_platform(committer: Person) -> bool:
    """Whether the platform wrote the commit, as far as its committer says so."""
    return committer.email == COMMITTER.email


def authorship(
    message: str, author: Person, committer: Person, *, merge: bool, merged: bool
) -> Authorship:
    """What a commit says; `merged`: it came onto `main` by a merge, `merge`: it is one."""
    subject = plain_line(message.partition("\n")[0].strip()[:_MAX_SUBJECT])
    name = plain_line(author.name[:_MAX_NAME]) or "unknown"
    if not by_platform(committer):
        asked = merged or pull_request(subject) is not None
        kind: Kind = "pull_request" if asked else "by_hand"
        return Authorship(name, kind, "merge" if merge else "edit", subject)
    action = next(iter(trailers(message).get("Action", ())), None)
    if author.email != COMMITTER.email:
        kind = "editor"
    elif author.name == COMMITTER.name and action is not None:
        kind = "cleanup"  # nobody asked for it
    elif author == VISITOR:
        kind = "visitor"
    else:
        kind = "administrator"
    return Authorship(name, kind, plain_line(action or "create"), subject)
