"""The forge that holds the repository: what its REST API tells of rules, keys and branches.

`open_forge` finds out which kind it is. Nothing is written; a plain git server is no forge.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

from pydantic import TypeAdapter

from api.clients.forge_api import Answer, ForgeApi, ForgeRefused, asking, carried, segment
from api.clients.gitea import Gitea
from api.clients.github import Github
from api.domain.installation import BranchRules, DeployKey
from api.errors import ForgeUnavailable

#: user@host:owner/name.git, as ssh takes it.
_SCP: Final = re.compile(r"(?:[^/@:\s]+@)?([^/:@\s]+):(?!/)(\S+)")
_GITHUB: Final = "github.com"
_GITHUB_API: Final = "https://api.github.com"


class Forge(Protocol):
    """One repository on its forge; every call raises ForgeUnavailable or ForgeRefused."""

    @property
    def kind(self) -> str:
        """As people call it."""

    async def default_branch(self) -> str:
        """Where pull requests go unless somebody says otherwise."""

    async def rules(self, branch: str) -> BranchRules:
        """What is enforced on a branch, whichever rule says it."""

    async def deploy_keys(self) -> tuple[DeployKey, ...]:
        """The keys that open this repository alone."""


@dataclass(frozen=True)
class Place:
    """Where a repository is, as its address says."""

    web: str  # scheme, host and port of its pages, and the folder of the forge if it has one
    host: str
    owner: str
    name: str

    @classmethod
    def of(cls, remote: str, forge_url: str | None = None) -> "Place | None":
        """None where the address is a path, or names no owner and repository.

        `forge_url` is the address of the pages where `remote` does not tell it.
        """
        scp = _SCP.fullmatch(remote)
        if scp and "://" not in remote:
            scheme, host, port, path = "ssh", scp[1], None, scp[2]
        else:
            try:
                parts = urlsplit(remote)
                scheme, host, port, path = parts.scheme, parts.hostname, parts.port, parts.path
            except ValueError:
                return None
        *folder, owner, name = ["", "", *filter(None, path.split("/"))]
        name = name.removesuffix(".git")
        if scheme not in ("https", "http", "ssh") or not (host and owner and name):
            return None
        if forge_url is not None:
            return cls(forge_url.rstrip("/"), host, owner, name)
        # The port of ssh is not that of the pages.
        at = f":{port}" if port and scheme != "ssh" else ""
        under = "".join(f"/{part}" for part in folder if part)
        web = "http" if scheme == "http" else "https"
        return cls(f"{web}://{host}{at}{under}", host, owner, name)


def pull_request_page(place: Place, named: str, github_api: str = _GITHUB_API) -> str:
    """The page of a pull request as commits name it: `#12`, or `!12` at GitLab."""
    mark, number = named[0], named[1:]
    if mark == "!":
        folder = "-/merge_requests"
    else:
        folder = "pull" if _is_github(place, github_api) else "pulls"
    return f"{place.web}/{segment(place.owner)}/{segment(place.name)}/{folder}/{number}"


class _Version(Answer):
    version: str


@asynccontextmanager
async def open_forge(
    place: Place,
    token: Callable[[str], Awaitable[str | None]],
    github_api: str = _GITHUB_API,
) -> AsyncIterator[Forge | None]:
    """The forge of a repository; None where it has no API that is known here.

    `token` gives what opens an address, or None; raises ForgeUnavailable where nothing answers.
    """
    async with asking() as client:
        if _is_github(place, github_api):
            url = github_api.rstrip("/")
            yield Github(
                ForgeApi(url, client, carried(url, await token(url))), place.owner, place.name
            )
            return
        url = f"{place.web}/api/v1"
        api = ForgeApi(url, client, carried(url, await token(place.web)))
        version = await _gitea_version(api)
        yield Gitea(api, place.owner, place.name, version) if version else None


def _is_github(place: Place, github_api: str) -> bool:
    """github.com, or the company's own GitHub that `GITHUB_API_URL` names."""
    api = urlsplit(github_api).hostname
    return (place.host == _GITHUB and github_api == _GITHUB_API) or place.host == api


async def _gitea_version(api: ForgeApi) -> str | None:
    """What Gitea and Forgejo call themselves; None for whatever else answers there."""
    try:
        return (await api.get("/version", TypeAdapter(_Version))).version
    except ForgeRefused:
        return None
    except ForgeUnavailable as error:
        if isinstance(error.__cause__, ValueError):  # it answered, with a page for people
            return None
        raise
