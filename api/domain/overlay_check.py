"""What an app's overlay may do: resources up to the ceilings, the grace period, annotations.

Twice, because either alone leaves a hole. `check_files` reads the patches: they may only *mention*
what is allowed, for a patch that changes nothing today (`replicas: 1`, the present image) would
change something once the app sleeps or the runner moves on, and one that tests or misses its target
would stop the build of a whole shard. `compare` looks at what a real build makes of them.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from api.domain.overlay_effect import RULE_HINT, compare, may_mention
from api.domain.source_check import Diagnostic
from api.domain.yaml_text import load_strict

__all__ = ["check_files", "compare", "is_empty"]

MAX_FILE_BYTES: Final = 64 * 1024
MAX_PATCHES: Final = 20
_NAME: Final = "kustomization.yaml"
_ALSO_READ: Final = frozenset({"kustomization.yml", "Kustomization"})
_API_VERSION: Final = "kustomize.config.k8s.io/v1alpha1"
#: What every rendered folder holds; an IngressRoute is missing while the app sleeps, and a patch
#: without `target` fails the build when its object is missing.
_ALWAYS_THERE: Final = frozenset({"Deployment", "Service", "Middleware"})
_TARGETS: Final = _ALWAYS_THERE | {"IngressRoute"}
_TARGET_FIELDS: Final = frozenset(
    {"group", "version", "kind", "name", "namespace", "labelSelector", "annotationSelector"}
)
_OPERATIONS: Final = frozenset({"add", "replace", "remove"})
_HINT: Final = (
    "An overlay is a kustomize Component with apiVersion, kind and patches; each patch stands "
    "inline (`patch:`) or in a file beside it (`path:`)."
)


class _Refused(Exception):
    def __init__(self, path: str, message: str, hint: str = _HINT, line: int = 1) -> None:
        super().__init__(message)
        self.diagnostic = Diagnostic(
            f"overlay/{path}", line, 1, line, 1, "error", "overlay", message, hint
        )


def is_empty(files: Mapping[str, bytes]) -> bool:
    """Whether the overlay changes nothing for sure, so that no build is needed to see it."""
    try:
        return files.keys() == {_NAME} and not _patches(files)
    except _Refused:
        return False


def check_files(files: Mapping[str, bytes]) -> list[Diagnostic]:
    """What is wrong with the overlay's files, given by path relative to `overlay/`."""
    try:
        patches = _patches(files)
    except _Refused as refused:
        return [refused.diagnostic]
    found = []
    used = {_NAME}
    for number, patch in enumerate(patches, start=1):
        try:
            used.add(_check_patch(files, patch, f"patch {number}"))
        except _Refused as refused:
            found.append(refused.diagnostic)
    for name in sorted(files.keys() - used):
        message = f"No patch uses {name!r}."
        found.append(
            _Refused(name, message, "Name it as a patch's path, or take it out.").diagnostic
        )
    return found


def _patches(files: Mapping[str, bytes]) -> list[Any]:
    if _NAME not in files:
        raise _Refused(_NAME, "overlay/kustomization.yaml is missing.")
    if also := sorted(files.keys() & _ALSO_READ):
        raise _Refused(also[0], f"kustomize would read {also[0]} as well.", "Take it out.")
    documents = _load(_NAME, files[_NAME])
    content = documents[0] if len(documents) == 1 else None
    if not isinstance(content, dict):
        raise _Refused(_NAME, "This is not one YAML mapping.")
    for key in content.keys() - {"apiVersion", "kind", "patches"}:
        raise _Refused(_NAME, f"{str(key)[:60]!r} is not available in an overlay.")
    if content.get("kind") != "Component" or content.get("apiVersion") != _API_VERSION:
        raise _Refused(_NAME, f"It must say apiVersion: {_API_VERSION} and kind: Component.")
    patches = content.get("patches") or []
    if not isinstance(patches, list) or len(patches) > MAX_PATCHES:
        raise _Refused(_NAME, f"patches is a list of at most {MAX_PATCHES} patches.")
    return patches


def _check_patch(files: Mapping[str, bytes], patch: Any, where: str) -> str:
    """The name of the file that holds the patch; raise _Refused."""
    if not isinstance(patch, dict) or patch.keys() - {"patch", "path", "target"}:
        raise _Refused(_NAME, f"{where} has other fields than patch, path and target.")
    inline, name = patch.get("patch"), patch.get("path")
    if isinstance(inline, str) and "path" not in patch:
        name, documents = _NAME, _load(_NAME, inline.encode("utf-8", "replace"), where)
    elif isinstance(name, str) and name in files and name != _NAME and "patch" not in patch:
        documents = _load(name, files[name])
    else:
        raise _Refused(_NAME, f"{where} must have either patch, or the path of a file beside it.")
    kind = _target_kind(patch["target"], where) if "target" in patch else None
    if not documents:
        raise _Refused(name, f"{where} is empty.")
    for document in documents:
        for mentioned_kind, path in _mentions(document, kind, name, where):
            if not may_mention(mentioned_kind, path):
                field = ".".join(map(str, path))
                message = f"{where} touches {field} of a {mentioned_kind}, which is the platform's."
                raise _Refused(name, message, RULE_HINT)
    return name


def _target_kind(target: Any, where: str) -> str:
    if (
        not isinstance(target, dict)
        or target.keys() - _TARGET_FIELDS
        or not all(isinstance(value, str) for value in target.values())
        or target.get("kind") not in _TARGETS
    ):
        kinds = ", ".join(sorted(_TARGETS))
        raise _Refused(_NAME, f"{where}: target must name a kind, one of {kinds}.")
    return str(target["kind"])


def _mentions(
    document: Any, target: str | None, name: str, where: str
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Every field that one patch document writes or removes, with the kind it is aimed at."""
    if isinstance(document, list):
        if target is None:
            raise _Refused(name, f"{where} is a list of operations and needs a target.")
        for operation in document:
            yield target, _operation_path(operation, name, where)
        return
    if not isinstance(document, dict):
        raise _Refused(name, f"{where} is neither an object nor a list of operations.")
    kind = target or document.get("kind")
    if not isinstance(kind, str) or (target is None and kind not in _ALWAYS_THERE):
        kinds = ", ".join(sorted(_ALWAYS_THERE))
        raise _Refused(name, f"{where} names no kind of this app ({kinds}); or give it a target.")
    for key, value in document.items():
        if key not in ("apiVersion", "kind"):
            yield from ((kind, path) for path in _leaves(value, (key,)))


def _operation_path(operation: Any, name: str, where: str) -> tuple[str, ...]:
    if (
        not isinstance(operation, dict)
        or operation.keys() - {"op", "path", "value"}
        or str(operation.get("op")) not in _OPERATIONS  # it may be a list
        or not isinstance(operation.get("path"), str)
        or not operation["path"].startswith("/")
    ):
        raise _Refused(
            name, f"{where}: an operation is add, replace or remove, with path and value."
        )
    parts = operation["path"][1:].split("/")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


def _leaves(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _leaves(below, (*path, key))
    elif isinstance(value, list) and value:
        for index, below in enumerate(value):
            yield from _leaves(below, (*path, index))
    else:
        yield path


def _load(name: str, data: bytes, where: str = "") -> list[Any]:
    if len(data) > MAX_FILE_BYTES:
        raise _Refused(name, f"The file is larger than {MAX_FILE_BYTES // 1024} KiB.")
    try:
        return [document for document in load_strict(data.decode()) if document is not None]
    except UnicodeDecodeError as error:
        raise _Refused(name, f"It is not UTF-8 at byte {error.start}.") from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark and not where else 1
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        message = f"{where + ': ' if where else ''}this is not plain YAML: {problem[:200]}."
        raise _Refused(name, message, _HINT, line) from None
