"""Which apps are idle: what becomes of each, and why; from values alone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from api.domain.activity import Hole
from api.domain.names import AppRef
from api.domain.repo_layout import AppFile, TenantFile

Fate = Literal["keep", "hibernate", "remove"]


@dataclass(frozen=True)
class Limits:
    """How long an app may be without use before it sleeps (None: it does not), and is removed."""

    idle: timedelta
    hibernate: timedelta | None = None

    @property
    def first(self) -> timedelta:
        """After which time anything may happen at all."""
        return min(self.idle, self.hibernate or self.idle)


@dataclass(frozen=True)
class Verdict:
    """What becomes of an app, and why."""

    ref: AppRef
    fate: Fate
    why: str
    used_at: datetime | None = None


def verdict(  # noqa: PLR0911, PLR0913, PLR0917  (each answer has its reason; facts, limits, time)
    ref: AppRef,
    app: AppFile | None,
    tenant: TenantFile | None,
    used_at: datetime | None,
    blind: Hole | None,
    limits: Limits,
    now: datetime,
) -> Verdict:
    """Keep, hibernate or remove an app that was last used at `used_at` (None: not known).

    `app` and `tenant` are its files on `main`, None where they cannot be read. In the hole `blind`
    it may have been used as well.
    """
    if used_at is None:
        return Verdict(ref, "keep", "when it was last used is not known yet")
    idle = now - used_at
    if idle < limits.first:
        return Verdict(ref, "keep", f"used {_ago(idle)} ago", used_at)
    if blind and now - blind.until < limits.first:
        why = f"may have been used until {blind.until:%Y-%m-%d %H:%M} UTC: {blind.why}"
        return Verdict(ref, "keep", why, used_at)
    if app is None or tenant is None:
        return Verdict(ref, "keep", "its app.yaml or tenant.yaml cannot be read", used_at)
    if app.pinned:
        return Verdict(ref, "keep", "pinned", used_at)
    if block := tenant.stops(ref.app_id):
        return Verdict(ref, "keep", f"stopped by {block.by}", used_at)
    unused = f"not used for {_ago(idle)}"
    certainly_idle = min(idle, now - blind.until) if blind else idle
    if certainly_idle >= limits.idle:
        return Verdict(ref, "remove", unused, used_at)
    if app.state == "hibernated":
        return Verdict(ref, "keep", f"sleeps; {unused}", used_at)
    return Verdict(ref, "hibernate", unused, used_at)


def deadlines(
    app: AppFile | None, used_at: datetime, limits: Limits | None
) -> tuple[datetime | None, datetime | None]:
    """When the app may be put to sleep and removed if nobody uses it; None where it is not."""
    if app is None or app.pinned or limits is None:
        return None, None
    sleeps = limits.hibernate is not None and app.state == "running"
    return (used_at + limits.first if sleeps else None), used_at + limits.idle


def _ago(time: timedelta) -> str:
    minutes = int(time.total_seconds() // 60)
    hours, days = minutes // 60, minutes // (24 * 60)
    if days >= 2:  # noqa: PLR2004  (a day and some hours are told in hours)
        return f"{days} days"
    return f"{hours} h" if hours else f"{minutes} min"
