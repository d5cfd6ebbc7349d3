"""A publish commit, composed again: what its parent and its `Source-Commit` give today.

The composition is the publisher's own. What only the moment knew, which version had been seen
serving and which removals were held back, is taken from the commit; it decides nothing but which
old objects stay.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import yaml

from api.checking import IntentCheck
from api.clients import git_inspection, git_trees
from api.clients.git_inspection import Inspected
from api.clients.git_trees import Edit, Entry
from api.clients.gitops_repo import GitopsRepo
from api.composition import Composer
from api.domain.commit_message import RERENDER, trailers
from api.domain.made_with import MadeWith, made_with, today
from api.domain.manifests import RenderSettings, Templates, intent_digest
from api.domain.names import AppRef
from api.domain.publication import entries_of
from api.domain.quarantine import (
    QUARANTINE_FILE,
    Quarantine,
    Record,
    newly_refused,
    read_quarantine,
)
from api.domain.repo_layout import ENTRIES
from api.domain.rollout import LiveVersion
from api.history import History
from api.intents import Intents
from api.rendering import FolderRenderer, Tips
from api.verdicts import Outcome, quarantine_edits


@dataclass(frozen=True)
class Publish:
    """A publish commit, and what it was made from."""

    shard: str
    commit: Inspected
    source: str
    last: str | None  # the source of the commit before

    @property
    def parent(self) -> str:
        """The commit before it on its branch."""
        return self.commit.parents[0]


@dataclass(frozen=True)
class Recomposed:
    """How a publish commit compares with its composition."""

    differing: Sequence[str]  # paths that it has otherwise
    runner_image: str | None  # that its manifests name
    other_renderer: bool  # or other settings: the entries were compared, not the manifests
    unchecked: Sequence[AppRef]  # whose check could not be finished: not compared


class Recomposition:
    """Composes publish commits again; what it writes is there already, unless something differs."""

    def __init__(  # noqa: PLR0913, PLR0917  (what composing takes)
        self,
        repo: GitopsRepo,
        intents: Intents,
        history: History,
        check: IntentCheck,
        templates: Templates,
        rendering: RenderSettings,
    ) -> None:
        self._repo = repo
        self._intents = intents
        self._history = history
        self._check = check
        self._templates = templates
        self._rendering = rendering

    async def compare(self, publish: Publish) -> Recomposed:
        """Compose the commit again, and compare every path of its branch."""
        platform = await self._intents.platform(publish.source)
        kept = read_quarantine(await self._repo.read(publish.parent, QUARANTINE_FILE))
        quarantine = await self._quarantine(publish, kept)
        tips = Tips(
            publish.shard, publish.source, publish.parent, publish.last, platform, quarantine
        )
        made = await self._made_with(publish)
        image = made.runner_image if made else None
        rendering = replace(self._rendering, runner_image=image or self._rendering.runner_image)
        renderer = FolderRenderer(
            self._repo,
            self._intents,
            _SeenLive(self._repo, self._intents, publish).version,
            self._templates,
            rendering,
        )
        history = self._history.as_of(publish.source)
        composer = Composer(self._repo, self._intents, history, self._check, renderer)
        told = trailers(publish.commit.message)
        outcomes = await composer.look(tips, anew=RERENDER in told.get("Action", ()))
        edits = {**quarantine_edits(kept, outcomes), **await self._edits(publish, outcomes)}
        tree = await self._repo.reading(git_trees.store, edits, publish.parent)
        paths = await self._repo.reading(git_inspection.differences, tree, publish.commit.id)
        unchecked = [o.ref for o in outcomes if o.hold and o.hold.unknown]
        folders = tuple(f"{_folder(ref)}/" for ref in unchecked)
        ours = today(replace(rendering, ceilings=platform.ceilings))
        renderers = told.get("Renderer-Version")
        other = renderers != [str(ours.renderer)] or (made is not None and made != ours)
        differing = [
            path
            for path in paths
            if not path.startswith(folders) and (_is_taken_over(path) or not other)
        ]
        return Recomposed(differing, image, other, unchecked)

    async def _quarantine(self, publish: Publish, kept: Mapping[AppRef, Record]) -> Quarantine:
        """What the cluster had refused, as the commit says, as far as git can bear it out.

        What is refused is what stood there, and what was applied is a commit before. An app that
        left the quarantine changed, or an operator had it tried again.
        """
        told = read_quarantine(await self._repo.read(publish.commit.id, QUARANTINE_FILE))
        records = {ref: record for ref, record in kept.items() if ref in told}
        for ref in newly_refused(kept, told):
            record = told[ref]
            names = await self._repo.children(publish.parent, _folder(ref))
            stood = entries_of({name: entry.id for name, entry in names.items()})
            before = record.applied
            known = before is None or await self._repo.is_ancestor(before, publish.parent)
            if known and record.intent == stood:
                records[ref] = record
        return Quarantine(records, news=True)

    async def _edits(self, publish: Publish, outcomes: Sequence[Outcome]) -> Mapping[str, Edit]:
        """What the look writes, without removals that the commit lacks: a brake held them."""
        edits: dict[str, Edit] = {}
        for outcome in outcomes:
            path = _folder(outcome.ref)
            if outcome.removes:
                before = await self._repo.entry(publish.parent, path)
                if before == await self._repo.entry(publish.commit.id, path):
                    continue
            edits |= outcome.edits or {}
        return edits

    async def _made_with(self, publish: Publish) -> MadeWith | None:
        """What the manifests of the commit say that they were made with."""
        for path in publish.commit.paths:
            if path.count("/") == 2 and path.endswith("/kustomization.yaml"):  # noqa: PLR2004
                text = await self._repo.read(publish.commit.id, path)
                if made := made_with(text or b""):
                    return made
        return None


class _SeenLive:
    """What had been seen serving when a publish commit was made, as far as the commit tells."""

    def __init__(self, repo: GitopsRepo, intents: Intents, publish: Publish) -> None:
        self._repo = repo
        self._intents = intents
        self._publish = publish

    async def version(self, ref: AppRef) -> LiveVersion | None:
        """The version before, when the commit keeps its code or drops what was kept so far."""
        path = _folder(ref)
        before = await self._repo.children(self._publish.parent, path)
        after = await self._repo.children(self._publish.commit.id, path)
        kept = after.get("serving")
        keeps_code = kept is not None and kept.id == _id(before.get("code"))
        if not keeps_code and not ("serving" in before and kept is None):
            return None
        entries = entries_of({name: entry.id for name, entry in before.items()})
        app = await self._intents.file(entries)
        if app is None:
            return None
        digest = intent_digest(app, entries.code, entries.overlay, entries.secrets)
        text = await self._repo.read(self._publish.commit.id, f"{path}/kustomization.yaml")
        return LiveVersion(digest, _kept_config_map(text or b""))


def _folder(ref: AppRef) -> str:
    return f"{ref.user_id}/{ref.app_id}"


def _id(entry: Entry | None) -> str | None:
    return entry.id if entry else None


def _kept_config_map(text: bytes) -> str:
    """The name under which old code is kept; "" when the file does not say it."""
    try:
        return str(yaml.safe_load(text)["configMapGenerator"][1]["name"])
    except (yaml.YAMLError, LookupError, TypeError):
        return ""


def _is_taken_over(path: str) -> bool:
    """Whether a path belongs to the entries of an app, which come from main as they are."""
    _, _, rest = path.partition("/")
    _, _, entry = rest.partition("/")
    return entry.partition("/")[0] in ENTRIES
