"""Make the repository: `main` with its settings, and one branch per shard, from one root commit."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.clients import git_clone, gitops_repo
from api.clients.commit_signing import Signer
from api.clients.git_program import Credentials
from api.clients.git_trees import Edit
from api.clients.git_upstream import CLONE_SECONDS, NOTHING, Move, RemoteUpstream
from api.clients.gitops_repo import GitopsRepo
from api.domain.flux_objects import shard_names
from api.domain.repo_layout import MAIN, InvalidFile, parse_platform, shard_branch
from api.domain.template_record import RECORD, Record
from api.errors import RepositoryUnavailable, Unavailable

TEMPLATE: Final = Path(__file__).parents[1] / "gitops-repo-template"
_PLACEHOLDER: Final = b"Apps of the tenants whose id falls into this shard.\n"
#: Branches made by one push: 256 at once, 4,096 in a few.
_PER_PUSH: Final = 1000
DEFAULT_SHARDS: Final = 256


@dataclass(frozen=True)
class Made:
    """A repository that has all of its branches, and whether some had to be made."""

    repo: GitopsRepo
    created: bool


def init_repo(
    path: Path, template: Path = TEMPLATE, signer: Signer | None = None, shards: int | None = None
) -> bool:
    """Create what is missing of the bare repository at `path`, and overwrite nothing.

    Returns whether anything was created, so that a second run can say that nothing was. All
    shard branches exist from the start: nothing has to be made when a tenant signs up; `shards`
    is their number, and that of an existing repository is never changed. Raises Unavailable for a
    copy of a remote, and for a `main` that is not the platform's.
    """
    git_clone.require_own(path)
    created = _complete(path, template, signer, shards)
    _protect(path)
    return created


@asynccontextmanager
async def remote_repository(
    url: str,
    publish_url: str | None,
    credentials: Credentials,
    signer: Signer | None = None,
    shards: int | None = None,
) -> AsyncIterator[tuple[Made, RemoteUpstream]]:
    """The same at a remote, in a few pushes, and a copy of it that lasts as long as the block.

    Branches that are there are not touched. Raises RepositoryUnavailable, also with the words of a
    host that refuses.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "repo.git"
        await asyncio.to_thread(git_clone.prepare_clone, path, url)
        upstream = RemoteUpstream(path, url, publish_url, credentials)
        there = await upstream.branches()
        if MAIN in there:
            await upstream.refresh(CLONE_SECONDS)
        await asyncio.to_thread(_complete, path, TEMPLATE, signer, shards)
        repo = GitopsRepo(path, signer)
        try:
            created = await _push_missing(repo, upstream, there)
            yield Made(repo, created), upstream
        finally:
            await repo.close()


async def _push_missing(repo: GitopsRepo, upstream: RemoteUpstream, there: set[str]) -> bool:
    tips = await repo.heads()
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


def _complete(path: Path, template: Path, signer: Signer | None, shards: int | None) -> bool:
    settings = gitops_repo.read_file(path, MAIN, "platform.yaml") if path.exists() else None
    main = main_files(template, shards or DEFAULT_SHARDS)
    try:
        platform = parse_platform(main["platform.yaml"] if settings is None else settings)
    except InvalidFile as error:
        raise Unavailable(
            f"The repository's branch main is not the platform's: {error}",
            hint="Start with an empty repository, or correct platform.yaml by a commit.",
        ) from error
    if shards not in (None, platform.shards):
        raise Unavailable(
            f"The repository has {platform.shards} shards, not {shards}.",
            hint="Their number is fixed when a repository is made; leave --shards away.",
        )
    names = shard_names(platform)
    root: Mapping[str, Edit] = read_folder(template / "flux")
    intents: dict[str, Edit] = {f"apps/{shard}/README.md": _PLACEHOLDER for shard in names}
    branches = {shard_branch(shard): root for shard in names}
    record = {RECORD: Record.of(main).dump()}
    return gitops_repo.create(path, intents | main | record, branches, signer)


def main_files(template: Path, shards: int) -> dict[str, bytes]:
    """What a new `main` holds beside the placeholders of the shards."""
    files = read_folder(template / "main")
    settings = files["platform.yaml"]
    files["platform.yaml"] = settings.replace(b"shards: 256\n", f"shards: {shards}\n".encode())
    return files


def read_folder(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _protect(path: Path) -> None:
    """Who may write `flux/*` decides everything: nobody by a push, as a forge's rule would say.

    And nobody pushes what git itself would not write.
    """
    hook = path / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(_UPDATE_HOOK)
    hook.chmod(0o755)
    git_clone.check_pushes(path)


_UPDATE_HOOK: Final = """\
#!/bin/sh
case "$1" in
refs/heads/flux/*)
    echo "The branches flux/* are written by the platform: commit on main, and they follow." >&2
    exit 1 ;;
esac
"""
