"""How commands speak: settings from the environment, answers as text or JSON, errors in words."""

import json
from collections.abc import Coroutine, Sequence
from typing import Annotated, Any, NoReturn, TypeVar

import typer
import uvloop
from pydantic import BaseModel, ValidationError

from api.errors import PlatformError
from api.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
_Result = TypeVar("_Result")


def load_settings() -> Settings:
    """The settings of the environment; an invalid one ends the program with status 2."""
    try:
        return Settings()
    except ValidationError as error:
        # Without the values: one of them may be a key.
        for item in error.errors(include_input=False, include_url=False):
            name = ".".join(map(str, item["loc"])).upper()
            message = item["msg"].removeprefix("Value error, ")
            typer.echo(f"Error: {name}: {message}" if name else f"Error: {message}", err=True)
        typer.echo("`python -m api settings` lists all settings.", err=True)
        raise typer.Exit(2) from None


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """The result; a PlatformError ends the program with its message, its hint and status 1."""
    try:
        return uvloop.run(work)
    except PlatformError as error:
        fail(error)


def show(rows: Sequence[BaseModel], *, as_json: bool, none: str) -> None:
    """Print rows of one kind as JSON or as a table; `none` is said instead of an empty table."""
    if as_json:
        print_json([row.model_dump(mode="json") for row in rows])
        return
    if not rows:
        typer.echo(none)
        return
    cells = [[name.replace("_", " ") for name in type(rows[0]).model_fields]]
    cells += [[_cell(value) for value in row.model_dump(mode="json").values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def show_one(answer: BaseModel, text: str, *, as_json: bool) -> None:
    """Print what was done: a sentence, or the answer as JSON."""
    typer.echo(answer.model_dump_json(indent=2) if as_json else text)


def print_json(content: Any) -> None:
    """Print as JSON, indented."""
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False))


def fail(error: PlatformError) -> NoReturn:
    """End the program with the error's message and hint on standard error, and status 1."""
    typer.echo(f"Error: {error.message}\n{error.hint}", err=True)
    raise typer.Exit(1) from error


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return plain(str(value))


def plain(text: str) -> str:
    """The text without anything that drives a terminal: names and words come from anybody."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
