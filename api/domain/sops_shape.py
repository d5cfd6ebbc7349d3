"""Whether a file under `secrets/` is encrypted, as far as its shape says so without any key.

SOPS leaves names readable and replaces values: https://getsops.io/docs/ (format of `ENC[…]`).
"""

from typing import Any, Final

import yaml

from api.domain.intent_check import problem
from api.domain.sops import is_encrypted
from api.domain.source_check import Diagnostic
from api.domain.yaml_text import load_strict

_MAX_BYTES: Final = 64 * 1024
_HINT: Final = "Take the file out; secrets are set in the editor, which encrypts and signs them."


def check_secret(path: str, data: bytes) -> list[Diagnostic]:
    """What is wrong with a file of secrets: every value of `data` and `stringData` is encrypted."""
    if (wrong := _wrong(data)) is None:
        return []
    return [problem(path, "secret_in_clear", f"This is no encrypted secret: {wrong}.", _HINT)]


def _wrong(data: bytes) -> str | None:
    if len(data) > _MAX_BYTES:
        return f"it is larger than {_MAX_BYTES // 1024} KiB"
    try:
        documents = [document for document in load_strict(data.decode()) if document is not None]
    except (yaml.YAMLError, ValueError):
        return "it is not plain YAML in UTF-8"
    content = documents[0] if len(documents) == 1 else None
    if not isinstance(content, dict) or content.get("kind") != "Secret":
        return "it is not one object of kind Secret"
    return _clear(content)


def _clear(content: dict[Any, Any]) -> str | None:
    sops = content.get("sops")
    if not isinstance(sops, dict) or not is_encrypted(sops.get("mac")):
        return "SOPS has not signed it (`sops.mac`)"
    values = [content.get(name) or {} for name in ("data", "stringData")]
    if not all(isinstance(part, dict) for part in values) or not any(values):
        return "it holds no values"
    # SOPS leaves what is empty as it is.
    every = [pair for part in values for pair in part.items()]
    clear = [name for name, value in every if value != "" and not is_encrypted(value)]
    return f"the value of {clear[0]!r} stands there in clear" if clear else None
