"""What a commit of `main` may touch, told from its message and the paths that it changes."""

from collections.abc import Iterable, Iterator
from typing import Final

from api.domain.commit_message import TEMPLATE_ACTION, trailers
from api.domain.names import is_id, shard_of
from api.domain.publication import NOT_APPS
from api.domain.repo_layout import SHARD_DIGITS

#: What people may write in an app's folder; secrets are the editor's.
_PEOPLES: Final = frozenset({"app.yaml", "code", "overlay"})
#: Actions of the platform on a tenant as a whole.
_WHOLE_TENANT: Final = frozenset({"delete-account"})


def beyond_trailers(message: str, paths: Iterable[str]) -> Iterator[str]:
    """The paths of a platform commit outside of the folders that its trailers name.

    Named are the apps (`App-Id`) and `tenant.yaml` and `secrets/` of the tenants (`User-Id`); an
    operator's upgrade of the repository touches no tenant's folder.
    """
    told = trailers(message)
    users, apps = set(told.get("User-Id", ())), set(told.get("App-Id", ()))
    template = TEMPLATE_ACTION in told.get("Action", ())
    whole = not _WHOLE_TENANT.isdisjoint(told.get("Action", ()))
    for path in paths:
        user, rest = _in_tenant(path)
        named = user in users and rest and (whole or rest[0] in apps | {"tenant.yaml", "secrets"})
        if not named and not (template and not path.startswith("apps/")):
            yield path


def beyond_people(paths: Iterable[str]) -> Iterator[str]:
    """The paths that only the platform or an operator may write."""
    for path in paths:
        _, rest = _in_tenant(path)
        app, *entry = rest or [""]
        if not entry or entry[0] not in _PEOPLES or not is_id(app) or app in NOT_APPS:
            yield path


def _in_tenant(path: str) -> tuple[str | None, list[str]]:
    """The tenant in whose own folder a path lies, and the rest of it."""
    apps, *parts = path.split("/")
    if apps != "apps" or len(parts) <= 2:  # noqa: PLR2004  (shard and user)
        return None, []
    shard, user, *rest = parts
    fits = is_id(user) and len(shard) in SHARD_DIGITS and shard_of(user, len(shard)) == shard
    return (user, rest) if fits else (None, [])
