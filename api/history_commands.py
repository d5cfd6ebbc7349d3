"""Commands about the past: `reindex` and `audit verify`."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import BaseModel

from api.audit import Known, Report, Rule
from api.clients import commit_signing
from api.opening import open_audit, open_records
from api.terminal import Json, load_settings, print_json, run, show, show_one

_COMMIT_DIGITS: Final = 40
_SECONDS_BETWEEN: Final = 1.0

audit = typer.Typer(help="Check the repository's history.", no_args_is_help=True)


class Rebuilt(BaseModel):
    """An index that was made anew."""

    commits: int


class FindingRow(BaseModel):
    """One thing that should not be."""

    branch: str
    commit: str
    rule: Rule
    message: str


class AuditReport(BaseModel):
    """What was looked at, and what was found."""

    commits: int
    publish_commits: int
    other_renderers: int
    unchecked: list[str]
    findings: list[FindingRow]


def _moment(text: str) -> str:
    """A commit's id or a time, as it was written: only its form is checked here."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        if len(text) != _COMMIT_DIGITS or not set(text) <= set("0123456789abcdef"):
            raise typer.BadParameter(
                "a time such as 2026-01-31T12:00, or all 40 digits of a commit of main"
            ) from None
    return text


Since = Annotated[
    str | None,
    typer.Option(
        help="Look only at what came after this time, or after this commit of main.",
        callback=lambda text: text if text is None else _moment(text),
    ),
]
Operators = Annotated[
    list[str] | None,
    typer.Option("--operator", help="E-mail address whose commits may touch anything; repeatable."),
]
Images = Annotated[
    list[str] | None,
    typer.Option(
        "--runner-image", help="Runner image that was set before RUNNER_IMAGE; repeatable."
    ),
]


Signers = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="Keys that the platform signs with, beside that of GIT_SIGNING_KEY_FILE, as git's "
        "gpg.ssh.allowedSignersFile has them. Without any key signatures are not looked at.",
    ),
]


def reindex(*, as_json: Json = False) -> None:
    """Make the index of history anew from git alone, also while the platform is served."""
    settings = load_settings()

    async def work() -> int:
        async with open_records(settings) as records:
            await records.upstream.refresh()
            return await records.history.rebuild(_Progress("main"))

    answer = Rebuilt(commits=run(work()))
    show_one(answer, f"The index was made anew from {answer.commits} commits.", as_json=as_json)


@audit.command()
def verify(
    *,
    since: Since = None,
    operator: Operators = None,
    runner_image: Images = None,
    allowed_signers: Signers = None,
    as_json: Json = False,
) -> None:
    """Look at every commit of main and of the shard branches again; status 1 on any finding.

    Reported are commits of the platform that are not signed by a known key or touch what their
    trailers do not name, commits of people that touch more than people may, and publish commits
    that are not the composition of their Source-Commit and the commit before.
    """
    settings = load_settings()
    keys = None if allowed_signers is None else _keys(allowed_signers)
    known = Known(
        keys=keys,
        operators=operator or (),
        runner_images=[*(runner_image or ()), settings.runner_image],
    )

    async def work() -> Report:
        async with open_audit(settings, known) as opened:
            progress = _Progress()
            return await opened.verify(_since(since), progress.of_branch)

    report = run(work())
    _show(report, as_json=as_json)
    if report.findings:
        raise typer.Exit(1)


def _keys(path: Path) -> frozenset[bytes]:
    keys = commit_signing.allowed_signers(path.read_text(encoding="utf-8", errors="replace"))
    if not keys:
        raise typer.BadParameter(f"{path} holds no Ed25519 key")
    return keys


def _since(text: str | None) -> str | datetime | None:
    if text is None or len(text) == _COMMIT_DIGITS:
        return text
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _show(report: Report, *, as_json: bool) -> None:
    rows = [FindingRow(**vars(finding)) for finding in report.findings]
    answer = AuditReport(
        commits=report.commits,
        publish_commits=report.publish_commits,
        other_renderers=report.other_renderers,
        unchecked=[ref.app_id for ref in report.unchecked],
        findings=rows,
    )
    if as_json:
        print_json(answer.model_dump(mode="json"))
        return
    looked = f"{answer.commits} commits of main and {answer.publish_commits} of shard branches"
    show(rows, as_json=False, none=f"Nothing to report about {looked}.")
    if rows:
        typer.echo(f"{len(rows)} findings in {looked}.")
    if answer.other_renderers:
        typer.echo(
            f"{answer.other_renderers} publish commits are of other renderers or settings: their"
            " entries were compared, their manifests were not."
        )
    if answer.unchecked:
        typer.echo(f"The check could not be finished of: {', '.join(answer.unchecked)}.")


class _Progress:
    """A line on standard error now and then: what is printed there is for people only."""

    def __init__(self, branch: str = "") -> None:
        self._branch = branch
        self._told_at = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        self.of_branch(self._branch, done, total)

    def of_branch(self, branch: str, done: int, total: int) -> None:
        """Tell how far a branch is."""
        now = time.monotonic()
        if now - self._told_at >= _SECONDS_BETWEEN or (branch == "main" and done == total):
            self._told_at = now
            typer.echo(f"{branch}: {done} of {total} commits", err=True)
