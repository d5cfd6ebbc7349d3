"""`python -m api cleanup`: one look for idle apps, as the CronJob makes it."""

from datetime import datetime
from typing import Annotated, Literal

import typer
from pydantic import BaseModel

from api.cleanup import Outcome
from api.leases import HeldElsewhere
from api.opening_cleanup import open_cleaner
from api.settings import Settings
from api.terminal import Json, load_settings, plain, run

_DONE = {
    "keep": ("keeps", "keeps"),
    "hibernate": ("puts to sleep", "would put to sleep"),
    "remove": ("removes", "would remove"),
}
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would be done, and why; commit nothing.")
]


class AppRow(BaseModel):
    """An app whose time is over, and what becomes of it."""

    user_id: str
    app_id: str
    fate: Literal["keep", "hibernate", "remove"]
    why: str
    last_activity_at: datetime | None


class CleanedUp(BaseModel):
    """What one look did, or would do."""

    dry_run: bool
    stopped: str | None
    looked_at: int
    commits: list[str]
    apps: list[AppRow]


def cleanup(*, dry_run: _DryRun = False, as_json: Json = False) -> None:
    """Put idle apps to sleep and remove them, at most CLEANUP_BATCH of them, by commits.

    Exit status: 0 done, also when there was nothing to do or another process does it; 1 nothing was
    judged because it is not known who was used, or it failed; 2 misused.
    """
    settings = load_settings()
    outcome = run(_look(settings, dry_run=dry_run))
    answer = CleanedUp(
        dry_run=dry_run,
        stopped=outcome.stopped,
        looked_at=outcome.looked_at,
        commits=list(outcome.commits),
        apps=[
            AppRow(
                user_id=each.ref.user_id,
                app_id=each.ref.app_id,
                fate=each.fate,
                why=each.why,
                last_activity_at=each.used_at,
            )
            for each in outcome.verdicts
        ],
    )
    typer.echo(answer.model_dump_json(indent=2) if as_json else _text(answer))
    if outcome.stopped:
        raise typer.Exit(1)


async def _look(settings: Settings, *, dry_run: bool) -> Outcome:
    async with open_cleaner(settings, writes=not dry_run) as cleaner:
        if dry_run:
            return await cleaner.plan()
        try:
            return await cleaner.run()
        except HeldElsewhere as error:
            typer.echo(error.message, err=True)
            return Outcome()


def _text(answer: CleanedUp) -> str:
    if answer.stopped:
        return answer.stopped
    lines = [
        f"{_DONE[app.fate][answer.dry_run]} {app.user_id}/{app.app_id}: {plain(app.why)}"
        for app in answer.apps
    ]
    counts = {fate: sum(app.fate == fate for app in answer.apps) for fate in _DONE}
    lines.append(
        f"{answer.looked_at} apps: {_DONE['remove'][answer.dry_run]} {counts['remove']}, "
        f"{_DONE['hibernate'][answer.dry_run]} {counts['hibernate']}."
    )
    return "\n".join(lines)
