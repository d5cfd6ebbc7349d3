"""Ids, and every name that is made from them.

Rules: an id is lower-case, DNS-safe, starts with a letter and has at most 40 characters, so that
`user-<id>` and the labels made from ids stay within Kubernetes' 63. Within one kind every object
name is the app id with one fixed suffix, so names made from two ids never collide; Middlewares
have two suffixes of one length, so neither ends with the other.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Final

MAX_ID_LENGTH: Final = 40
_ID: Final = re.compile(rf"[a-z](?:[a-z0-9-]{{0,{MAX_ID_LENGTH - 2}}}[a-z0-9])?")
# No vowels and no look-alikes: random ids spell no words and survive being read aloud.
_ALPHABET: Final = "bcdfghjkmnpqrstvwxz23456789"
_SLUG_LENGTH: Final = 24


@dataclass(frozen=True, order=True)
class AppRef:
    """One app of one tenant; both ids are needed wherever an app is looked up."""

    user_id: str
    app_id: str


def is_id(text: str) -> bool:
    """Whether `text` may stand as a user or app id (`fullmatch`: `$` would accept a newline)."""
    return _ID.fullmatch(text) is not None


def new_user_id() -> str:
    """A random id, so that nobody chooses their shard."""
    return "u" + _random(11)


def new_app_id(name: str) -> str:
    """A readable, unguessable id: the name's letters and digits, then six random characters."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_SLUG_LENGTH].strip("-")
    if not slug or not slug[0].isalpha():
        slug = f"app-{slug}".strip("-")
    return f"{slug}-{_random(6)}"


def shard_of(user_id: str, digits: int) -> str:
    """The leading `digits` hex digits (2 → 256 shards, 3 → 4,096) of the id's SHA-256."""
    return hashlib.sha256(user_id.encode()).hexdigest()[:digits]


def namespace_of(user_id: str) -> str:
    """The tenant's Kubernetes namespace."""
    return f"user-{user_id}"


def app_path(ref: AppRef) -> str:
    """The URL path under which the router serves an app, without a trailing slash."""
    return f"/user/{ref.user_id}/app/{ref.app_id}"


def config_key(path: str) -> str:
    """The ConfigMap key of a file: keys cannot hold `/`, and no path segment may hold `..`."""
    return path.replace("/", "..")


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
