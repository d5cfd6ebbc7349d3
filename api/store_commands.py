"""`python -m api migrate-store`: from the SQLite file of a data folder into MongoDB."""

import time
from typing import Final

import typer
from pydantic import BaseModel

from api.migration import Migration, Moved
from api.opening import open_migration
from api.settings import Settings
from api.terminal import Json, load_settings, run, show_one

_SECONDS_BETWEEN: Final = 1.0


class MovedRows(BaseModel):
    """What was moved; accounts and invitations that were there already are not counted."""

    accounts: int
    invitations: int
    idempotency_keys: int
    apps_with_activity: int


def migrate_store(*, as_json: Json = False) -> None:
    """Move the accounts of DATA_DIR into the database of MONGO_URI; stop the server first.

    What is there already stays as it is, so after an interruption run it again. A database with
    accounts that DATA_DIR has not is refused. What is in the file stays there.
    """
    settings = load_settings()
    if settings.mongo_uri is None:
        typer.echo("Error: set MONGO_URI to the database to move to.", err=True)
        raise typer.Exit(2)
    moved = run(_migrate(settings))
    answer = MovedRows(**vars(moved))
    text = (
        f"Moved {answer.accounts} accounts, {answer.invitations} invitations,"
        f" {answer.idempotency_keys} idempotency keys and when {answer.apps_with_activity} apps"
        " were last used."
    )
    show_one(answer, text, as_json=as_json)


async def _migrate(settings: Settings) -> Moved:
    async with open_migration(settings) as (source, target):
        return await Migration(source, target, _Progress()).run()


class _Progress:
    """A line on standard error now and then: what is printed there is for people only."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        if done == total or time.monotonic() - self._told_at >= _SECONDS_BETWEEN:
            self._told_at = time.monotonic()
            typer.echo(f"{what}: {done} of {total}", err=True)
