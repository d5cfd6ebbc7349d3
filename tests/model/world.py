"""Watches git beside the machine: every new commit must be what the model says it is."""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass

from api.domain.names import AppRef, shard_of
from tests.history.people import Repository
from tests.model import reading
from tests.model.model import App, Main, Stands, Verdict, looks_like_an_accident, verdict

#: What a change makes of `main`, given the commit that it landed on.
Effect = Callable[[Main, str], Main]


@dataclass(frozen=True)
class Published:
    """A commit of a shard branch."""

    commit: str
    apps: Mapping[AppRef, Stands]
    source: str | None
    renderer: int


class World:
    """All that was ever on `main`, and what every shard branch held."""

    def __init__(self, repository: Repository, shards: Collection[str]) -> None:
        self.repository = repository
        self.head = repository.head()
        self.mains = {self.head: Main()}
        self.parents: dict[str, str | None] = {self.head: None}
        self.requests: dict[str, str] = {}  # the request that a commit says it answers
        self.effects: dict[str, Effect] = {}
        self.shards = {s: Published(repository.head(f"flux/{s}"), {}, None, 0) for s in shards}
        self.accepted: set[str] = set()
        self._composed: dict[Hashable, tuple[int, str]] = {}
        self.seen: Counter[str] = Counter()

    # What happened --------------------------------------------------------------------------

    def push(self, edits: Mapping[str, object], effect: Effect) -> None:
        """A commit by a person on the tip of `main`."""
        commit = self.repository.push(edits)
        self.effects[commit] = effect
        self.see()

    def force(self, commit: str) -> None:
        """Somebody forces `main`."""
        self.head = self.repository.move(commit)
        self.see()

    def composed(self, by: int, made_from: Hashable, message: str, commit: str) -> None:
        """A replica made a publish commit, which no branch names yet."""
        told = reading.message_trailers(message)
        if "Accepted-Rewind" in told:
            (tip, *_), main = made_from, self.repository.head()
            self._see_main()
            assert not self._known(self._source(tip), main), "a late attempt is no rewind"
        first, other = self._composed.setdefault((made_from, message), (by, commit))
        assert other == commit, f"equal inputs gave {other} and {commit}"
        self.seen["composed twice"] += first != by

    def see(self) -> None:
        """Read what is new on every branch, and hold it against the model."""
        for shard, before in self.shards.items():
            tip = self.repository.head(f"flux/{shard}")
            if tip != before.commit:
                self._see_main()
                for commit in self._new(before.commit, tip):
                    self.shards[shard] = self._see_publish(shard, self.shards[shard], commit)
        self._see_main()

    def _new(self, before: str, tip: str) -> list[str]:
        found = self.repository.git("rev-list", "--reverse", tip, f"^{before}")
        line = self.repository.git("rev-list", "--first-parent", tip)
        assert before in line, f"{before} was taken from a branch that is never forced"
        return found

    def _see_main(self) -> None:
        tip = self.repository.head()
        if tip == self.head:
            return
        for commit in self._new(self.head, tip):
            if commit in self.mains:
                continue
            (parent,) = self.repository.git2[commit].parent_ids
            told = reading.trailers(self.repository.git2, commit)
            key = told.get("Request-Id", commit)
            self.parents[commit] = str(parent)
            found = reading.main_at(self.repository.git2, commit)
            assert found == self.effects[key](self.mains[str(parent)], str(parent)), key
            self.mains[commit] = found
            if key != commit:
                assert key not in {self.requests.get(c) for c in self.line(str(parent))}
                self.requests[commit] = key
        self.head = tip

    # What must hold of a publish commit -----------------------------------------------------

    def _see_publish(self, shard: str, before: Published, commit: str) -> Published:
        git2 = self.repository.git2
        assert [str(parent) for parent in git2[commit].parent_ids] == [before.commit]
        told = reading.trailers(git2, commit)
        source, renderer = told["Source-Commit"], int(told["Renderer-Version"])
        assert source in self.mains, "the source never stood on main"
        assert renderer >= before.renderer, "an older renderer published"
        if not self._known(before.source, source):
            assert told.get("Accepted-Rewind") in self.accepted, "published over a newer intent"
            assert self._known(told["Accepted-Rewind"], source)
            self.seen["rewinds published"] += 1
        else:
            assert "Accepted-Rewind" not in told
        after = Published(commit, reading.shard_at(git2, commit), source, renderer)
        self._require(shard, before, after)
        self.seen["publish commits"] += 1
        return after

    def _require(self, shard: str, before: Published, after: Published) -> None:
        assert after.source
        git2 = self.repository.git2
        release = f"{after.renderer}registry.example.org/runner:{after.renderer}"
        for ref, want in self.verdicts(shard, before, after.source).items():
            old, new = before.apps.get(ref), after.apps.get(ref)
            if want.stands is None and new is not None:
                continue  # braked, see below
            assert new == want.stands, f"{ref} is not as its newest good intent says"
            assert new is None or self._same_objects(new, want), f"{ref}: not the very objects"
            assert new is None or new.folder == (old and old.folder) or new.made_by == release
            self.seen["older intents published"] += want.held and new != old
            if new and old and new == old and new.app.entries == old.app.entries:
                settled = old.serving and not new.serving
                assert new.folder == old.folder or settled, f"{ref} changed without a reason"
                self.seen["settled"] += settled and new.folder != old.folder
        self._require_brake(shard, before, after)
        then, now = (reading.tenant_objects(git2, c) for c in (before.commit, after.commit))
        for user in then.keys() | now.keys():
            touched = any(
                before.apps.get(ref) != found or before.apps[ref].folder != found.folder
                for ref, found in after.apps.items()
                if ref.user_id == user
            )
            assert touched or then.get(user) == now.get(user), f"objects of {user} changed"

    @staticmethod
    def _same_objects(found: Stands, want: Verdict) -> bool:
        """Whether the entries are those of `main`; held settings may be written anew."""
        assert want.stands
        first = 1 if want.held else 0
        return found.app.entries[first:] == want.stands.app.entries[first:]

    def up_to_date(self, shard: str, *, all_of_it: bool) -> bool:
        """Whether a look of an idle platform has nothing to write, or holds removals back."""
        before = self.shards[shard]
        wanted = self.verdicts(shard, before, self.head)
        stays = {r: w for r, w in wanted.items() if w.stands is not None or r not in before.apps}
        removals = self.removals(shard, before, self.head)
        return (not any(removals) if all_of_it else set() in removals) and all(
            before.apps.get(ref) == want.stands
            and (want.stands is None or self._same_objects(before.apps[ref], want))
            for ref, want in stays.items()
        )

    def rewound(self, shard: str) -> bool:
        """Whether main lacks what the shard was published from."""
        return not self._known(self.shards[shard].source, self.head)

    def nothing_differs(self, shard: str) -> bool:
        """Whether main says of a shard what it said when it was published."""
        folders = [f"{at}:apps/{shard}" for at in (self.shards[shard].source, self.head)]
        then, now = self.repository.git("rev-parse", *folders)
        return then == now

    def _require_brake(self, shard: str, before: Published, after: Published) -> None:
        assert after.source
        gone = {ref for ref in before.apps if ref not in after.apps}
        options = self.removals(shard, before, after.source)
        assert gone in options, f"{gone} vanished, expected one of {options}"
        self.seen["removals"] += bool(gone)

    def removals(self, shard: str, before: Published, source: str) -> list[set[AppRef]]:
        """What may go, by whether and at what commit an operator had looked."""
        wanted = {
            ref
            for ref, want in self.verdicts(shard, before, source).items()
            if want.stands is None and ref in before.apps
        }
        standing = len(before.apps)
        if not looks_like_an_accident(len(wanted), standing):
            return [wanted]
        announced = set()
        if self._known(before.source, source):
            for commit in self.line(source, before.source):
                told = reading.trailers(self.repository.git2, commit)
                if told.get("Action") == "delete":
                    announced.add(told["App-Id"])
        silent = {ref for ref in wanted if ref.app_id not in announced}
        found = []
        for looked in (None, *self.accepted):
            left = {r for r in silent if looked is None or r in self.mains[looked].apps}
            self.seen["brakes"] += looks_like_an_accident(len(left), standing)
            found.append(wanted - left if looks_like_an_accident(len(left), standing) else wanted)
        return found

    def verdicts(self, shard: str, before: Published, source: str) -> Mapping[AppRef, Verdict]:
        """How every app of a shard shall stand after a look from a source."""
        main = self.mains[source]
        mine = {ref for ref in main.apps if shard_of(ref.user_id, 2) == shard}
        return {
            ref: verdict(
                ref,
                main,
                before.apps.get(ref),
                self.owner(ref.app_id, source),
                self._intents(ref, source, before.source),
            )
            for ref in mine | before.apps.keys()
        }

    # `main` as a line -----------------------------------------------------------------------

    def line(self, tip: str, until: str | None = None) -> Iterator[str]:
        """Commits of `main`, newest first, down to what `until` contains."""
        at: str | None = tip
        while at is not None and not (until and self._known(at, until)):
            yield at
            at = self.parents[at]

    def _known(self, older: str | None, newer: str) -> bool:
        """Whether one commit is contained in another; nothing is contained in everything."""
        at: str | None = newer
        while older is not None and at is not None and at != older:
            at = self.parents[at]
        return older is None or at is not None

    def _source(self, tip: str) -> str | None:
        return reading.trailers(self.repository.git2, tip).get("Source-Commit")

    def owner(self, app_id: str, at: str) -> str | None:
        owner = None
        for commit in self.line(at):
            found = {r.user_id for r in self.mains[commit].apps if r.app_id == app_id}
            owner = found.pop() if len(found) == 1 else owner
        return owner

    def _intents(self, ref: AppRef, source: str, until: str | None) -> Iterator[App]:
        """The app's intents after those that a publish knew, newest first, each where it came."""
        for commit in self.line(source, until):
            app, parent = self.mains[commit].apps.get(ref), self.parents[commit]
            before = self.mains[parent].apps.get(ref) if parent else None
            if app and (before is None or before.entries != app.entries):
                yield app

    def touching(self, ref: AppRef) -> Iterator[str]:
        """Commits that leave the app otherwise than it was, newest first."""
        for commit in self.line(self.head):
            parent = self.parents[commit]
            before = self.mains[parent].apps.get(ref) if parent else None
            if before != self.mains[commit].apps.get(ref):
                yield commit

    def last_version(self, ref: AppRef, at: str) -> App | None:
        return next(self._intents(ref, at, None), None)
