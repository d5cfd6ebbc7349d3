"""The whole check of an intent: what it must pass to be published.

One check for deploys through the api, before they commit, and for what other hands put on `main`.
Results are kept by content, so that an intent is checked once.
"""

import logging
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from api.clients.kustomize import Kustomize, KustomizeRefused
from api.clients.source_checker import SourceChecker
from api.domain import intent_check, overlay_check
from api.domain.intent_check import AppFolder, problem
from api.domain.manifests import AppSource, RenderSettings, Templates, render_app
from api.domain.names import AppRef
from api.domain.publication import Checked, Entries
from api.domain.repo_layout import EMPTY_OVERLAY, AppFile, PlatformFile
from api.domain.source_check import CHECKER_VERSION, Diagnostic
from api.errors import CheckUnavailable, SourceRefused

_log = logging.getLogger(__name__)
_KEPT: Final = 10_000
_FRESH_OVERLAY: Final = {"kustomization.yaml": EMPTY_OVERLAY}
_UNFINISHED: Final = problem(
    "app.yaml", "check_unfinished", "The check could not be finished.", "It is tried again shortly."
)


@dataclass(frozen=True)
class _Key:
    ref: AppRef
    entries: Entries
    platform: PlatformFile
    checkers: tuple[int, int] = (CHECKER_VERSION, intent_check.VERSION)

    def __hash__(self) -> int:
        return hash((self.ref, self.entries))


@dataclass(frozen=True)
class Found:
    """What the check of a folder says; its app is None when app.yaml itself is refused."""

    app: AppFile | None
    folder: list[Diagnostic]  # paths are below the app's folder …
    code: list[Diagnostic]  # … but here below its `code/`, as in the editor
    overlay: list[Diagnostic]


class IntentCheck:
    """Checks app folders; results are kept in memory, for they can always be computed again."""

    def __init__(
        self,
        sources: SourceChecker,
        kustomize: Kustomize,
        templates: Templates,
        settings: RenderSettings,
    ) -> None:
        self._sources = sources
        self._kustomize = kustomize
        self._templates = templates
        self._settings = settings
        self._kept: OrderedDict[_Key, Checked] = OrderedDict()

    async def source(
        self, files: Mapping[str, bytes], entrypoint: str, additional_imports: Collection[str]
    ) -> list[Diagnostic]:
        """Only the source check, as the editor asks for it while somebody types: deploys go first.

        Raises CheckUnavailable.
        """
        return await self._sources.check(files, entrypoint, additional_imports, can_wait=True)

    async def check(
        self, ref: AppRef, folder: AppFolder, platform: PlatformFile
    ) -> tuple[AppFile | None, list[Diagnostic]]:
        """Every rule at once; raises CheckUnavailable when a helper died or ran out of time."""
        found = await self.look(ref, folder, platform)
        return found.app, [*found.folder, *found.code, *found.overlay]

    async def look(self, ref: AppRef, folder: AppFolder, platform: PlatformFile) -> Found:
        """The same, told by what it is about; raises CheckUnavailable."""
        app, found = intent_check.check_settings(ref, folder)
        found += intent_check.check_structure(folder)
        code = folder.below("code")
        entrypoint = app.entrypoint if app else AppFile.model_fields["entrypoint"].default
        source = await self._sources.check(code, entrypoint, platform.additional_imports)
        overlay: list[Diagnostic] = []
        if app and not _has_error(found + source):
            overlay = await self._overlay(app, folder, platform)
        return Found(app, found, source, overlay)

    def known(self, ref: AppRef, entries: Entries, platform: PlatformFile) -> Checked | None:
        """What an earlier check of the same content said."""
        return self._kept.get(_Key(ref, entries, platform))

    def remember(self, ref: AppRef, checked: Checked, platform: PlatformFile) -> None:
        """Keep a result under the object ids of what was checked; "unknown" is not one."""
        if checked.unknown:
            return
        self._kept[_Key(ref, checked.entries, platform)] = checked
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    async def verdict(
        self, ref: AppRef, entries: Entries, folder: AppFolder, platform: PlatformFile
    ) -> Checked:
        """The result for what stands in git; a check that could not be finished is `unknown`."""
        try:
            app, found = await self.check(ref, folder, platform)
        except CheckUnavailable as error:
            _log.warning("check of %s could not be finished: %s", ref.app_id, error.message)
            return Checked(entries, None, (_UNFINISHED,), unknown=True)
        checked = Checked(entries, app, tuple(found))
        if intent_check.OWN_FOLDER not in folder.odd:  # of which the entries' ids tell nothing
            self.remember(ref, checked, platform)
        return checked

    async def _overlay(
        self, app: AppFile, folder: AppFolder, platform: PlatformFile
    ) -> list[Diagnostic]:
        files = folder.below("overlay")
        if files == _FRESH_OVERLAY:
            return []  # as the editor writes it: almost every app's, and nothing to parse
        found = overlay_check.check_files(files)
        if _has_error(found) or overlay_check.is_empty(files):
            return found
        code = folder.below("code")
        source = AppSource(app, tuple(sorted(code)), (), "0" * 64)
        rendered = render_app(self._templates, source, self._settings, running=True, serving=None)
        plain = {
            **rendered,
            **{f"code/{path}": data for path, data in code.items()},
            "overlay/kustomization.yaml": EMPTY_OVERLAY,
        }
        try:
            without = await self._kustomize.build(plain)
            patched = await self._kustomize.build(
                plain | {f"overlay/{path}": data for path, data in files.items()}
            )
        except KustomizeRefused as error:
            hint = "Try it with `kubectl kustomize`; an overlay patches objects of this app only."
            return [problem("overlay/kustomization.yaml", "overlay", str(error), hint)]
        return overlay_check.compare(without, patched, platform.ceilings)


def _has_error(diagnostics: list[Diagnostic]) -> bool:
    return any(d.severity == "error" for d in diagnostics)


def refusal_of(found: Sequence[Diagnostic]) -> SourceRefused | None:
    """What a deploy is answered with when one of the diagnostics is an error."""
    errors = [diagnostic for diagnostic in found if diagnostic.severity == "error"]
    if not errors:
        return None
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return SourceRefused(
        f"{errors[0].path}, line {errors[0].line}: {errors[0].message}{more}",
        details={"diagnostics": [vars(diagnostic) for diagnostic in found]},
    )
