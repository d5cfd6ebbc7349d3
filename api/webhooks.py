"""What the forge tells the platform: proved to come from it, read, and handed on at once."""

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from api.domain.forge_events import (
    EVENT_HEADERS,
    ForgeName,
    HeadMoved,
    InvalidEvent,
    MainMoved,
    read_event,
)
from api.errors import InvalidRequest, NotAuthenticated, NotFound, Unavailable

#: Bytes of a message; a push of very many commits is longer, and polling notices it.
MAX_BYTES: Final = 2 * 1024 * 1024
MIN_SECRET_BYTES: Final = 16
#: Where each forge proves that it knows the secret; GitLab sends the secret itself.
_PROOFS: Final[dict[ForgeName, str]] = {
    "github": "X-Hub-Signature-256",
    "gitea": "X-Gitea-Signature",
    "forgejo": "X-Gitea-Signature",
    "gitlab": "X-Gitlab-Token",
}

Outcome = Literal["publishing", "checking", "nothing"]


@dataclass(frozen=True)
class Delivery:
    """One request of the forge; header names in lower case."""

    forge: ForgeName
    headers: Mapping[str, str]
    body: bytes


class Webhooks:
    """The one repository's webhooks; `moved` and `check` are told what they say.

    A delivery that comes twice does no harm: both look at how things are then.
    """

    def __init__(
        self,
        repository: Callable[[ForgeName], str],
        secret_file: Path,
        moved: Callable[[str], None],
        check: Callable[[HeadMoved], None],
    ) -> None:
        self._repository = repository
        self._secret_file = secret_file
        self._moved = moved
        self._check = check

    async def receive(self, delivery: Delivery) -> Outcome:
        """Hand on what is told; does not wait for what comes of it.

        Raises NotAuthenticated, InvalidRequest, TooManyRequests, and Unavailable when the secret
        cannot be read.
        """
        secrets = await asyncio.to_thread(read_secrets, self._secret_file)
        if not proved(delivery, secrets):
            raise NotAuthenticated(
                "This webhook is not signed with the platform's secret.",
                hint="Set the same secret at the forge and in FORGE_WEBHOOK_SECRET_FILE.",
            )
        name = delivery.headers.get(EVENT_HEADERS[delivery.forge].lower(), "")
        try:
            event = read_event(delivery.forge, name, delivery.body)
        except InvalidEvent as error:
            raise InvalidRequest(
                f"This is not what {delivery.forge} documents: {error.message}.",
                hint="Let the webhook send application/json.",
            ) from error
        if event is None:
            return "nothing"
        if event.repository.casefold() != self._repository(delivery.forge).casefold():
            raise NotFound(
                "This webhook is about another repository.",
                hint="Set it up at the repository that GIT_REMOTE names.",
            )
        if isinstance(event, MainMoved):
            self._moved(event.tip)
            return "publishing"
        self._check(event)
        return "checking"


def read_secrets(path: Path) -> list[bytes]:
    """The secrets of a file, one a line: two while one is replaced. Raises Unavailable."""
    try:
        found = path.read_bytes().split()
    except OSError as error:
        raise Unavailable(
            f"FORGE_WEBHOOK_SECRET_FILE cannot be read: {error.strerror}.", hint=_ADVICE
        ) from error
    if not found or min(map(len, found)) < MIN_SECRET_BYTES:
        raise Unavailable(
            f"FORGE_WEBHOOK_SECRET_FILE holds no secret of {MIN_SECRET_BYTES} bytes.", hint=_ADVICE
        )
    return found


def proved(delivery: Delivery, secrets: list[bytes]) -> bool:
    """Whether the sender knows one of the secrets; takes as long whichever it is."""
    given = delivery.headers.get(_PROOFS[delivery.forge].lower(), "").encode("latin-1", "replace")
    matches = [hmac.compare_digest(_digest(given), _digest(w)) for w in _wanted(delivery, secrets)]
    return any(matches)


def _wanted(delivery: Delivery, secrets: list[bytes]) -> list[bytes]:
    if delivery.forge == "gitlab":
        return secrets
    prefix = "sha256=" if delivery.forge == "github" else ""
    signed = (hmac.new(secret, delivery.body, hashlib.sha256).hexdigest() for secret in secrets)
    return [f"{prefix}{each}".encode() for each in signed]


def _digest(value: bytes) -> bytes:
    """Of one length, so that comparing tells nothing about the secret's."""
    return hashlib.sha256(value).digest()


_ADVICE: Final = "Write what the forge's webhook is given into it: openssl rand -hex 32."
