"""What a forge tells in a webhook: that a branch moved, or that a pull request has a new head.

The shapes are those that the forges document; what is not needed is not looked at. Everything in
them was written by others: names that do not look like names make the whole message invalid.

- https://docs.github.com/en/webhooks/webhook-events-and-payloads
- https://docs.gitea.com/usage/webhooks (Forgejo's are the same)
- https://docs.gitlab.com/user/project/integrations/webhook_events/
"""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from api.domain.repo_layout import MAIN

ForgeName = Literal["github", "gitea", "forgejo", "gitlab"]
#: The header that names the event, by forge.
EVENT_HEADERS: Final[dict[ForgeName, str]] = {
    "github": "X-GitHub-Event",
    "gitea": "X-Gitea-Event",
    "forgejo": "X-Gitea-Event",
    "gitlab": "X-Gitlab-Event",
}
_MOVED: Final = {"push", "Push Hook"}
_ASKED: Final = {"pull_request", "Merge Request Hook"}
#: What gives a pull request a head or another branch to go to: GitHub's words, Gitea's, GitLab's.
_NEW_HEAD: Final = frozenset(
    ("opened", "reopened", "synchronize", "edited", "synchronized", "open", "reopen", "update")
)

_ObjectId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
#: As the forges allow them; `[bot]` ends the names of GitHub's apps.
_Login = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(\[bot\])?$")]
_Number = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class InvalidEvent(ValueError):
    """Not what the forge documents; `message` says where, and never shows a value."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True)
class MainMoved:
    """Somebody pushed to `main`."""

    repository: str  # owner/name, as the forge writes it
    tip: str


@dataclass(frozen=True)
class HeadMoved:
    """A pull request to `main` was opened, or got another head."""

    forge: ForgeName
    repository: str
    number: int
    head: str
    author: str  # the login of whoever opened it; GitLab: of whoever pushed


Event = MainMoved | HeadMoved


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class _Repository(_Part):
    full_name: _Name


class _Project(_Part):
    path_with_namespace: _Name


class _Push(_Part):
    ref: _Name
    after: _ObjectId
    repository: _Repository


class _GitlabPush(_Part):
    ref: _Name
    after: _ObjectId
    project: _Project


class _User(_Part):
    login: _Login


class _Side(_Part):
    ref: _Name
    sha: _ObjectId


class _Base(_Part):
    ref: _Name


class _PullRequest(_Part):
    number: _Number
    user: _User
    head: _Side
    base: _Base


class _Asked(_Part):
    action: _Name
    pull_request: _PullRequest
    repository: _Repository


class _LastCommit(_Part):
    id: _ObjectId


class _MergeRequest(_Part):
    iid: _Number
    action: _Name = "none"  # left out where nobody did anything
    target_branch: _Name
    last_commit: _LastCommit


class _GitlabUser(_Part):
    username: _Login


class _GitlabAsked(_Part):
    object_attributes: _MergeRequest
    user: _GitlabUser
    project: _Project


def read_event(forge: ForgeName, event: str, body: bytes) -> Event | None:
    """What a message says; None for what concerns nobody here. Raises InvalidEvent."""
    try:
        if event in _MOVED:
            return _gitlab_push(body) if forge == "gitlab" else _push(body)
        if event in _ASKED:
            return _gitlab_asked(body) if forge == "gitlab" else _asked(forge, body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise InvalidEvent(f"{where}: {first['msg']}") from error
    return None


def _push(body: bytes) -> MainMoved | None:
    found = _Push.model_validate_json(body)
    return _moved(found.ref, found.after, found.repository.full_name)


def _gitlab_push(body: bytes) -> MainMoved | None:
    found = _GitlabPush.model_validate_json(body)
    return _moved(found.ref, found.after, found.project.path_with_namespace)


def _moved(ref: str, tip: str, repository: str) -> MainMoved | None:
    return MainMoved(repository, tip) if ref == f"refs/heads/{MAIN}" else None


def _asked(forge: ForgeName, body: bytes) -> HeadMoved | None:
    found = _Asked.model_validate_json(body)
    asked = found.pull_request
    if found.action not in _NEW_HEAD or asked.base.ref != MAIN:
        return None
    number, head, author = asked.number, asked.head.sha, asked.user.login
    return HeadMoved(forge, found.repository.full_name, number, head, author)


def _gitlab_asked(body: bytes) -> HeadMoved | None:
    found = _GitlabAsked.model_validate_json(body)
    asked = found.object_attributes
    if asked.action not in _NEW_HEAD or asked.target_branch != MAIN:
        return None
    number, head, author = asked.iid, asked.last_commit.id, found.user.username
    return HeadMoved("gitlab", found.project.path_with_namespace, number, head, author)
