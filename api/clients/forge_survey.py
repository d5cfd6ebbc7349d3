"""The forge as the doctor looks at it: rules of branches, deploy keys; nothing is written."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from api.clients.forge import Forge, Place, open_forge
from api.clients.forge_api import ForgeRefused
from api.clients.git_program import Credentials, TokenFile
from api.domain.installation import ByHand, ForgeSeen, Unseen
from api.domain.repo_layout import CLUSTERS_BRANCH, MAIN
from api.errors import PlatformError
from api.settings import Settings

_Told = TypeVar("_Told")
_HIDDEN: Final = frozenset({401, 403, 404})
_NO_SHARD: Final = "there is no shard's branch yet"
_BY_HAND: Final = (
    "no API of this host is known here, so its rules cannot be read: compare them by hand with "
    "protection/README.md on main (nobody forces main or flux/*, main does not require branches "
    "to be up to date, the platform alone pushes flux/<shard>, operators alone flux/clusters)"
)


async def survey(
    settings: Settings, credentials: Credentials, shard: str | None
) -> ForgeSeen | Unseen | ByHand | None:
    """What the forge says; `shard` names a shard's branch, where there is one.

    None without a remote; ByHand where it is a plain git server, or a forge that is not known here.
    """
    if settings.git_remote is None:
        return None
    try:
        if settings.publish_url is None:
            return await _asked(settings, credentials, settings.git_remote, shard)
        published = await _asked(settings, credentials, settings.publish_url, shard)
        main = await _asked(settings, credentials, settings.git_remote, None)
    except PlatformError as error:
        return Unseen(error.message)
    if isinstance(main, ForgeSeen) and isinstance(published, ForgeSeen):
        return replace(published, default_branch=main.default_branch, main=main.main)
    return main if not isinstance(main, ForgeSeen) else published


async def _asked(
    settings: Settings, credentials: Credentials, remote: str, shard: str | None
) -> ForgeSeen | Unseen | ByHand:
    place = Place.of(remote, settings.forge_url)
    if place is None:
        return ByHand(_BY_HAND)
    reader = settings.doctor_forge_token_file

    async def token(url: str) -> str | None:
        if reader:
            return await TokenFile(reader).token()
        return await credentials.token(url)

    async with open_forge(place, token, settings.github_api_url) as forge:
        if forge is None:
            return ByHand(_BY_HAND)
        return await _seen(forge, shard, await asyncio.to_thread(_public, settings))


async def _seen(forge: Forge, shard: str | None, own_key: str | None) -> ForgeSeen:
    return ForgeSeen(
        kind=forge.kind,
        default_branch=await _or_unseen(forge, forge.default_branch()),
        main=await _or_unseen(forge, forge.rules(MAIN)),
        shards=await _or_unseen(forge, forge.rules(shard)) if shard else Unseen(_NO_SHARD),
        clusters=await _or_unseen(forge, forge.rules(CLUSTERS_BRANCH)),
        deploy_keys=await _or_unseen(forge, forge.deploy_keys()),
        own_key=own_key,
    )


async def _or_unseen(forge: Forge, work: Awaitable[_Told]) -> _Told | Unseen:
    try:
        return await work
    except ForgeRefused as error:
        if error.answer not in _HIDDEN:
            raise
        return Unseen(
            f"{forge.kind} does not show it to this credential ({error.message}): name the token "
            "of somebody who administers the repository in DOCTOR_FORGE_TOKEN_FILE"
        )


def _public(settings: Settings) -> str | None:
    """The public part of GIT_SSH_KEY_FILE; `settings.files` tells what is wrong with it."""
    path: Path | None = settings.git_ssh_key_file
    if path is None:
        return None
    try:
        data = path.read_bytes()
        load = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else load_pem_private_key
        public = load(data, password=None).public_key()
        return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
