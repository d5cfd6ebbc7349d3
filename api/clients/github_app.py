"""Tokens of a GitHub App: minted from its private key, and renewed before they end.

The key signs a short-lived JWT (RS256), which GitHub trades for a token of one installation that
opens its repositories for an hour:
https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

import asyncio
import logging
import ssl
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Annotated, Final

import httpx2
import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from api.errors import RepositoryUnavailable

_log = logging.getLogger(__name__)
#: Bounds of a request for a token, in seconds.
_SECONDS: Final = 10.0
#: A token is renewed when it ends within so many seconds; until _LAST, others go on with it.
_RENEW: Final = 300.0
#: Seconds before its end from which on a token is not used: git may need it several times.
_LAST: Final = 60.0
#: A token that is refused at this age, in seconds, is not to blame: another one will not help.
_YOUNG: Final = 60.0
#: Seconds between attempts that fail: a wrong key shall not look like an attack.
_PAUSE: Final = 5.0
#: GitHub advises to set `iat` back, and accepts an `exp` at most 10 minutes ahead; one less lets
#: a clock here be fast by as much as it may be slow.
_BACK: Final = 60
_AHEAD: Final = 540
#: A difference of clocks, in seconds, that is worth telling when a JWT is refused.
_SKEW: Final = 30.0
_CREATED: Final = 201
_MAX_WORDS: Final = 200
_HINTS: Final = {
    401: "Check that GITHUB_APP_KEY_FILE is a key of the app GITHUB_APP_ID, and not revoked.",
    403: "Check whether the app is suspended, or asked too often.",
    404: "Check GITHUB_APP_INSTALLATION_ID, and GITHUB_API_URL: the app must be installed there.",
}


class _Minted(BaseModel):
    """GitHub's answer; its value is never shown, and is safe inside a header."""

    model_config = ConfigDict(hide_input_in_errors=True)

    token: Annotated[str, Field(pattern=r"^[!-~]{1,2000}$", repr=False)]
    expires_at: AwareDatetime


class _Said(BaseModel):
    message: str = ""


@dataclass(frozen=True)
class _Held:
    text: str = field(repr=False)
    since: float  # on the monotonic clock, as is the end
    ends: float


@dataclass(frozen=True)
class GithubApp:
    """An App's installation, and where the host's API is."""

    app_id: str  # or its client id
    installation_id: int
    key_file: Path  # read anew for each token, so that rotation needs no restart
    api_url: str


class InstallationTokens:
    """One installation's token, for all who need it at once."""

    def __init__(self, app: GithubApp) -> None:
        self._app = app
        self._held: _Held | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._problem: RepositoryUnavailable | None = None
        self._problem_until = 0.0

    async def token(self, refused: str | None = None) -> str:
        """A token that holds for a while; another one than that which the host refused.

        Only who finds none that is still good waits, within 10 s. Raises RepositoryUnavailable.
        """
        if self._held and self._held.text == refused and _now() - self._held.since > _YOUNG:
            self._held = None
        held, left = self._held, self._seconds_left()
        if held and left > _RENEW:
            return held.text
        renewal = self._renew()
        if held and left > _LAST:
            return held.text
        if renewal:
            await asyncio.wait({renewal})  # a waiter that is cancelled does not end it for others
            renewal.result()
        if self._held is None or self._seconds_left() <= 0:
            raise self._problem or RepositoryUnavailable("GitHub's token ended at once.")
        return self._held.text

    def _seconds_left(self) -> float:
        return self._held.ends - _now() if self._held else 0.0

    def _renew(self) -> asyncio.Task[None] | None:
        """The renewal that is under way, after a failure only when some time has passed."""
        if self._renewal and not self._renewal.done():
            return self._renewal
        if _now() < self._problem_until:
            return None
        self._renewal = asyncio.create_task(self._mint(), name="renewing GitHub's token")
        return self._renewal

    async def _mint(self) -> None:
        try:
            self._held = await self._ask()
        except RepositoryUnavailable as error:
            self._problem, self._problem_until = error, _now() + _PAUSE
            _log.warning("%s %s", error.message, error.hint)

    async def _ask(self) -> _Held:
        app = self._app
        url = f"{app.api_url.rstrip('/')}/app/installations/{app.installation_id}/access_tokens"
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {await asyncio.to_thread(_signed, app)}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        # As git does: the authorities of this machine, also those of a company's own host.
        trusted = await asyncio.to_thread(ssl.create_default_context)
        try:
            async with (
                asyncio.timeout(_SECONDS),
                httpx2.AsyncClient(verify=trusted, timeout=_SECONDS) as client,
            ):
                answer = await client.post(url, headers=headers)
        except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            reason = str(error) or f"no answer within {_SECONDS:g} s"
            raise RepositoryUnavailable(
                f"GitHub's API at {app.api_url} gave no token: {reason}.",
                hint="Nothing was saved. Check GITHUB_API_URL and the network.",
            ) from error
        return _read(answer, app)


def _signed(app: GithubApp) -> str:
    """The JWT that proves to be the app; raises RepositoryUnavailable naming the file."""
    try:
        key = load_pem_private_key(app.key_file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        reason = error.strerror if isinstance(error, OSError) else "not an open PEM key"
        raise _wrong_key(app, f"cannot be read: {reason}") from error
    if not isinstance(key, RSAPrivateKey):
        raise _wrong_key(app, "is not an RSA key")
    now = int(time.time())
    claims = {"iat": now - _BACK, "exp": now + _AHEAD, "iss": app.app_id}
    return jwt.encode(claims, key, "RS256")


def _wrong_key(app: GithubApp, what: str) -> RepositoryUnavailable:
    return RepositoryUnavailable(
        f"The key of the GitHub App, {app.key_file}, {what}.",
        hint="Nothing was saved. Name the .pem file that GitHub gave when the key was made.",
    )


def _read(answer: httpx2.Response, app: GithubApp) -> _Held:
    """The token of an answer; raises RepositoryUnavailable with what the host said."""
    if answer.status_code != _CREATED:
        raise _refused(answer, app)
    try:
        minted = _Minted.model_validate_json(answer.content)
    except ValidationError as error:
        raise RepositoryUnavailable(
            f"GitHub's API at {app.api_url} answered with something that is not a token.",
            hint="Nothing was saved. Check GITHUB_API_URL: Enterprise's ends in /api/v3.",
        ) from error
    # By the host's own clock: this machine's may be wrong.
    lasts = (minted.expires_at - _host_time(answer)).total_seconds()
    return _Held(minted.token, _now(), _now() + lasts)


def _refused(answer: httpx2.Response, app: GithubApp) -> RepositoryUnavailable:
    try:
        said = _Said.model_validate_json(answer.content).message
    except ValidationError:
        said = ""
    words = "".join(c if c.isprintable() else " " for c in said)[:_MAX_WORDS] or "no reason given"
    skew = (_here() - _host_time(answer)).total_seconds()
    clock = ""
    if answer.status_code == httpx2.codes.UNAUTHORIZED and abs(skew) > _SKEW:
        way = "fast" if skew > 0 else "slow"
        clock = f" This machine's clock is {abs(skew):.0f} s {way} against the host's: set it."
    hint = _HINTS.get(answer.status_code, "Check GITHUB_API_URL and GitHub's status.")
    return RepositoryUnavailable(
        f"GitHub's API at {app.api_url} gave no token for installation {app.installation_id} of "
        f"app {app.app_id}: {answer.status_code}, {words}.{clock}",
        hint=f"Nothing was saved. {hint}",
    )


def _host_time(answer: httpx2.Response) -> datetime:
    try:
        told = parsedate_to_datetime(answer.headers["Date"])
    except (KeyError, ValueError):
        return _here()
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def _here() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


def _now() -> float:
    return time.monotonic()
