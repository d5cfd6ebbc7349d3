"""Opens what listens to the forge: webhooks, and the checks of pull requests."""

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from api.checking import IntentCheck
from api.clients.check_pages import GithubPages, GitlabPages, Pages, pages_at
from api.clients.forge import Place
from api.clients.forge_api import ForgeApi, asking, carried
from api.clients.git_program import Credentials, TokenFile
from api.clients.pull_request_heads import PullRequestHeads
from api.domain.forge_events import ForgeName, HeadMoved
from api.errors import Unavailable
from api.opening import REPOSITORY, credentials
from api.pull_request_checks import PullRequestChecks
from api.settings import Settings
from api.watching import Watcher
from api.webhooks import Webhooks, read_secrets

_MARKS: Final = b"marks of comments on pull requests"


async def open_webhooks(
    settings: Settings, check: IntentCheck, watcher: Watcher
) -> tuple[Webhooks, PullRequestChecks] | None:
    """What receives, and what checks in the background; None where no secret is set.

    Raises Unavailable for a remote that is of no forge, and for a secret that cannot be read.
    """
    file, remote = settings.forge_webhook_secret_file, settings.git_remote
    if file is None or remote is None:
        return None
    place = Place.of(remote, settings.forge_url)
    if place is None:
        raise Unavailable(
            "GIT_REMOTE names no repository of a forge, which FORGE_WEBHOOK_SECRET_FILE is for.",
            hint="It ends in owner/name; without a forge, unset FORGE_WEBHOOK_SECRET_FILE.",
        )
    opened = _ForgePages(settings, place, credentials(settings))
    secrets = await asyncio.to_thread(read_secrets, file)
    heads = PullRequestHeads(settings.data_dir / REPOSITORY, remote, opened.credentials)
    key = hmac.digest(secrets[0], _MARKS, "sha256")
    checks = PullRequestChecks(heads, check, opened.open, key)
    return Webhooks(opened.repository, file, watcher.look_soon, checks.submit), checks


class _ForgePages:
    """The pages of the repository, at whichever forge signs."""

    def __init__(self, settings: Settings, place: Place, own: Credentials) -> None:
        self._settings = settings
        self._place = place
        self.credentials = own

    def repository(self, forge: ForgeName) -> str:
        """Its path there."""
        return pages_at(forge, self._place, self._settings.github_api_url)[1]

    @asynccontextmanager
    async def open(self, asked: HeadMoved) -> AsyncIterator[Pages]:
        """The pages that tell what comes of a check."""
        url, repository = pages_at(asked.forge, self._place, self._settings.github_api_url)
        async with asking() as client:
            api = ForgeApi(url, client, carried(url, await self._token(url)))
            gitlab = asked.forge == "gitlab"
            yield GitlabPages(api, repository) if gitlab else GithubPages(api, repository)

    async def _token(self, url: str) -> str | None:
        if self._settings.forge_token_file:
            return await TokenFile(self._settings.forge_token_file).token()
        return await self.credentials.token(url)
