"""Whose change may touch what: a person's own apps, and everything for operators."""

from collections.abc import Collection, Iterator
from typing import Final

from api.domain.audit_rules import beyond_people
from api.domain.intent_check import problem
from api.domain.repo_layout import PeopleFile
from api.domain.source_check import Diagnostic

_TOLD: Final = 50
_APP_DEPTH: Final = 5  # parts of apps/<shard>/<user_id>/<app_id>/<entry>


def check_author(login: str, people: PeopleFile, changed: Collection[str]) -> Iterator[Diagnostic]:
    """What a person may not change of these paths, as `git_places.Places.changed` gives them.

    `people` must be from before the change: nobody lists themselves.
    """
    if people.is_operator(login) or not changed:
        return
    user = people.user_of(login)
    if user is None:
        message = f"{login} is not listed, so nothing here is theirs to change."
        hint = "An operator adds them: `people: {login: user id}`; the editor shows one's user id."
        yield problem("people.yaml", "unknown_author", message, hint)
        return
    others = set(beyond_people(changed))
    not_theirs = [path for path in changed if path in others or not _is_of(path, user)]
    for path in not_theirs[:_TOLD]:
        whose = "the platform's or an operator's" if path in others else "another tenant's"
        message = f"{login} may not change this: it is {whose}."
        yield problem(path, "not_yours", message, f"People change the apps of their own ({user}).")
    if len(not_theirs) > _TOLD:
        more = len(not_theirs) - _TOLD
        yield problem(".", "not_yours", f"{more} more paths are not {login}'s to change.", _LEAVE)


def _is_of(path: str, user: str) -> bool:
    parts = path.split("/")
    return len(parts) >= _APP_DEPTH and parts[2] == user


_LEAVE: Final = "Leave them as they are."
