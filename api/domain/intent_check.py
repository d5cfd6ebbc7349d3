"""May this folder on `main` be published? What can be said from its path and its bytes alone.

The whole check (`api/checking.py`) adds the source check, in its helper process, and the build of
an overlay. Paths in diagnostics are as people know them: files of `code/` as in the editor.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from api.domain.names import AppRef, is_id, shard_of
from api.domain.repo_layout import (
    AppFile,
    InvalidFile,
    TenantFile,
    is_plain_path,
    parse_app,
    parse_tenant,
)
from api.domain.source_check import Diagnostic

#: Raise it when a rule here changes: checks are cached under it.
VERSION: Final = 3
#: How `AppFolder.odd` tells of the app's folder itself.
OWN_FOLDER: Final = "./"


@dataclass(frozen=True)
class AppFolder:
    """The entries of an app's folder, by path relative to it (`code/user_code.py`)."""

    files: Mapping[str, bytes]
    #: Links, submodules, executables, what is past a limit; with a slash behind, folders that git
    #: did not write ("./" for the app's own).
    odd: tuple[str, ...] = ()

    def below(self, entry: str) -> dict[str, bytes]:
        """The files of one entry, by path relative to that."""
        prefix = f"{entry}/"
        return {
            path.removeprefix(prefix): data
            for path, data in self.files.items()
            if path.startswith(prefix)
        }


def check_settings(ref: AppRef, folder: AppFolder) -> tuple[AppFile | None, list[Diagnostic]]:
    """Read `app.yaml` and hold it against the folder's path; the app when it fits its schema."""
    data = folder.files.get("app.yaml")
    if data is None:
        return None, [problem("app.yaml", "missing", "There is no app.yaml.", _PUT_BACK)]
    try:
        app = parse_app(data)
    except InvalidFile as error:
        hint = "Correct this field; docs/architecture.md lists them."
        return None, [problem("app.yaml", "settings", f"{error.message}.", hint)]
    found = []
    for field, stands, expected in (("id", app.id, ref.app_id), ("user", app.user, ref.user_id)):
        if stands != expected:
            message = f"`{field}` is {stands}, but the folder belongs to {expected}."
            found.append(problem("app.yaml", "wrong_owner", message, f"Write {expected}."))
    return (None if found else app), found


def check_structure(folder: AppFolder) -> list[Diagnostic]:
    """Only regular files with plain names, and no secrets by hand."""
    found = [_odd(path) for path in folder.odd]
    found += [
        problem(path, "path", f"{path!r} is not a plain path.", "Use letters, digits, _ - and .")
        for path in sorted(folder.files)
        if not is_plain_path(path.removeprefix("code/"))
    ]
    folders = {path.rpartition("/")[0] for path in folder.files}
    found += [
        problem(path, "path", f"{path} is a file and a folder at once.", "Rename one of them.")
        for path in sorted(folder.files.keys() & folders)
    ]
    found += [
        problem(name, "not_a_folder", f"{name} must be a folder.", "Take the file out.")
        for name in ("code", "overlay", "secrets")
        if name in folder.files
    ]
    found += [
        problem(f"secrets/{name}", "secret", "This secret was not written by the platform.",
                "Take the file out; secrets cannot be set by hand.")
        for name in sorted(folder.below("secrets"))
    ]  # fmt: skip
    return found


def _odd(path: str) -> Diagnostic:
    if path.endswith("/"):
        return malformed("app.yaml" if path == OWN_FOLDER else path.removesuffix("/"))
    return problem(path, "not_a_file", _NOT_A_FILE, _REGULAR)


def malformed(path: str) -> Diagnostic:
    """What is wrong with a folder that git did not write (`tree_form`): nothing of it is taken."""
    message = "Its folder names something twice, or in an order or with a mode that git never uses."
    return problem(path, "malformed", message, _GIT)


def check_tenant(shard: str, user_id: str, data: bytes | None) -> TenantFile | Diagnostic:
    """Whose folder it is, from its `tenant.yaml` (None: no file of that name); or what is wrong."""
    if not is_id(user_id) or shard_of(user_id, len(shard)) != shard:
        return _of_tenant(f"The folder {user_id!r} does not belong in shard {shard}.")
    if data is None:
        return _of_tenant("The file tenant.yaml of this tenant is missing.")
    try:
        tenant = parse_tenant(data)
    except InvalidFile as error:
        return _of_tenant(f"The file tenant.yaml of this tenant is wrong: {error.message}.")
    if tenant.user != user_id:
        return _of_tenant(f"tenant.yaml is of {tenant.user}, not of {user_id}.")
    return tenant


def check_owner(ref: AppRef, owner: str | None) -> Diagnostic | None:
    """What is wrong when the app's id was another tenant's first; `owner`: None for a new id."""
    if owner in (None, ref.user_id):
        return None
    message = f"The id {ref.app_id} belongs to another tenant."
    hint = "Give the app an id of its own: the folder's name, and `id` in app.yaml."
    return problem("app.yaml", "foreign_id", message, hint)


def _of_tenant(message: str) -> Diagnostic:
    return problem("tenant.yaml", "tenant", message, _PUT_BACK)


def problem(path: str, code: str, message: str, hint: str) -> Diagnostic:
    """An error about a file as a whole."""
    return Diagnostic(path, 1, 1, 1, 1, "error", code, message, hint)


_NOT_A_FILE: Final = (
    "Links, submodules, executables and files past 1 MiB or 20 folders deep are not published."
)
_REGULAR: Final = "Commit a small regular file (`git update-index --chmod=-x <path>`)."
_GIT: Final = "Write the commit anew with git itself; `git fsck` tells what is wrong."
_PUT_BACK: Final = "Put it back as it was: `git log -- <path>` shows the last version."
