"""The copy of a remote repository in the data folder: bare, and with nothing of its own."""

from pathlib import Path
from typing import Final

import pygit2

from api.errors import RepositoryUnavailable, Unavailable

#: Marks a copy, so that it is never served as the source of truth, nor such a one overwritten.
_MARK: Final = "platform.copyOf"
#: Packing is `git_maintenance`'s, off the path of deploys.
_CONFIG: Final = {"gc.auto": "0", "maintenance.auto": "false", "receive.autogc": "false"}


def prepare_clone(path: Path, url: str) -> None:
    """Make an empty copy of `url`, or take the one that is there.

    Raises Unavailable when `path` is a repository of its own, for fetching would overwrite it.
    """
    try:
        if path.exists() and _copy_of(path) is None:
            raise Unavailable(
                f"{path} is a repository of its own, and not a copy of GIT_REMOTE.",
                hint="Push its branches to the remote and move it away, or unset GIT_REMOTE.",
            )
        repository = pygit2.init_repository(str(path), bare=True, initial_head="main")
        quieten(repository)
        repository.config[_MARK] = url
    except (pygit2.GitError, OSError) as error:
        raise RepositoryUnavailable(f"The copy {path} could not be made: {error}") from error


def require_own(path: Path) -> None:
    """Raise Unavailable when the repository at `path` is a copy of a remote."""
    if path.exists() and (url := _copy_of(path)):
        raise Unavailable(
            f"{path} is a copy of {url}, and not a repository of its own.",
            hint="Set GIT_REMOTE again, or choose another DATA_DIR.",
        )


def quieten(repository: pygit2.Repository) -> None:
    """No packing by git at a moment of its own choice."""
    for name, value in _CONFIG.items():
        repository.config[name] = value


def quieten_path(path: Path) -> None:
    """The same for a repository by its folder."""
    quieten(pygit2.Repository(str(path)))


def check_pushes(path: Path) -> None:
    """Let git look at every object that people push: trees that it would not write are refused.

    Only here, where they come in. A copy that refused to fetch them would stop everybody's deploys
    for one commit of somebody's: there they are held, app by app (`tree_form`).
    """
    pygit2.Repository(str(path)).config["receive.fsckObjects"] = True


def _copy_of(path: Path) -> str | None:
    config = pygit2.Repository(str(path)).config
    return config[_MARK] if _MARK in config else None  # noqa: SIM401  (it has no `get`)
