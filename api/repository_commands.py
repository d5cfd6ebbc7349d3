"""`python -m api init-repo`: make a repository, and bring it up to the platform's template."""

from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from api.clients.git_program import without_user
from api.opening import REPOSITORY, cluster_rendering, open_repository
from api.settings import Settings
from api.template_upgrade import Upgraded, Wanted
from api.terminal import Json, load_settings, run, show_one


class Shards(IntEnum):
    """How many branches may share the apps."""

    USUAL = 256
    MANY = 4096


class Repository(BaseModel):
    """The repository, and what was done to it; paths are those on `main`."""

    path: str
    created: bool
    written: tuple[str, ...]
    kept: tuple[str, ...]
    waiting: tuple[str, ...]


_Cluster = Annotated[
    str | None,
    typer.Option("--cluster", help="Write clusters/NAME/, what Flux applies there, as well."),
]
_Source = Annotated[
    str | None,
    typer.Option(
        "--source-url",
        help="Where Flux fetches the branches flux/* from; else PUBLISH_URL or GIT_REMOTE.",
    ),
]
_GitSecret = Annotated[
    str | None, typer.Option("--git-secret", help="Secret with Flux' credential for that address.")
]
_Images = Annotated[
    list[str] | None,
    typer.Option("--image", help="Image that may run beside RUNNER_IMAGE; may be repeated."),
]
_PublishKeys = Annotated[
    list[Path] | None,
    typer.Option(
        "--publish-key",
        exists=True,
        dir_okay=False,
        readable=True,
        help="File with a public key (Ed25519) that may sign beside GIT_SIGNING_KEY_FILE; may be "
        "repeated. Without it, those that may already stay.",
    ),
]
_Accept = Annotated[
    str | None,
    typer.Option(
        "--accept", help="Commit of main at whose clusters/ you looked: flux/clusters takes it."
    ),
]
_Shards = Annotated[
    Shards | None,
    typer.Option("--shards", help="How many branches share the apps; fixed for ever."),
]


def init_repo(  # noqa: PLR0913  (the options of a command)
    *,
    cluster: _Cluster = None,
    source_url: _Source = None,
    git_secret: _GitSecret = None,
    image: _Images = None,
    publish_key: _PublishKeys = None,
    accept: _Accept = None,
    shards: _Shards = None,
    as_json: Json = False,
) -> None:
    """Make the repository, or bring it up to the template; people's files are left as they are.

    `main` gets its settings and a README, and every shard its branch. With --cluster,
    clusters/NAME/ gets the objects of Flux and the admission policies, and the branch
    flux/clusters, from which they are applied, follows; what others changed in clusters/ waits for
    --accept.
    """
    settings = load_settings()
    if cluster is None and (source_url or git_secret or image or publish_key):
        raise typer.BadParameter(
            "--source-url, --git-secret, --image and --publish-key belong to --cluster NAME"
        )
    wanted = None
    if cluster is not None:
        if not settings.base_domain:
            raise typer.BadParameter("--cluster needs BASE_DOMAIN, RUNNER_IMAGE … as it has them")
        wanted = Wanted(
            name=cluster,
            url=source_url or _fetched_from(settings),
            git_secret=git_secret,
            images=tuple(image) if image else None,
            publish_keys=tuple(map(_public_key, publish_key)) if publish_key else None,
            settings=cluster_rendering(settings),
        )
    created, done = run(_init_repo(settings, shards, wanted, accept))
    where = settings.git_remote or str((settings.data_dir / REPOSITORY).resolve())
    answer = Repository(
        path=without_user(where),
        created=created,
        written=done.written,
        kept=done.kept,
        waiting=done.waiting,
    )
    show_one(answer, "\n".join(_told(answer, done.head)), as_json=as_json)


async def _init_repo(
    settings: Settings, shards: Shards | None, wanted: Wanted | None, accept: str | None
) -> tuple[bool, Upgraded]:
    async with open_repository(settings, shards) as opened:
        return opened.created, await opened.upgrade.run(wanted, opened.public_key, accept)


def _public_key(path: Path) -> str:
    """Kind and key of a `.pub` file, without its comment."""
    return " ".join(path.read_text(encoding="utf-8", errors="replace").split()[:2])


def _fetched_from(settings: Settings) -> str | None:
    url = settings.publish_url or settings.git_remote
    return without_user(url) if url else None


def _told(answer: Repository, head: str) -> list[str]:
    if answer.created:
        lines = [f"The repository {answer.path} is made."]
    elif answer.written:
        lines = [f"The repository {answer.path} follows the template now."]
    else:
        lines = [f"The repository {answer.path} was complete already; nothing was changed."]
    lines += [f"  written  {path}" for path in answer.written]
    if answer.kept:
        lines.append("These are changed by hand, and the template has something newer:")
        lines += [f"  kept     {path}" for path in answer.kept]
    if answer.waiting:
        lines.append("These were changed by others, and Flux does not have them yet:")
        lines += [f"  waiting  {path}" for path in answer.waiting]
        lines.append(f"Look at them, then: python -m api init-repo --accept {head}")
    return lines
