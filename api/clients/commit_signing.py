"""SSH signatures of commits, as git makes and checks them with `gpg.format = ssh`.

The format is OpenSSH's PROTOCOL.sshsig, namespace `git`. Keys are Ed25519 only: their signatures
are deterministic (RFC 8032), so replicas with the same key still write the same publish commit.
"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from api.errors import Unavailable

_MAGIC: Final = b"SSHSIG"
_KIND: Final = b"ssh-ed25519"
_NAMESPACE: Final = b"git"
_HASH: Final = b"sha512"
_BEGIN: Final = "-----BEGIN SSH SIGNATURE-----"
_END: Final = "-----END SSH SIGNATURE-----"
_LINE: Final = 70  # columns of ssh-keygen's armour
_RAW_KEY_BYTES: Final = 32


class Signer:
    """Signs with one private key; safe in several threads at once."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = _key_blob(key.public_key())

    @classmethod
    def load(cls, path: Path) -> "Signer":
        """Read an OpenSSH private key; raises Unavailable naming the file."""
        hint = "Make one with `ssh-keygen -t ed25519 -N '' -C platform -f <file>`."
        try:
            key = load_ssh_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            reason = error.strerror if isinstance(error, OSError) else "not an open OpenSSH key"
            message = f"The signing key {path} cannot be read: {reason}."
            raise Unavailable(message, hint=hint) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise Unavailable(f"The signing key {path} is not an Ed25519 key.", hint=hint)
        return cls(key)

    @property
    def public_key(self) -> str:
        """As it stands in an `authorized_keys` file, without a comment."""
        return f"{_KIND.decode()} {base64.b64encode(self.public).decode()}"

    def sign(self, content: bytes) -> str:
        """The armoured signature for a commit's header `gpgsig`; same content, same text."""
        kind_and_signature = _string(_KIND) + _string(self._key.sign(_signed(content)))
        blob = (
            _MAGIC
            + struct.pack(">I", 1)
            + _string(self.public)
            + _string(_NAMESPACE)
            + _string(b"")
            + _string(_HASH)
            + _string(kind_and_signature)
        )
        text = base64.b64encode(blob).decode()
        lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
        return "\n".join([_BEGIN, *lines, _END])


def allowed_signers(text: str) -> frozenset[bytes]:
    """The Ed25519 keys of an allowed-signers file (`<principals> [options] <type> <key> …`).

    Other lines and other kinds of keys are left out; a bare public key counts as well.
    """
    found = set()
    for line in text.splitlines():
        words = line.split()
        if line.startswith("#") or _KIND.decode() not in words[:-1]:
            continue
        try:
            found.add(base64.b64decode(words[words.index(_KIND.decode()) + 1], validate=True))
        except binascii.Error:
            continue
    return frozenset(found)


def signature_fault(content: bytes, signature: str | None, known: Collection[bytes]) -> str | None:
    """What is wrong with a commit's signature; None when one of the known keys made it.

    `content` is the commit without the header `gpgsig`.
    """
    if signature is None:
        return "it is not signed"
    try:
        public, signed = _parse(signature)
    except (ValueError, struct.error, IndexError):
        return "its signature is not an Ed25519 signature of git's"
    if public not in known:
        return "it is signed by an unknown key"
    try:
        Ed25519PublicKey.from_public_bytes(public[-_RAW_KEY_BYTES:]).verify(
            signed, _signed(content)
        )
    except (InvalidSignature, ValueError):
        return "its signature does not fit its content"
    return None


def _parse(signature: str) -> tuple[bytes, bytes]:
    """The public key and the bare signature in an armoured one; raises ValueError and its like."""
    lines = signature.strip().splitlines()
    if lines[0] != _BEGIN or lines[-1] != _END:
        raise ValueError("not an SSH signature")
    blob = base64.b64decode("".join(lines[1:-1]), validate=True)
    if blob[: len(_MAGIC)] != _MAGIC or struct.unpack(">I", blob[6:10]) != (1,):
        raise ValueError("an unknown version")
    public, namespace, _, algorithm, kind_and_signature = _strings(blob[10:])
    kind, bare = _strings(kind_and_signature)
    if (namespace, algorithm, kind) != (_NAMESPACE, _HASH, _KIND):
        raise ValueError("made for something else")
    return public, bare


def _signed(content: bytes) -> bytes:
    """What is really signed: the digest in its envelope."""
    digest = hashlib.sha512(content).digest()
    parts = (_NAMESPACE, b"", _HASH, digest)
    return _MAGIC + b"".join(map(_string, parts))


def _key_blob(key: Ed25519PublicKey) -> bytes:
    return _string(_KIND) + _string(key.public_bytes_raw())


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _strings(data: bytes) -> list[bytes]:
    found = []
    while data:
        (size,) = struct.unpack(">I", data[:4])
        if len(data) < 4 + size:
            raise ValueError("cut off")
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found
