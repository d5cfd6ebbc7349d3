"""Nobody overwrites what somebody else saved: an update names the commit it is based on."""

from collections.abc import Mapping

from api.clients.gitops_repo import GitopsRepo
from api.domain.drafts import AppDraft, changed_files
from api.domain.repo_layout import AppFile, app_folder
from api.errors import InvalidRequest, StaleBase
from api.intents import Intents, StoredApp


class UnknownBase(InvalidRequest):
    """An update names a commit that is not here."""


async def require_base(
    repo: GitopsRepo, intents: Intents, stored: StoredApp, base: str, draft: AppDraft
) -> None:
    """Raise StaleBase, with both versions, unless the app is as it was at the commit `base`.

    A later commit counts as long as nothing changed that an update writes: not the app's sleep, its
    pin or its overlay. UnknownBase for none of ours.
    """
    platform = await intents.platform(await intents.tip())
    path = app_folder(stored.ref, platform.shard_digits)
    if await repo.info(base) is None:
        raise UnknownBase(
            f"base_commit {base[:40]!r} is not a commit of this platform.",
            hint="Send the `commit` that the app had when it was read.",
        )
    entry = await repo.entry(base, path)
    if entry is not None and entry.id == stored.tree:
        return
    then = await intents.entries(base, platform, stored.ref)
    now = await intents.entries(stored.read_at, platform, stored.ref)
    before = await intents.file(then)
    if then.code == now.code and before and stored.file and _same(before, stored.file):
        return
    files = changed_files(stored.files, stored.entrypoint, draft)
    raise StaleBase(
        "The app was changed by somebody else since you opened it.",
        details={
            "current": _version(stored, stored.commit, stored.texts()),
            "yours": _version(stored, base, {p: d.decode() for p, d in files.items()})
            | {k: v for k, v in (("name", draft.name), ("entrypoint", draft.entrypoint)) if v}
            | ({"env": dict(draft.env)} if draft.env is not None else {}),
        },
    )


def _same(one: AppFile, other: AppFile) -> bool:
    return (one.name, one.entrypoint, one.env) == (other.name, other.entrypoint, other.env)


def _version(app: StoredApp, commit: str, files: Mapping[str, str]) -> dict[str, object]:
    return {
        "commit": commit,
        "name": app.name,
        "entrypoint": app.entrypoint,
        "env": dict(app.env),
        "files": dict(files),
    }
