"""Make the repository: `main` with its settings, and one branch per shard, from one root commit."""

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from api.clients import git_clone, gitops_repo
from api.clients.commit_signing import Signer
from api.clients.git_program import Credentials
from api.clients.git_trees import Edit
from api.clients.git_upstream import CLONE_SECONDS, NOTHING, Move, RemoteUpstream
from api.clients.gitops_repo import GitopsRepo
from api.domain.repo_layout import MAIN, InvalidFile, parse_platform, shard_branch
from api.errors import RepositoryUnavailable, Unavailable

TEMPLATE: Final = Path(__file__).parents[1] / "gitops-repo-template"
_PLACEHOLDER: Final = b"Apps of the tenants whose id falls into this shard.\n"
#: Branches made by one push: 256 at once, 4,096 in a few.
_PER_PUSH: Final = 1000


def init_repo(path: Path, template: Path = TEMPLATE, signer: Signer | None = None) -> bool:
    """Create what is missing of the bare repository at `path`, and overwrite nothing.

    Returns whether anything was created, so that a second run can say that nothing was. All
    shard branches exist from the start: nothing has to be made when a tenant signs up. Raises
    Unavailable for a copy of a remote, and for a `main` that is not the platform's.
    """
    git_clone.require_own(path)
    created = _complete(path, template, signer)
    _protect(path)
    return created


async def init_remote(
    url: str,
    publish_url: str | None,
    credentials: Credentials,
    signer: Signer | None = None,
    template: Path = TEMPLATE,
) -> bool:
    """The same at a remote, in a few pushes; branches that are there are not touched.

    Raises RepositoryUnavailable, also with the words of a host that refuses.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "repo.git"
        await asyncio.to_thread(git_clone.prepare_clone, path, url)
        upstream = RemoteUpstream(path, url, publish_url, credentials)
        there = await upstream.branches()
        if MAIN in there:
            await upstream.refresh(CLONE_SECONDS)
        await asyncio.to_thread(_complete, path, template, signer)
        repo = GitopsRepo(path)
        try:
            tips = await repo.heads()
        finally:
            await repo.close()
        # Sorted so that main comes first: a shard branch never runs ahead of it.
        missing = sorted(tips.keys() - there, key=lambda branch: (branch != MAIN, branch))
        for start in range(0, len(missing), _PER_PUSH):
            part = missing[start : start + _PER_PUSH]
            result = await upstream.push([Move(branch, NOTHING, tips[branch]) for branch in part])
            if not result.moved:
                raise RepositoryUnavailable(
                    f"The branches were not made: {result.words or 'somebody else made some'}",
                    hint="What is there was not touched; run the command again.",
                )
    return bool(missing)


def _complete(path: Path, template: Path, signer: Signer | None) -> bool:
    main = _files(template / "main")
    settings = gitops_repo.read_file(path, MAIN, "platform.yaml") if path.exists() else None
    try:
        platform = parse_platform(main["platform.yaml"] if settings is None else settings)
    except InvalidFile as error:
        raise Unavailable(
            f"The repository's branch main is not the platform's: {error}",
            hint="Start with an empty repository, or correct platform.yaml by a commit.",
        ) from error
    shards = [f"{n:0{platform.shard_digits}x}" for n in range(platform.shards)]
    root: Mapping[str, Edit] = _files(template / "flux")
    intents: dict[str, Edit] = {f"apps/{shard}/README.md": _PLACEHOLDER for shard in shards}
    branches = {shard_branch(shard): root for shard in shards}
    return gitops_repo.create(path, intents | main, branches, signer)


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
