"""Secrets as git holds them: one encrypted file per variable, signed by the platform.

Flux decrypts after the build and does not check the MAC, so ciphertext that was copied into
another folder would open there. Hence the signature: Ed25519 over user, app, name and every byte
of the file. It stands in the first line, as a comment: there neither SOPS (whose MAC covers every
value, annotations too) nor kustomize nor Kubernetes takes notice of it.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from api.domain import sops
from api.domain.names import AppRef, namespace_of

SUFFIX: Final = ".sops.yaml"
_PREFIX: Final = b"# fastapi-platform/signature: ed25519 "
_DOMAIN: Final = b"fastapi-platform/secret/v1"
_KEY: Final = re.compile(r"ed25519:([A-Za-z0-9+/]{43}=)")
_DIGITS: Final = 16  # of a name's digest: names of one app do not collide


@dataclass(frozen=True)
class Place:
    """Where a secret belongs: to one variable of one app, or to a tenant (`app_id` is None)."""

    user_id: str
    app_id: str | None
    name: str

    @classmethod
    def of(cls, ref: AppRef, name: str) -> "Place":
        """The variable `name` of an app."""
        return cls(ref.user_id, ref.app_id, name)

    @property
    def file(self) -> str:
        """The path below the folder of the app, or of the tenant."""
        return f"secrets/{self.name}{SUFFIX}"

    @property
    def object_name(self) -> str:
        """The name of the Secret in the tenant's namespace.

        A dot stands in no id, so that no two apps share a name, nor an app and the tenant.
        """
        digest = hashlib.sha256(self.name.encode()).hexdigest()[:_DIGITS]
        return f"{self.app_id}.{digest}" if self.app_id else f"tenant.0.{digest}"

    @property
    def label(self) -> bytes:
        """The place as it is signed: none of the three parts holds a line end."""
        return "\n".join((self.user_id, self.app_id or "", self.name)).encode()


class SealingKey:
    """The platform's private key for the signatures of secrets."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def new(cls) -> "SealingKey":
        """A key made now."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, pem: bytes) -> "SealingKey":
        """Read a private key in PEM (PKCS#8), as `openssl genpkey` writes it; raises ValueError."""
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError("it is no open private key in PEM") from None
        if isinstance(key, Ed25519PrivateKey):
            return cls(key)
        raise ValueError("it is no Ed25519 key")

    @property
    def pem(self) -> bytes:
        """The private key as `load` reads it."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def public(self) -> str:
        """The public key as platform.yaml lists it."""
        raw = self._key.public_key().public_bytes_raw()
        return f"ed25519:{base64.b64encode(raw).decode()}"

    def signed(self, place: Place, content: bytes) -> bytes:
        """A file of SOPS with its first line: valid at this place, to the byte."""
        signature = base64.b64encode(self._key.sign(_message(place, content)))
        return _PREFIX + signature + b"\n" + content


def is_public_key(text: str) -> bool:
    """Whether platform.yaml may list this as a key of signatures (`ed25519:<base64>`)."""
    return _KEY.fullmatch(text) is not None


def seal(
    place: Place,
    values: str | Mapping[str, str],
    recipients: Sequence[str],
    key: SealingKey,
    now: datetime | None = None,
) -> bytes:
    """The file that keeps a secret in git: a Secret, encrypted for `recipients` and signed.

    One value is kept under the secret's own name; a mapping gives the keys of the Secret. Raises
    ValueError without a recipient.
    """
    given = {place.name: values} if isinstance(values, str) else dict(values)
    document = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": place.object_name, "namespace": namespace_of(place.user_id)},
        "type": "Opaque",
        "stringData": given,
    }
    return key.signed(place, sops.encrypt(document, recipients, now or datetime.now(UTC)))


def unseal(data: bytes, identities: Sequence[str]) -> dict[str, str]:
    """The values in a sealed file, after its MAC was checked; raises sops.Unreadable."""
    values = sops.decrypt(data, identities).get("stringData")
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise sops.Unreadable("it holds no texts under `stringData`")
    return values


def signature_fault(place: Place, data: bytes, keys: Collection[str]) -> str | None:
    """Why this file may not stand at this place; None when one of the platform's keys signed it.

    `keys` are public keys as platform.yaml lists them. Nothing is decrypted.
    """
    line, _, content = data.partition(b"\n")
    if not line.startswith(_PREFIX):
        return "it is not signed by the platform"
    try:
        signature = base64.b64decode(line.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        return "its signature cannot be read"
    if base64.b64encode(signature) != line.removeprefix(_PREFIX):
        return "its signature cannot be read"  # one spelling, so that every byte counts
    message = _message(place, content)
    if any(_verifies(key, signature, message) for key in keys):
        return None
    return "its signature is not one of the platform's for this user, app and name"


def _verifies(key: str, signature: bytes, message: bytes) -> bool:
    match = _KEY.fullmatch(key)
    if match is None:
        return False
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(match[1], validate=True))
        public.verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _message(place: Place, content: bytes) -> bytes:
    return b"\n".join((_DOMAIN, place.label, content))
