"""Where a forge shows what the check says: the status of a commit, a comment on a pull request.

GitHub (https://docs.github.com/en/rest/commits/statuses, …/rest/issues/comments) and Gitea, which
keeps to the same shapes (https://docs.gitea.com/api/); GitLab's own (…/api/commits, …/api/notes).
"""

from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

from pydantic import TypeAdapter

from api.clients.forge import Place
from api.clients.forge_api import Answer, ForgeApi, segment
from api.domain.check_report import CONTEXT, State
from api.domain.forge_events import ForgeName

_GITLAB_STATES: Final[dict[State, str]] = {
    "pending": "pending",
    "success": "success",
    "failure": "failed",
    "error": "failed",  # it has no other; the description tells
}


class Pages(Protocol):
    """One repository's pages; every call raises ForgeUnavailable, or ForgeRefused."""

    @property
    def repository(self) -> str:
        """Its path, as the forge's webhooks name it."""

    def head_ref(self, number: int) -> str:
        """Where the forge keeps the newest commit of a pull request."""

    async def tell(self, head: str, state: State, description: str, link: str | None) -> None:
        """Set the status of a commit."""

    async def find(self, number: int, mark: str) -> int | None:
        """The first comment that has this mark; None where there is none."""

    async def comment(self, number: int, text: str, known: int | None) -> str | None:
        """Write a comment, over the one that is known; its address."""


class _Nothing(Answer):
    """What was written is not looked at."""


class _Comment(Answer):
    id: int
    body: str | None = None
    html_url: str | None = None


_COMMENT: Final = TypeAdapter(_Comment)
_DONE: Final = TypeAdapter(_Nothing)


@dataclass(frozen=True)
class GithubPages:
    """GitHub's, and those of Gitea and Forgejo."""

    api: ForgeApi
    repository: str

    def head_ref(self, number: int) -> str:
        """See `Pages`."""
        return f"refs/pull/{number}/head"

    async def tell(self, head: str, state: State, description: str, link: str | None) -> None:
        """See `Pages`."""
        values = {"state": state, "context": CONTEXT, "description": description}
        values |= {"target_url": link} if link else {}
        await self.api.send("POST", f"{self._path}/statuses/{head}", values, _DONE)

    async def find(self, number: int, mark: str) -> int | None:
        """See `Pages`."""
        found = await self.api.all(f"{self._path}/issues/{number}/comments", _Comment)
        return _first(found, mark)

    async def comment(self, number: int, text: str, known: int | None) -> str | None:
        """See `Pages`."""
        issues = f"{self._path}/issues"
        where = ("POST", f"{issues}/{number}/comments")
        if known is not None:
            where = ("PATCH", f"{issues}/comments/{known}")
        made = await self.api.send(*where, {"body": text}, _COMMENT)
        url = made.html_url or ""
        return url if urlsplit(url).scheme in ("https", "http") else None

    @property
    def _path(self) -> str:
        return "/repos/" + "/".join(map(segment, self.repository.split("/")))


@dataclass(frozen=True)
class GitlabPages:
    """GitLab's: a merge request's head, statuses of commits, notes."""

    api: ForgeApi
    repository: str

    def head_ref(self, number: int) -> str:
        """See `Pages`."""
        return f"refs/merge-requests/{number}/head"

    async def tell(self, head: str, state: State, description: str, link: str | None) -> None:
        """See `Pages`."""
        values = {"state": _GITLAB_STATES[state], "name": CONTEXT, "description": description}
        values |= {"target_url": link} if link else {}
        await self.api.send("POST", f"{self._path}/statuses/{head}", values, _DONE)

    async def find(self, number: int, mark: str) -> int | None:
        """See `Pages`."""
        found = await self.api.all(f"{self._path}/merge_requests/{number}/notes", _Comment)
        return _first(found, mark)

    async def comment(self, number: int, text: str, known: int | None) -> str | None:
        """See `Pages`; GitLab does not tell a note's address."""
        notes = f"{self._path}/merge_requests/{number}/notes"
        if known is None:
            await self.api.send("POST", notes, {"body": text}, _COMMENT)
        else:
            await self.api.send("PUT", f"{notes}/{known}", {"body": text}, _COMMENT)
        return None

    @property
    def _path(self) -> str:
        return f"/projects/{segment(self.repository)}"


def pages_at(forge: ForgeName, place: Place, github_api: str) -> tuple[str, str]:
    """The address of the API, and the repository's path there."""
    path = f"{place.owner}/{place.name}"
    if forge == "github":
        return github_api.rstrip("/"), path
    if forge != "gitlab":
        return f"{place.web}/api/v1", path
    # A project may be in groups of groups: they look like folders of the forge's address.
    parts = urlsplit(place.web)
    groups = parts.path.strip("/")
    return f"{parts.scheme}://{parts.netloc}/api/v4", f"{groups}/{path}" if groups else path


def _first(comments: tuple[_Comment, ...], mark: str) -> int | None:
    """The oldest: the mark cannot be written before it was seen there."""
    return min((c.id for c in comments if mark in (c.body or "")), default=None)
