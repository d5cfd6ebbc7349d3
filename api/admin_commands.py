"""`python -m api admin …`: people and their apps, also while the server runs."""

import getpass
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Literal, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from api.accounts import INVITATION_DAYS, random_password
from api.clients.store import Account
from api.dependencies import Records
from api.domain.names import AppRef, app_path
from api.domain.repo_layout import Block
from api.errors import InvalidRequest, NotFound
from api.intents import StoredApp
from api.opening import open_records
from api.settings import Settings
from api.terminal import Json, fail, load_settings, run, show, show_one

app = typer.Typer(help="Look after accounts and apps.", no_args_is_help=True)
_Result = TypeVar("_Result")

Username = Annotated[str, typer.Argument(help="Whose account.", show_default=False)]
Reason = Annotated[str, typer.Option(help="Why; the person reads it, and it stays in the history.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]
AppId = Annotated[str, typer.Argument(help="Which app; `admin apps` lists them.")]


class AccountRow(BaseModel):
    """An account, without its secrets."""

    username: str
    user_id: str
    email: str
    is_admin: bool
    created_at: datetime
    suspended: str | None


class AppRow(BaseModel):
    """An app, and what keeps it from running."""

    app_id: str
    user_id: str
    username: str | None
    name: str
    state: Literal["running", "hibernated", "unreadable"]
    deployed_at: datetime
    address: str


class NewPassword(BaseModel):
    """A password that was set; given only when it was made here."""

    username: str
    user_id: str
    password: str | None


class NewInvitation(BaseModel):
    """An invitation, with the code that is never shown again."""

    code: str
    expires_at: datetime


class InvitationRow(BaseModel):
    """An invitation as it is kept: its code is not."""

    created_by: str
    created_at: datetime
    expires_at: datetime
    used_by: str | None


class AppBlock(BaseModel):
    """An app that was stopped or freed, and the commit that says so."""

    user_id: str
    app_id: str
    commit: str


@app.command()
def users(*, as_json: Json = False) -> None:
    """List all accounts."""
    accounts = _with(lambda records: records.accounts.everyone())
    show([_account(account) for account in accounts], as_json=as_json, none="Nobody signed up yet.")


@app.command()
def apps(*, as_json: Json = False) -> None:
    """List all apps."""
    settings = load_settings()
    rows = _with(lambda records: _all_apps(records, settings), settings)
    show(rows, as_json=as_json, none="There are no apps yet.")


@app.command()
def create(
    username: Username,
    email: Annotated[str, typer.Argument(help="E-mail address.", show_default=False)],
    *,
    admin: Annotated[bool, typer.Option("--admin", help="Make an administrator.")] = False,
    password_stdin: FromStdin = False,
    as_json: Json = False,
) -> None:
    """Make an account, whatever SIGNUP says; prints a password unless one is given."""
    password = _read_password() if password_stdin else random_password()

    async def work(records: Records) -> Account:
        return await records.accounts.create(
            username=username, email=email, password=password, is_admin=admin
        )

    _show_password(_with(work), None if password_stdin else password, as_json=as_json)


@app.command("reset-password")
def reset_password(
    username: Username, *, password_stdin: FromStdin = False, as_json: Json = False
) -> None:
    """Set a new password and end all log-ins; prints the password unless one is given."""
    password = _read_password() if password_stdin else random_password()
    account = _with(lambda records: records.accounts.reset_password(username, password))
    _show_password(account, None if password_stdin else password, as_json=as_json)


@app.command("make-admin")
def make_admin(username: Username, *, as_json: Json = False) -> None:
    """Make somebody administrator."""
    account = _with(lambda records: records.accounts.set_admin(username, is_admin=True))
    show_one(_account(account), f"{account.username} is administrator.", as_json=as_json)


@app.command("remove-admin")
def remove_admin(username: Username, *, as_json: Json = False) -> None:
    """Make an administrator an ordinary person."""
    account = _with(lambda records: records.accounts.set_admin(username, is_admin=False))
    show_one(_account(account), f"{account.username} is no administrator.", as_json=as_json)


@app.command()
def invite(
    *,
    days: Annotated[int, typer.Option(min=1, max=365, help="How long it can be used.")] = (
        INVITATION_DAYS
    ),
    as_json: Json = False,
) -> None:
    """Make an invitation, with which one person can sign up; its code is shown only now."""
    code, invitation = _with(lambda records: records.accounts.invite(by=_operator(), days=days))
    until = f"{invitation.expires_at:%Y-%m-%d %H:%M} UTC"
    answer = NewInvitation(code=code, expires_at=invitation.expires_at)
    show_one(answer, f"{code}\nOne person can sign up with it until {until}.", as_json=as_json)


@app.command()
def invitations(*, as_json: Json = False) -> None:
    """List all invitations, newest first."""
    rows = [
        InvitationRow.model_validate(invitation, from_attributes=True)
        for invitation in _with(lambda records: records.store.invitations())
    ]
    show(rows, as_json=as_json, none="There are no invitations.")


@app.command()
def suspend(username: Username, *, reason: Reason, as_json: Json = False) -> None:
    """Refuse log-ins and tokens at once, and stop all apps of the person by a commit."""
    block = _block(reason)
    account = _with(
        lambda records: records.accounts.suspend(username, by=block.by, reason=block.reason)
    )
    text = f"{account.username} is suspended, and all their apps are."
    show_one(_account(account), text, as_json=as_json)


@app.command()
def unsuspend(username: Username, *, as_json: Json = False) -> None:
    """Let a person log in, and their apps run, again."""
    account = _with(lambda records: records.accounts.unsuspend(username, by=_operator()))
    show_one(_account(account), f"{account.username} may log in again.", as_json=as_json)


@app.command("take-down")
def take_down(app_id: AppId, *, reason: Reason, as_json: Json = False) -> None:
    """Stop one app by a commit; its owner cannot start it."""
    block = _block(reason)

    async def work(records: Records) -> AppBlock:
        ref = await _owned(records, app_id)
        commit = await records.tenants.take_down(ref, by=block.by, reason=block.reason)
        return AppBlock(user_id=ref.user_id, app_id=app_id, commit=commit)

    show_one(_with(work), f"{app_id} is taken down.", as_json=as_json)


@app.command("put-back")
def put_back(app_id: AppId, *, as_json: Json = False) -> None:
    """Let an app run that was taken down."""

    async def work(records: Records) -> AppBlock:
        ref = await _owned(records, app_id)
        commit = await records.tenants.put_back(ref, by=_operator())
        return AppBlock(user_id=ref.user_id, app_id=app_id, commit=commit)

    show_one(_with(work), f"{app_id} may run again.", as_json=as_json)


def _with(
    work: Callable[[Records], Awaitable[_Result]], settings: Settings | None = None
) -> _Result:
    settings = settings or load_settings()

    async def opened() -> _Result:
        # Only `main` is written here; a running platform sees it and publishes.
        async with open_records(settings) as records:
            return await work(records)

    return run(opened())


async def _all_apps(records: Records, settings: Settings) -> list[AppRow]:
    names = {account.user_id: account.username for account in await records.accounts.everyone()}
    return [
        _app_row(stored, names.get(user_id), settings)
        for user_id in await records.intents.tenants()
        for stored in await records.intents.apps(user_id)
    ]


async def _owned(records: Records, app_id: str) -> AppRef:
    await records.intents.indexed_tip()
    owner = await records.history.owner(app_id)
    if owner is None:
        raise NotFound(f"There is no app {app_id!r}.", hint="`admin apps` lists them.")
    return AppRef(owner, app_id)


def _app_row(stored: StoredApp, username: str | None, settings: Settings) -> AppRow:
    return AppRow(
        app_id=stored.ref.app_id,
        user_id=stored.ref.user_id,
        username=username,
        name=stored.name,
        state=stored.file.state if stored.file else "unreadable",
        deployed_at=stored.deployed_at,
        address=f"{settings.apps_origin}{app_path(stored.ref)}/",
    )


def _account(account: Account) -> AccountRow:
    return AccountRow(
        username=account.username,
        user_id=account.user_id,
        email=account.email,
        is_admin=account.is_admin,
        created_at=account.created_at,
        suspended=account.suspension.reason if account.suspension else None,
    )


def _show_password(account: Account, made: str | None, *, as_json: bool) -> None:
    text = f"The password of {account.username} is set."
    answer = NewPassword(username=account.username, user_id=account.user_id, password=made)
    show_one(answer, f"{text}\n{made}" if made else text, as_json=as_json)


def _read_password() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return "operator"


def _block(reason: str) -> Block:
    # Checked before anything changes: the repository refuses what cannot stand in its files.
    try:
        return Block(by=_operator(), reason=reason)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        fail(InvalidRequest(f"The reason {message}."))
