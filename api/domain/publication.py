"""What to publish of an app: the decision, from values alone.

`published(app) = render(check(intent on main))`, with three verdicts: publish, hold, withdraw.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from api.domain.repo_layout import AppFile, TenantFile
from api.domain.source_check import Diagnostic

#: Folders of a tenant that are not apps.
NOT_APPS: Final = frozenset({"secrets", "viewer"})
_MANY: Final = 5


@dataclass(frozen=True)
class Entries:
    """The object ids of an app's entries; None where there is none."""

    app: str | None = None
    code: str | None = None
    overlay: str | None = None
    secrets: str | None = None

    def __bool__(self) -> bool:
        return any((self.app, self.code, self.overlay, self.secrets))


def entries_of(ids: Mapping[str, str]) -> Entries:
    """The entries among the names (and object ids) of an app's folder."""
    return Entries(ids.get("app.yaml"), ids.get("code"), ids.get("overlay"), ids.get("secrets"))


@dataclass(frozen=True)
class Accepted:
    """What stands on the shard branch: what was last accepted, and whether it has a route."""

    entries: Entries
    running: bool


@dataclass(frozen=True)
class Hold:
    """Why the newest intent of an app is not published."""

    diagnostics: tuple[Diagnostic, ...]
    unknown: bool = False  # the check could not be finished: it is tried again
    entries: Entries | None = None  # of the intent it is about; None: of whatever stands there

    @property
    def first(self) -> Diagnostic:
        """The diagnostic that people are shown."""
        return self.diagnostics[0]


@dataclass(frozen=True)
class Target:
    """How the app shall stand on the shard branch."""

    entries: Entries
    app: AppFile  # as it shall be published: of the accepted version, with the newest state
    patched: bool  # `app` differs from the blob `entries.app`: it is written anew
    running: bool


@dataclass(frozen=True)
class Checked:
    """An intent that was checked."""

    entries: Entries
    app: AppFile | None  # None when app.yaml itself is refused
    diagnostics: tuple[Diagnostic, ...]
    unknown: bool = False

    @property
    def passed(self) -> bool:
        """Whether it may be published."""
        return not self.unknown and not any(d.severity == "error" for d in self.diagnostics)


def is_up_to_date(intent: Entries, app: AppFile, tenant: TenantFile, accepted: Accepted) -> bool:
    """Whether the shard branch already says what `main` says."""
    return accepted.entries == intent and accepted.running == shall_run(app, tenant)


def shall_run(app: AppFile, tenant: TenantFile) -> bool:
    """Whether the app has pods and a route: its own state, unless something stops it."""
    return app.state == "running" and tenant.stops(app.id) is None


def decide(
    newest: Checked, older: Sequence[Checked], last: Checked | None, tenant: TenantFile
) -> tuple[Target | None, Hold | None]:
    """Publish the newest intent, or hold it: the target (None: leave as it is) and the reason.

    `older`: intents since the last accepted one, newest first, needed only when the newest is
    refused; `last`: the accepted one as it stands on the shard branch. State and restarts of a
    valid `app.yaml` are honoured on whichever version runs instead.
    """
    if newest.passed and newest.app is not None:
        running = shall_run(newest.app, tenant)
        return Target(newest.entries, newest.app, patched=False, running=running), None
    errors = tuple(d for d in newest.diagnostics if d.severity == "error")
    hold = Hold(errors, newest.unknown)
    base = next((c for c in older if c.passed), last)
    if base is None or base.app is None:
        return None, hold
    app = base.app
    if newest.app is not None:
        app = app.model_copy(
            update={"state": newest.app.state, "restarted_at": newest.app.restarted_at}
        )
    running = shall_run(app, tenant)
    return Target(base.entries, app, patched=app != base.app, running=running), hold


def too_many_removals(removed: int, standing: int) -> bool:
    """Whether removals that nobody announced look like an accident rather than like a wish.

    All of a shard's apps (if there is more than one), or more than 20 % of them and more than 5.
    """
    return (removed == standing > 1) or (removed > _MANY and removed * 5 > standing)
