"""`python -m api admin adopt`: apps back to their people when the database was lost."""

import getpass
from datetime import datetime
from typing import Annotated

import typer
from pydantic import BaseModel

from api.adoption import Adoption, Orphan
from api.dependencies import Records
from api.leases import Leases
from api.opening import open_records
from api.settings import Settings
from api.terminal import Json, load_settings, run, show, show_one


class OrphanRow(BaseModel):
    """A tenant without an account, and who has its username today."""

    user_id: str
    username: str | None
    created: datetime | None
    apps: int
    suspended: bool
    namesakes_email: str | None
    namesake_since: datetime | None


class Adopted(BaseModel):
    """An account that has its apps again."""

    user_id: str
    username: str
    email: str
    suspended: bool


_UserId = Annotated[
    str | None, typer.Argument(help="The tenant; without it, those without an account are listed.")
]
_Username = Annotated[str | None, typer.Argument(help="The account that gets its apps.")]


def adopt(user_id: _UserId = None, username: _Username = None, *, as_json: Json = False) -> None:
    """Give a tenant's apps to an account, when the database was lost.

    Without arguments: lists tenants that have apps and no account, with the e-mail address and age
    of the account that has the same username today. Anybody may have signed up with it: ask before
    you name it. The account gets the tenant's user id and has to log in again; who was suspended
    is suspended again.
    """
    settings = load_settings()
    if user_id is None:
        rows = [_row(orphan) for orphan in run(_orphans(settings))]
        show(rows, as_json=as_json, none="Every tenant with apps has an account.")
        return
    if username is None:
        raise typer.BadParameter("name the account that gets the apps, after the tenant")
    answer = run(_adopt(settings, user_id, username))
    text = f"{answer.username} <{answer.email}> has the apps of {user_id} and logs in again."
    show_one(answer, text, as_json=as_json)


async def _orphans(settings: Settings) -> list[Orphan]:
    async with open_records(settings) as records:
        await records.upstream.refresh()
        return await _adoption(records).orphans()


async def _adopt(settings: Settings, user_id: str, username: str) -> Adopted:
    async with open_records(settings) as records:
        await records.upstream.refresh()
        account = await _adoption(records).adopt(user_id, username, by=_operator())
        return Adopted(
            user_id=account.user_id,
            username=account.username,
            email=account.email,
            suspended=account.suspension is not None,
        )


def _adoption(records: Records) -> Adoption:
    leases = Leases(records.store)
    return Adoption(records.store, records.intents, records.tenants, leases)


def _row(orphan: Orphan) -> OrphanRow:
    namesake = orphan.namesake
    return OrphanRow(
        user_id=orphan.user_id,
        username=orphan.username,
        created=orphan.created,
        apps=orphan.apps,
        suspended=orphan.suspended,
        namesakes_email=namesake.email if namesake else None,
        namesake_since=namesake.created_at if namesake else None,
    )


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return "operator"
