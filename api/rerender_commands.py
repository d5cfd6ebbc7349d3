"""`python -m api rerender`: every app with today's renderer and runner image, with a stop."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal

import typer
from pydantic import BaseModel

from api.errors import InvalidRequest
from api.opening import open_rerender
from api.rerender import Pace, Rendered, Rerender, Stale
from api.terminal import Json, load_settings, plain, print_json, run, show

_SHARD: Final = re.compile(r"[0-9a-f]{2,3}")
_NOTHING: Final = (
    "Nothing to render anew: every app is made with today's renderer and runner image."
)


def _shards(text: str | None) -> str | None:
    if text is not None and not all(_SHARD.fullmatch(part) for part in text.split(",")):
        raise typer.BadParameter("give two or three hex digits each, separated by commas: 0a,ff")
    return text


Shards = Annotated[
    str | None,
    typer.Option(help="Only these shards, separated by commas, such as 0a,ff.", callback=_shards),
]
AtOnce = Annotated[
    int, typer.Option(min=1, max=64, help="Shards at once, when one has been seen to stay ready.")
]
Deadline = Annotated[
    float, typer.Option(min=1, max=3600, help="Seconds until apps must be ready again.")
]
DryRun = Annotated[bool, typer.Option(help="Only say what would be rendered anew, and why.")]
AcceptOlder = Annotated[
    bool,
    typer.Option(help="Go back to this release's renderer where a newer one has published."),
]


class StaleRow(BaseModel):
    """An app that would be rendered anew."""

    shard: str
    user_id: str
    app_id: str
    why: str


class WorseRow(BaseModel):
    """An app that was ready before, and is not ready now."""

    user_id: str
    app_id: str
    message: str


class RenderedRow(BaseModel):
    """What came of one shard."""

    shard: str
    state: Literal["done", "worse", "waits"]
    apps: list[str]
    watched: int
    worse: list[WorseRow]
    message: str


class Report(BaseModel):
    """What was done, and what was not."""

    renderer: int
    runner_image: str
    watched: bool
    stopped: bool
    shards: list[RenderedRow]
    untouched: list[str]


def rerender(  # noqa: PLR0913  (a command's options)
    *,
    shards: Shards = None,
    at_once: AtOnce = Pace.at_once,
    deadline: Deadline = Pace.seconds,
    accept_older: AcceptOlder = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Render every app with today's renderer and RUNNER_IMAGE, a few shards at a time.

    Otherwise an app changes only when it is deployed. It stops when apps that were ready are not
    ready again in time, and says which: status 1. It may be interrupted, and goes on where it was.
    Update the running platforms first: an older one does not publish after a newer one.
    """
    settings = load_settings()
    chosen = None if shards is None else sorted(set(shards.split(",")))

    async def work() -> Report | list[StaleRow]:
        async with open_rerender(settings) as opened:
            stale = await opened.stale(chosen)
            newer = await opened.newer(chosen)
            if dry_run:
                return [_stale_row(opened, app) for apps in stale.values() for app in apps]
            if newer and not accept_older:
                raise InvalidRequest(
                    f"A newer release has published {_counted(newer)}: {', '.join(newer[:5])}.",
                    hint="Nothing was changed. Use that release, or go back with --accept-older.",
                )
            order = sorted({*stale, *newer})
            telling = _Telling(order, stale, quiet=as_json)
            telling.begins(opened)
            done = await opened.run(
                order, Pace(at_once, deadline), telling.hears, accept_older=accept_older
            )
            return _report(opened, order, done)

    found = run(work())
    if isinstance(found, list):
        show(found, as_json=as_json, none=_NOTHING)
        return
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        _say(found)
    if found.stopped or any(row.state != "done" for row in found.shards):
        raise typer.Exit(1)


class _Telling:
    """Progress on standard error, for people."""

    def __init__(
        self, order: Sequence[str], stale: Mapping[str, Sequence[Stale]], *, quiet: bool
    ) -> None:
        self._total = len(order)
        self._apps = sum(map(len, stale.values()))
        self._quiet = quiet
        self._heard = 0

    def begins(self, opened: Rerender) -> None:
        """Say what is ahead, and whether anybody watches."""
        if self._total:
            self._say(f"{self._apps} apps in {self._total} shards are to be rendered anew.")
            if not opened.watches:
                self._say("Nothing runs here, so there is no health to watch.")

    def hears(self, result: Rendered) -> None:
        """Say what came of a shard."""
        self._heard += 1
        ready = result.watched - len(result.worse)
        health = f", {ready} of {result.watched} ready again" if result.watched else ""
        self._say(
            f"[{self._heard}/{self._total}] shard {result.shard}: {len(result.apps)} apps rendered "
            f"anew{health}" + (f"; {result.message}" if result.message else "")
        )

    def _say(self, text: str) -> None:
        if not self._quiet:
            typer.echo(plain(text), err=True)


def _say(report: Report) -> None:
    if not report.shards:
        typer.echo(_NOTHING)
        return
    apps = sum(len(row.apps) for row in report.shards)
    typer.echo(f"{apps} apps in {_counted([row.shard for row in report.shards])} rendered anew.")
    for row in report.shards:
        for app in row.worse:
            what = f"app {app.app_id} of {app.user_id} is not ready any more: {app.message}"
            typer.echo(plain(f"shard {row.shard}: {what}"))
        if row.message:
            typer.echo(plain(f"shard {row.shard}: {row.message}"))
    if report.stopped:
        left = f"{_counted(report.untouched)} left as they were" if report.untouched else "at last"
        typer.echo(f"Stopped: {left}. Mend the cause, and start again: it goes on from here.")


def _report(opened: Rerender, order: Sequence[str], done: Sequence[Rendered]) -> Report:
    rows = [
        RenderedRow(
            shard=result.shard,
            state=result.state,
            apps=[ref.app_id for ref in result.apps],
            watched=result.watched,
            worse=[WorseRow(**vars(app.ref), message=app.message) for app in result.worse],
            message=result.message,
        )
        for result in done
    ]
    return Report(
        renderer=opened.today.renderer,
        runner_image=opened.today.runner_image,
        watched=opened.watches,
        stopped=any(row.state == "worse" for row in rows),
        shards=rows,
        untouched=list(order[len(rows) :]),
    )


def _stale_row(opened: Rerender, app: Stale) -> StaleRow:
    why = app.made_with.differs_from(opened.today) if app.made_with else "it does not say by what"
    return StaleRow(shard=app.shard, user_id=app.ref.user_id, app_id=app.ref.app_id, why=why)


def _counted(shards: Sequence[str]) -> str:
    return f"{len(shards)} shard{'' if len(shards) == 1 else 's'}"
