"""`python -m api settings`: every setting, as a page for people or as a file to begin with."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final

import typer
from pydantic import BaseModel, SecretStr

from api.settings import Settings
from api.terminal import Json, load_settings, print_json

#: Where the platform's pods have the files of the Secret `backend-files`: deploy/base/backend.yaml.
FILES: Final = "/etc/fastapi-platform"

_MARKDOWN: Final = """\
# Settings

Environment variables of the platform, all optional on one's own machine. This page is printed by
`python -m api settings`.

| Variable | Default | Meaning |
| --- | --- | --- |"""
_ENV: Final = """\
# Settings of the platform in a cluster that are no secret; those stand in secrets.env. Printed by
# `python -m api settings --form env`. What is commented out has its default, MODE and DATA_DIR the
# image's; a path below /etc/fastapi-platform is a key of the Secret backend-files."""
_SECRETS: Final = """\
# Settings of the platform in a cluster that are secret: the keys of the Secret backend. Printed by
# `python -m api settings --form secrets`. Keep a filled one out of every repository."""
_HOSTS: Final = """\
# The platform's host, and beside it, below the same zone, those of the apps and of the database
# viewer: nothing else names a host. Printed by `python -m api settings --form hosts`."""


class Form(StrEnum):
    """How the settings are printed."""

    MARKDOWN = "markdown"
    ENV = "env"
    SECRETS = "secrets"
    HOSTS = "hosts"


class Setting(BaseModel):
    """One setting; `secret` when its value itself may not be seen."""

    name: str
    default: str
    description: str
    secret: bool = False


_Form = Annotated[
    Form,
    typer.Option(
        "--form",
        help="A page; or for a cluster a file of what is no secret, of what is, of the hosts.",
    ),
]


def print_settings(*, form: _Form = Form.MARKDOWN, as_json: Json = False) -> None:
    """Print the table of settings in Markdown; each is an environment variable."""
    if form is Form.HOSTS:
        _print_hosts(as_json=as_json)
        return
    rows = [_setting(name) for name in Settings.model_fields]
    if as_json:
        print_json([row.model_dump() for row in rows])
    elif form is Form.MARKDOWN:
        typer.echo(_MARKDOWN)
        for row in rows:
            typer.echo(f"| `{row.name}` | {_code(row.default)} | {row.description} |")
    else:
        typer.echo("\n".join(_env_file(rows, secret=form is Form.SECRETS)))


def _print_hosts(*, as_json: bool) -> None:
    settings = load_settings()
    if not settings.base_domain:
        raise typer.BadParameter("--form hosts needs BASE_DOMAIN, the host of the platform")
    hosts = {
        "BASE_DOMAIN": settings.base_domain,
        "APPS_HOST": settings.host_beside("apps"),
        "MONGO_HOST": settings.host_beside("mongo"),
    }
    if as_json:
        print_json(hosts)
    else:
        typer.echo("\n".join([_HOSTS, *(f"{name}={host}" for name, host in hosts.items())]))


def _env_file(rows: Iterable[Setting], *, secret: bool) -> list[str]:
    lines = [_SECRETS if secret else _ENV]
    for row in rows:
        # What is said to be of the embedded way has no meaning in a cluster.
        if row.secret is secret and not row.description.endswith("(embedded)."):
            lines += ["", f"# {row.description}", f"#{row.name}={_example(row)}"]
    return lines


def _example(row: Setting) -> str:
    name = row.name.removesuffix("_FILE")
    return row.default if name == row.name else f"{FILES}/{name.lower().replace('_', '-')}"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _setting(name: str) -> Setting:
    field = Settings.model_fields[name]
    default = "" if field.default is None else str(field.default)
    secret = SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ()))
    description = field.description or ""
    return Setting(name=name.upper(), default=default, description=description, secret=secret)
