"""A push that cannot change anything, made to hear whether a host's rules would let it through.

It asks to move a branch to the commit at which it stands already, from the one before: a
fast-forward, as every publish is. Hosts ask their rules first (git's own servers do, and Gitea);
then comparing the branch with the told commit ends it, for the branch is elsewhere. A host that did
not compare would set the branch to where it is. git itself never sends such a push, so it is spoken
here: https://git-scm.com/docs/pack-protocol, over https://git-scm.com/docs/http-protocol.
"""

import hashlib
import re
import ssl
import struct
from dataclasses import dataclass
from typing import Final, Literal

import httpx2

from api.clients.git_program import Credentials
from api.errors import RepositoryUnavailable
from api.settings import travels_safely

_SECONDS: Final = 20.0
_MAX_WORDS: Final = 300
_DENIED: Final = frozenset({401, 403, 404})
#: What git and other servers say when a branch is not where the push believes it to be.
_COMPARED: Final = re.compile(
    r"failed to update ref|cannot lock ref|incorrect old value|stale info|fetch first"
    r"|reference already exists|is at [0-9a-f]+ but expected|failed to lock"
)
_FLUSH: Final = b"0000"


@dataclass(frozen=True)
class Heard:
    """What a host answered."""

    answer: Literal["passes", "refused", "unknown"]
    words: str


async def try_push(url: str, branch: str, before: str, tip: str, credentials: Credentials) -> Heard:
    """Ask to move `branch`, which is at `tip`, from `before` to `tip`; over http(s) only."""
    if not url.startswith(("https://", "http://")) or not travels_safely(url):
        return Heard("unknown", "a trial push is made over https only")
    token = await credentials.token(url)
    headers = {"Content-Type": "application/x-git-receive-pack-request", "Accept": "*/*"}
    if token:
        headers["Authorization"] = credentials.basic(token)
    body = _request(branch, before, tip)
    try:
        async with httpx2.AsyncClient(
            verify=ssl.create_default_context(), timeout=_SECONDS, trust_env=False
        ) as client:
            answer = await client.post(
                f"{url.rstrip('/')}/git-receive-pack", content=body, headers=headers
            )
    except httpx2.HTTPError as error:
        raise RepositoryUnavailable(f"{error}" or type(error).__name__) from error
    if answer.status_code in _DENIED:  # said before any rule was asked
        told = f"it answered {answer.status_code}: the credential opens no push at all"
        return Heard("unknown", told)
    if answer.status_code != httpx2.codes.OK:
        return Heard("unknown", f"it answered {answer.status_code}")
    return read_report(answer.content, branch)


def _request(branch: str, before: str, tip: str) -> bytes:
    """One command, and a pack of no objects: the host has them all."""
    command = f"{before} {tip} refs/heads/{branch}\0 report-status side-band-64k\n".encode()
    pack = b"PACK" + struct.pack(">II", 2, 0)
    return _line(command) + _FLUSH + pack + hashlib.sha1(pack, usedforsecurity=False).digest()


def _line(data: bytes) -> bytes:
    return f"{len(data) + 4:04x}".encode() + data


def read_report(content: bytes, branch: str) -> Heard:
    """What `report-status` says of the branch, and what the host told in words."""
    report, said = bytearray(), bytearray()
    for data in _lines(content):
        if data[:1] == b"\x01":
            report += data[1:]
        elif data[:1] in (b"\x02", b"\x03"):
            said += data[1:]
        else:
            report += _line(data)
    words = " ".join(said.decode(errors="replace").split())
    for data in _lines(bytes(report)):
        line = data.decode(errors="replace").strip()
        if line == f"ok refs/heads/{branch}":
            return Heard("passes", words[:_MAX_WORDS] or "ok")
        if line.startswith(f"ng refs/heads/{branch} "):
            reason = line.removeprefix(f"ng refs/heads/{branch} ")
            compared = _COMPARED.search(reason) is not None
            return Heard("passes" if compared else "refused", f"{reason} {words}"[:_MAX_WORDS])
    return Heard("unknown", words[:_MAX_WORDS] or "its answer does not speak of the branch")


def _lines(content: bytes) -> list[bytes]:
    """The packets of a stream; what is cut off is left out."""
    found, at = [], 0
    while at + 4 <= len(content):
        try:
            length = int(content[at : at + 4], 16)
        except ValueError:
            break
        found += [content[at + 4 : at + length]] if length > len(_FLUSH) else []
        at += max(length, 4)
    return found
