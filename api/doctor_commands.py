"""`python -m api doctor`: what is missing of an installation, why it matters, and what mends it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from api.domain.checks import CHECKS
from api.domain.diagnosis import Diagnosis, Finding, Unlooked, diagnose
from api.opening import DATABASE_FILE, REPOSITORY, cluster_rendering, credentials
from api.settings import Settings
from api.terminal import Json, plain, print_json, run

_WHY_SETTINGS = "The platform does not start with it."
_Kubeconfig = Annotated[
    str | None,
    typer.Option(
        "--kubeconfig",
        help="An operator's kubeconfig, who may read roles, policies and the Deployments of Flux "
        "and Traefik; else KUBECONFIG.",
    ),
]
_Cluster = Annotated[
    str | None,
    typer.Option("--cluster", help="Which clusters/NAME/ is this cluster's, if there are several."),
]


def doctor(
    *, kubeconfig: _Kubeconfig = None, cluster: _Cluster = None, as_json: Json = False
) -> None:
    """Look at settings, repository, cluster and database, and write nothing.

    Exit status: 0 all is well, 1 something was found, 2 nothing was found but not everything could
    be looked at; what no program can look at is named, and counts for nothing. It is an operator's
    command: the backend's own account may read a few kinds only.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        found = tuple(_refused(error))
        _tell(Diagnosis((), found, ()), as_json=as_json)
        raise typer.Exit(1) from None
    if kubeconfig and settings.mode != "cluster":
        raise typer.BadParameter(
            "with MODE=embedded there is no cluster to look at: give doctor the settings of the "
            "installation (MODE=cluster and what its pods have), as docs/DEPLOYMENT.md shows",
            param_hint="--kubeconfig",
        )
    # The client of Kubernetes costs half a second, which other commands need not pay.
    from api.doctor import Doctor  # noqa: PLC0415  (see above)

    looking = Doctor(
        settings=settings,
        credentials=credentials(settings),
        rendering=cluster_rendering(settings),
        database=settings.data_dir / DATABASE_FILE,
        repository=settings.data_dir / REPOSITORY,
        kubeconfig=kubeconfig or settings.kubeconfig,
        cluster=cluster,
    )
    diagnosis = diagnose(CHECKS, run(looking.look()))
    _tell(diagnosis, as_json=as_json)
    raise typer.Exit(diagnosis.status)


def _refused(error: ValidationError) -> Iterator[Finding]:
    """What the settings themselves refuse; without the values, one of which may be a key."""
    for item in error.errors(include_input=False, include_url=False):
        name = ".".join(map(str, item["loc"])).upper()
        message = item["msg"].removeprefix("Value error, ")
        yield Finding(
            "settings.valid",
            f"{name}: {message}" if name else message,
            _WHY_SETTINGS,
            "Correct it (python -m api settings lists them all), then run doctor again: it has "
            "looked at nothing else",
        )


def _tell(diagnosis: Diagnosis, *, as_json: bool) -> None:
    if as_json:
        print_json(_as_values(diagnosis))
        return
    for finding in diagnosis.findings:
        typer.echo(f"\u2717 {finding.check}: {plain(finding.missing)}")
        typer.echo(f"    why   {finding.why}")
        typer.echo(f"    mend  {plain(finding.mend)}")
    for reason, checks in _by_reason(diagnosis.unlooked):
        typer.echo(f"? not looked at: {', '.join(checks)}")
        typer.echo(f"    why   {plain(reason)}")
    for reason, checks in _by_reason(diagnosis.by_hand):
        typer.echo(f"! for you to look at: {', '.join(checks)}")
        typer.echo(f"    how   {plain(reason)}")
    typer.echo(
        f"{len(diagnosis.passed)} checks are well, {len(diagnosis.findings)} findings, "
        f"{len(diagnosis.unlooked)} checks could not be made, {len(diagnosis.by_hand)} are yours."
    )


def _by_reason(unlooked: Sequence[Unlooked]) -> Iterator[tuple[str, list[str]]]:
    reasons: dict[str, list[str]] = {}
    for each in unlooked:
        reasons.setdefault(each.why, []).append(each.check)
    yield from reasons.items()


def _as_values(diagnosis: Diagnosis) -> Mapping[str, Any]:
    return {
        "status": diagnosis.status,
        "findings": [vars(finding) for finding in diagnosis.findings],
        "unlooked": [vars(unlooked) for unlooked in diagnosis.unlooked],
        "by_hand": [vars(unlooked) for unlooked in diagnosis.by_hand],
        "passed": list(diagnosis.passed),
    }
