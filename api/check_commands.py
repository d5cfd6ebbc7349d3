"""`python -m api check`: what guards `main`, for people, for programs and for code hosts."""

import time
from pathlib import Path
from typing import Annotated, Final

import typer
import uvloop

from api import __version__
from api.branch_check import Report, open_branch_check
from api.domain.findings import line_of, sarif
from api.errors import InvalidRequest, PlatformError
from api.terminal import Json, fail, plain, print_json

_SECONDS_BETWEEN: Final = 1.0

Revision = Annotated[str, typer.Argument(help="What is checked: a branch, a tag or a commit.")]
Base = Annotated[
    str | None,
    typer.Option(
        metavar="REV", help="Check only what REVISION changes since it left this: origin/main."
    ),
]
Author = Annotated[
    str | None,
    typer.Option(
        metavar="LOGIN",
        help="Whose change it is, at the forge: the folders of others are not theirs to change "
        "(people.yaml at --base).",
    ),
]
Repository = Annotated[
    Path, typer.Option(help="The clone, bare or not; its work tree is not looked at.")
]
Sarif = Annotated[bool, typer.Option("--sarif", help="Print SARIF 2.1.0, for code hosts.")]


def check(  # noqa: PLR0913  (the options of a command)
    revision: Revision = "HEAD",
    *,
    base: Base = None,
    author: Author = None,
    repository: Repository = Path(),
    as_json: Json = False,
    as_sarif: Sarif = False,
) -> None:
    """Say what the platform would refuse of the apps' repository; status 1 if anything.

    Checked are the layout, app.yaml, the code, overlays, secrets, sizes and whose an app's id is,
    with the very code that guards publishing. It needs a whole clone, and no key and no cluster.
    """
    if author is not None and base is None:
        raise typer.BadParameter("--author is about a change: give --base as well")
    if as_json and as_sarif:
        raise typer.BadParameter("--json and --sarif are two forms: choose one")

    async def work() -> Report:
        async with open_branch_check(repository) as opened:
            return await opened.run(revision, base, author, _Progress())

    try:
        report = uvloop.run(work())
    except InvalidRequest as error:  # revisions and clones are what was asked for
        typer.echo(f"Error: {error.message}\n{error.hint}", err=True)
        raise typer.Exit(2) from error
    except PlatformError as error:
        fail(error)
    _show(report, as_json=as_json, as_sarif=as_sarif)
    if not report.passed:
        raise typer.Exit(1)


def _show(report: Report, *, as_json: bool, as_sarif: bool) -> None:
    if as_sarif:
        print_json(sarif(report.findings, __version__))
    elif as_json:
        print_json(
            {
                "passed": report.passed,
                "revision": report.revisions.head,
                "base": report.revisions.base,
                "apps": report.apps,
                "not_judged": list(report.not_judged),
                "findings": [vars(found) for found in report.findings],
            }
        )
    else:
        for found in report.findings:
            typer.echo(plain(line_of(found)))
        errors = sum(found.severity == "error" for found in report.findings)
        verdict = "Nothing stands in the way." if report.passed else f"{errors} to correct."
        typer.echo(f"{report.apps} apps checked at {report.revisions.head[:12]}. {verdict}")
        for rule in report.not_judged:
            typer.echo(f"Not judged: {rule}.")


class _Progress:
    """A line on standard error now and then."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - self._told_at >= _SECONDS_BETWEEN:
            self._told_at = now
            typer.echo(f"{what}: {done} of {total}", err=True)
