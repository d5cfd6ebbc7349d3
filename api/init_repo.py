"""Make the repository: `main` with its settings, and one branch per shard, from one root commit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from api.clients import gitops_repo
from api.clients.git_trees import Edit
from api.domain.repo_layout import parse_platform, shard_branch

TEMPLATE: Final = Path(__file__).parents[1] / "gitops-repo-template"
_PLACEHOLDER: Final = b"Apps of the tenants whose id falls into this shard.\n"


def init_repo(path: Path, template: Path = TEMPLATE) -> bool:
    """Create what is missing of the bare repository at `path`, and overwrite nothing.

    Returns whether anything was created, so that a second run can say that nothing was. All
    shard branches exist from the start: nothing has to be made when a tenant signs up.
    """
    main = _files(template / "main")
    platform = parse_platform(main["platform.yaml"])
    shards = [f"{n:0{platform.shard_digits}x}" for n in range(platform.shards)]
    root: Mapping[str, Edit] = _files(template / "flux")
    intents: dict[str, Edit] = {f"apps/{shard}/README.md": _PLACEHOLDER for shard in shards}
    branches = {shard_branch(shard): root for shard in shards}
    created = gitops_repo.create(path, intents | main, branches)
    _protect(path)
    return created


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _protect(path: Path) -> None:
    """Who may write `flux/*` decides everything: nobody by a push, as a forge's rule would say."""
    hook = path / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(_UPDATE_HOOK)
    hook.chmod(0o755)


_UPDATE_HOOK: Final = """\
#!/bin/sh
case "$1" in
refs/heads/flux/*)
    echo "The branches flux/* are written by the platform: commit on main, and they follow." >&2
    exit 1 ;;
esac
"""
