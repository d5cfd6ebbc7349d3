"""Access tokens (PyJWT) and the keys that sign them."""

import hashlib
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import jwt

from api.errors import NotAuthenticated, Unavailable
from api.settings import MIN_SECRET_BYTES, Settings

ALGORITHM: Final = "HS256"
ISSUER: Final = "fastapi-platform"
AUDIENCE: Final = "fastapi-platform/api"
KEY_FILE: Final = "secret_key"


@dataclass(frozen=True)
class TokenClaims:
    """What a valid token says; the version must still be compared with the account's."""

    user_id: str
    version: int


class Tokens:
    """Issues tokens with the first key and accepts those of every key (the newest two live)."""

    def __init__(self, keys: Sequence[str], *, lifetime: timedelta) -> None:
        self._keys = {_key_id(key): key for key in keys}
        self._signing = _key_id(keys[0])
        self.lifetime = lifetime

    def issue(self, user_id: str, version: int, *, now: datetime | None = None) -> str:
        """A signed token."""
        issued = now or datetime.now(UTC)
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user_id,
            "iat": issued,
            "exp": issued + self.lifetime,
            "ver": version,
        }
        headers = {"kid": self._signing}
        return jwt.encode(claims, self._keys[self._signing], ALGORITHM, headers=headers)

    def read(self, token: str) -> TokenClaims:
        """Check signature, times, issuer and audience; raise NotAuthenticated."""
        try:
            key = self._keys.get(jwt.get_unverified_header(token).get("kid", ""))
            if key is None:
                raise NotAuthenticated("The token was signed with a key that is not in use.")
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                # PyJWT accepts a token that lacks a claim unless told which ones must be there.
                options={"require": ["exp", "iat", "iss", "aud", "sub", "ver"]},
            )
            return TokenClaims(user_id=claims["sub"], version=_version(claims["ver"]))
        except jwt.ExpiredSignatureError:
            raise NotAuthenticated("This log-in has expired.", hint="Log in again.") from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise NotAuthenticated("The token is not valid.") from None


def signing_keys(settings: Settings) -> list[str]:
    """The keys, newest first: from the settings, or (embedded) from a file made once.

    The file holds one key a line; a line put above the first changes the key without ending
    anybody's log-in. Raises Unavailable when it cannot be read or made. Blocks.
    """
    configured = [settings.secret_key, settings.previous_secret_key]
    keys = [key.get_secret_value() for key in configured if key is not None]
    if settings.secret_key is not None:
        return keys
    path = settings.data_dir / KEY_FILE
    try:
        if not path.exists():
            _make_key_file(path)
        keys = path.read_text().split()[:2]
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(
            f"The signing key {path} cannot be read or made: {error}",
            hint="Check the permissions of the data folder, or set SECRET_KEY.",
        ) from error
    if not keys or any(len(key.encode()) < MIN_SECRET_BYTES for key in keys):
        raise Unavailable(
            f"The signing key in {path} has fewer than {MIN_SECRET_BYTES} bytes.",
            hint="Remove the file: a new key is made, and everybody logs in again.",
        )
    return keys


def _make_key_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{KEY_FILE}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link never overwrites: of two processes that start at once, one key wins.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _key_id(key: str) -> str:
    return hashlib.sha256(b"fastapi-platform kid\0" + key.encode()).hexdigest()[:12]


def _version(value: object) -> int:
    if type(value) is not int:
        raise TypeError("the token version is a whole number")
    return value
