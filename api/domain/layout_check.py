"""Where things may stand on `main`: DESIGN's layout, told for one name at a time.

What stands elsewhere is not published, and might steer Flux or kustomize if it were; so a change
may not bring it. What is inside of an app's entries is the intent check's to judge.
"""

import re
from typing import Final, Literal

from api.domain.intent_check import problem
from api.domain.names import AppRef, is_id, shard_of
from api.domain.publication import NOT_APPS
from api.domain.repo_layout import ENTRIES
from api.domain.source_check import Diagnostic

Kind = Literal["file", "executable", "link", "submodule", "folder"]

_TOP_FILES: Final = frozenset({
    "platform.yaml", "people.yaml", "README.md", "LICENSE", "CODEOWNERS", ".init-repo.json",
    ".gitlab-ci.yml", ".gitattributes", ".gitignore", ".editorconfig",
})  # fmt: skip
_TOP_FOLDERS: Final = frozenset(
    {"apps", "clusters", "protection", "docs", ".github", ".gitea", ".forgejo", ".gitlab"}
)
#: Names that Flux, kustomize or git would obey.
_STEERING: Final = re.compile(r"kustomization|\.sourceignore|\.git.*|.*\.ya?ml", re.IGNORECASE)
_SOPS_FILE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\.sops\.yaml")
#: How deep files may stand outside of apps.
MAX_DEPTH: Final = 20
#: How many parts the path of an app's folder has: apps/<shard>/<user_id>/<app_id>.
APP_DEPTH: Final = 4
_TENANT_DEPTH: Final = APP_DEPTH - 1
_SHARD_DEPTH: Final = APP_DEPTH - 2
_APP_FILES: Final = ", ".join(ENTRIES)


def judge(path: str, kind: Kind, shard_digits: int) -> Diagnostic | None:
    """What is wrong with this standing there; None for what belongs there.

    `path` is slash-separated from the repository's root. Entries of apps always belong.
    """
    top, *below = path.split("/")
    if top == "apps" and len(below) == APP_DEPTH and below[-1] in ENTRIES:
        return None
    if kind in ("link", "submodule") or (kind == "executable" and top == "apps"):
        what = {"link": "a link", "submodule": "a submodule"}.get(kind, "executable")
        return problem(path, "not_a_file", f"This is {what}.", _REGULAR)
    if top == "apps" and below:
        return _below_apps(path, kind == "folder", below, shard_digits)
    if not below:
        return _at_top(path, kind == "folder")
    if len(below) >= MAX_DEPTH:
        return problem(path, "layout", f"More than {MAX_DEPTH} folders deep.", "Move it up.")
    return None


def app_at(path: str) -> AppRef | None:
    """Whose folder this is, given that it belongs there; None unless it is an app's."""
    _, *below = path.split("/")
    if len(below) != APP_DEPTH - 1 or below[-1] in NOT_APPS or not is_id(below[-1]):
        return None
    return AppRef(below[-2], below[-1])


def tenant_at(path: str) -> tuple[str, str] | None:
    """Shard and user id of a tenant's folder, given that it belongs there."""
    top, *below = path.split("/")
    return (below[0], below[1]) if top == "apps" and len(below) == _SHARD_DEPTH else None


def _at_top(name: str, folder: bool) -> Diagnostic | None:  # noqa: FBT001  (of this module)
    if name in (_TOP_FOLDERS if folder else _TOP_FILES):
        return None
    if name in _TOP_FOLDERS | _TOP_FILES:
        return problem(name, "layout", f"{name} must be a {_kind(not folder)}.", _TAKE_OUT)
    known = "an app's files belong in apps/<shard>/<user_id>/<app_id>/code/"
    return problem(name, "layout", f"{name} has no place in this repository: {known}.", _TAKE_OUT)


def _below_apps(
    path: str,
    folder: bool,  # noqa: FBT001  (of this module)
    below: list[str],
    digits: int,
) -> Diagnostic | None:
    name = below[-1]
    match len(below):
        case 1:
            wrong = _shard(name, folder, digits)
        case 2:
            wrong = _tenant(name, folder, below[0])
        case 3:
            wrong = _of_tenant(name, folder)
        case 4 if below[2] == "secrets":
            wrong = None if not folder and _SOPS_FILE.fullmatch(name) else _NO_SECRET
        case 4:
            wrong = f"an app's folder holds {_APP_FILES}"
        case _:
            wrong = _NO_SECRET
    if wrong is None:
        return None
    hint = _STEERS if _STEERING.fullmatch(name) else _TAKE_OUT
    return problem(path, "layout", f"{_shown(name)} does not belong here: {wrong}.", hint)


def _shard(name: str, folder: bool, digits: int) -> str | None:  # noqa: FBT001  (of this module)
    if folder and len(name) == digits and set(name) <= set("0123456789abcdef"):
        return None
    return f"apps/ holds the folders of shards, {digits} hex digits each"


def _tenant(name: str, folder: bool, shard: str) -> str | None:  # noqa: FBT001  (of this module)
    if not folder:
        return None if name == "README.md" else "a shard's folder holds the folders of its tenants"
    if not is_id(name):
        return "it is no user id (lower-case letters, digits and dashes)"
    own = shard_of(name, len(shard))
    return None if own == shard else f"the shard of {name} is {own}"


def _of_tenant(name: str, folder: bool) -> str | None:  # noqa: FBT001  (of this module)
    if name == "tenant.yaml":
        return "it must be a file" if folder else None
    if not folder:
        return "a tenant's folder holds tenant.yaml and the folders of apps"
    if name == "secrets":
        return None
    if name in NOT_APPS:
        return "this name is the platform's"
    return None if is_id(name) else "it is no app id (lower-case letters, digits and dashes)"


def _kind(folder: bool) -> str:  # noqa: FBT001  (of this module)
    return "folder" if folder else "file"


def _shown(name: str) -> str:
    return name if len(name) <= _LONG else f"{name[:_LONG]}…"


_LONG: Final = 80
_NO_SECRET: Final = "here are secrets, each encrypted, as NAME.sops.yaml"  # noqa: S105  (a message)
_TAKE_OUT: Final = "Take it out, or move it to where it belongs."
_STEERS: Final = "Take it out: it would steer Flux, kustomize or git, which is the platform's part."
_REGULAR: Final = "Commit a regular file (`git update-index --chmod=-x <path>` for executables)."
