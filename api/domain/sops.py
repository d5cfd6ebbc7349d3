"""Files of SOPS with age: names and structure stay readable, values are encrypted.

Written and read as sops 3.x does it (https://github.com/getsops/sops, `aes/cipher.go`, `sops.go`):
a random data key of 32 bytes, itself encrypted for each recipient of age; each value AES-256-GCM
with a nonce of 32 bytes and the path of its key as additional data, so that values cannot change
places; over all values in their order a MAC, bound to the time it was made at. Only files in which
everything below `data` and `stringData` is encrypted, and nothing else, are written or read.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import pyrage
import yaml
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from api.domain.yaml_text import load_strict

#: What sops itself is told to encrypt: the values of a Kubernetes Secret.
ENCRYPTED_REGEX: Final = "^(data|stringData)$"
#: The version whose format this is; sops reads those of older ones.
_FORMAT: Final = "3.11.0"
_ENCRYPTED: Final = re.compile(
    r"ENC\[AES256_GCM,data:([A-Za-z0-9+/=]*),iv:([A-Za-z0-9+/=]+),tag:([A-Za-z0-9+/=]+)"
    r",type:([a-z]+)\]"
)
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 32
_TAG_BYTES: Final = 16
#: Ways to say which values are encrypted, other than the one used here.
_OTHER_RULES: Final = (
    "unencrypted_suffix", "encrypted_suffix", "unencrypted_regex", "unencrypted_comment_regex",
    "encrypted_comment_regex", "mac_only_encrypted",
)  # fmt: skip

Value = str | int | float | bool


class Unreadable(ValueError):
    """A file is not of this format, not for this identity, or was altered; no value is told."""


@dataclass(frozen=True)
class _Leaf:
    """A value that stands in a document: the path of its key, and how to put another there."""

    path: tuple[str, ...]
    value: Any
    put: Callable[[Any], None]

    @property
    def place(self) -> bytes:
        """What sops authenticates with the value; places in a list do not count."""
        return "".join(f"{part}:" for part in self.path).encode()

    @property
    def is_secret(self) -> bool:
        """Whether ENCRYPTED_REGEX fits any key on the way."""
        return any(part in ("data", "stringData") for part in self.path)


def is_encrypted(value: object) -> bool:
    """Whether this is an encrypted value, as far as its shape says so."""
    return isinstance(value, str) and _ENCRYPTED.fullmatch(value) is not None


def is_recipient(text: str) -> bool:
    """Whether this is a public key of age (X25519: `age1…`)."""
    try:
        pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        return False
    return True


def new_identity() -> str:
    """A new private key of age (`AGE-SECRET-KEY-1…`)."""
    return str(pyrage.x25519.Identity.generate())


def recipient_of(identity: str) -> str:
    """The public key that belongs to a private one; raises Unreadable."""
    return str(_identity(identity).to_public())


def encrypt(document: Mapping[str, Any], recipients: Sequence[str], now: datetime) -> bytes:
    """The document as a file of SOPS that the owner of each recipient's key can read.

    `document` holds mappings, lists, and values of type str, int, float or bool. Raises ValueError
    without recipients and for a wrong one.
    """
    if not recipients:
        raise ValueError("a secret needs a recipient")
    key = secrets.token_bytes(_KEY_BYTES)
    content: dict[str, Any] = _copy(document)
    mac = hashlib.sha512()
    for leaf in _leaves(content):
        kind, plain = _plain(leaf.value)
        mac.update(plain)
        if leaf.is_secret:
            leaf.put(_sealed(key, plain, leaf.place, kind))
    at = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    content["sops"] = {
        "age": [{"recipient": to, "enc": _key_for(to, key)} for to in recipients],
        "lastmodified": at,
        "mac": _sealed(key, mac.hexdigest().upper().encode(), at.encode(), "str"),
        "encrypted_regex": ENCRYPTED_REGEX,
        "version": _FORMAT,
    }
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=10**6, allow_unicode=True)
    return text.encode()


def decrypt(data: bytes, identities: Sequence[str]) -> dict[str, Any]:
    """The document in a file, without its part `sops`, after its MAC was checked.

    Raises Unreadable, which says what is wrong and never a value.
    """
    content, about = _parts(data)
    key = _data_key(about, identities)
    mac = hashlib.sha512()
    for leaf in _leaves(content):
        if leaf.is_secret:
            plain, value = _opened(key, leaf.value, leaf.place)
            leaf.put(value)
        else:
            _, plain = _plain(leaf.value)
        mac.update(plain)
    at = about.get("lastmodified")
    told, _ = _opened(key, about.get("mac"), str(at).encode())
    if not hmac.compare_digest(told, mac.hexdigest().upper().encode()):
        raise Unreadable("its MAC does not fit its values: the file was altered")
    return content


def recipients_of(data: bytes) -> tuple[str, ...]:
    """For whom a file is encrypted; raises Unreadable."""
    _, about = _parts(data)
    return tuple(str(entry.get("recipient")) for entry in _entries(about))


def _parts(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        documents = load_strict(data.decode())
    except (yaml.YAMLError, ValueError, RecursionError):
        raise Unreadable("it is not plain YAML in UTF-8") from None
    content = documents[0] if len(documents) == 1 else None
    about = content.pop("sops", None) if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(about, dict):
        raise Unreadable("it is not one object with a part `sops`")
    if about.get("encrypted_regex") != ENCRYPTED_REGEX or any(map(about.get, _OTHER_RULES)):
        raise Unreadable(f"`sops.encrypted_regex` must be {ENCRYPTED_REGEX}, and the only rule")
    return content, about


def _entries(about: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    entries = about.get("age")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            yield entry


def _data_key(about: Mapping[str, Any], identities: Sequence[str]) -> bytes:
    keys = [_identity(text) for text in identities]
    for entry in _entries(about):
        try:
            key: bytes = pyrage.decrypt(str(entry.get("enc")).encode(), keys)
        except pyrage.DecryptError:
            continue
        if len(key) == _KEY_BYTES:
            return key
    raise Unreadable("it is not encrypted for this key")


def _identity(text: str) -> Any:
    try:
        return pyrage.x25519.Identity.from_str(text.strip())
    except pyrage.IdentityError:
        raise Unreadable("the private key is none of age (AGE-SECRET-KEY-1…)") from None


def _key_for(recipient: str, key: bytes) -> str:
    try:
        to = pyrage.x25519.Recipient.from_str(recipient)
    except pyrage.RecipientError:
        raise ValueError(f"{recipient[:80]!r} is no public key of age (age1…)") from None
    armoured: bytes = pyrage.encrypt(key, [to], armored=True)
    return armoured.decode().strip() + "\n"


def _sealed(key: bytes, plain: bytes, place: bytes, kind: str) -> str:
    if not plain:
        return ""  # as sops: there is nothing to hide, and the MAC counts it
    nonce = secrets.token_bytes(_NONCE_BYTES)
    whole = AESGCM(key).encrypt(nonce, plain, place)
    data, tag = whole[:-_TAG_BYTES], whole[-_TAG_BYTES:]
    parts = (base64.b64encode(part).decode() for part in (data, nonce, tag))
    return "ENC[AES256_GCM,data:{},iv:{},tag:{},type:{}]".format(*parts, kind)


def _opened(key: bytes, text: Any, place: bytes) -> tuple[bytes, Value]:
    """A value as the bytes that were encrypted, and as what they mean."""
    if text == "":
        return b"", ""
    match = _ENCRYPTED.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise Unreadable(f"{place.decode(errors='replace')!r} is not encrypted")
    try:
        data, nonce, tag = map(_bytes, match.groups()[:3])
        plain = AESGCM(key).decrypt(nonce, data + tag, place)
        return plain, _meaning(plain, match[4])
    except (InvalidTag, ValueError, binascii.Error):
        where = place.decode(errors="replace")
        raise Unreadable(f"the value at {where!r} was altered, or put elsewhere") from None


def _bytes(text: str) -> bytes:
    """What base64 says, in its one spelling: spare bits of the last character are zero."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("it is not the one spelling")
    return data


def _meaning(plain: bytes, kind: str) -> Value:
    text = plain.decode()
    match kind:
        case "str":
            return text
        case "int":
            return int(text)
        case "float":
            return float(text)
        case "bool" if text in ("True", "False"):
            return text == "True"
    raise ValueError(f"values of type {kind} are not read here")


def _plain(value: Any) -> tuple[str, bytes]:
    """The type of a value in words of sops, and the bytes that it encrypts and authenticates."""
    match value:
        case bool():
            return "bool", str(value).encode()
        case int():
            return "int", str(value).encode()
        case float():
            return "float", format(Decimal(repr(value)).normalize(), "f").encode()
        case str():
            return "str", value.encode()
    raise Unreadable(f"a value of type {type(value).__name__} has no place in it")


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[_Leaf]:
    """Every value in its order; null is none."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(items):
        below = (*path, str(key)) if isinstance(node, dict) else path
        if isinstance(value, dict | list):
            yield from _leaves(value, below)
        elif value is not None:
            yield _Leaf(below, value, _setter(node, key))


def _setter(node: Any, key: Any) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        node[key] = value

    return put


class _Dumper(yaml.SafeDumper):
    """Blocks of several lines stay readable."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent)
