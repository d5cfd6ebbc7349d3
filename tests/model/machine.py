"""People, replicas, accidents and crashes, in any order: a state machine for hypothesis."""

from unittest.mock import ANY

import yaml
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from api.domain.drafts import AppDraft
from api.domain.names import AppRef
from api.domain.rollout import LiveVersion
from tests.model import model, people
from tests.model.model import Draft, Main
from tests.model.running import REPLICAS, SHARDS, USERS, Running
from tests.publishing.stack import account

stops = st.sampled_from([None, 0, 1, 2, 3, 4, 5])
places = st.integers(0, REPLICAS - 1)
choice = st.integers(0, 99)


class Machine(Running):
    """Every rule is one thing that happens; `World` judges what git holds after each of them."""

    # What people ask a replica for ----------------------------------------------------------

    @rule(at=places, user=st.sampled_from(USERS), how_far=stops)
    def deploys(self, at, user, how_far):
        name = f"app{next(self.count)}"
        ref, draft = AppRef(user, name), Draft(name, {"user_code.py": people.good(0)})

        def effect(main: Main, _: str) -> Main:
            return main.known(user).put(ref, model.written(None, ref, draft))

        self._asks(at, ref, effect, how_far, lambda replica, request:
            replica.stack.deployments.create(account(user), _sent(draft), request))  # fmt: skip

    @rule(
        at=places,
        which=choice,
        what=st.sampled_from(["code", "name", "env", "move", "module", "bad"]),
        how_far=stops,
    )
    @precondition(lambda self: self._apps())
    def updates(self, at, which, what, how_far):
        ref = self._app(which)
        now = self._now(ref)
        number = next(self.count)
        files = dict(now.files) if now else {"user_code.py": people.good(number)}
        entrypoint = now.settings.entrypoint if now and now.settings else "user_code.py"
        draft = Draft(files={**files, entrypoint: people.good(number)}, entrypoint=entrypoint)
        if what == "name":
            draft = Draft(name=f"Name {number}")
        elif what == "env":
            draft = Draft(env={"NUMBER": str(number)})
        elif what == "module":
            draft = Draft(files={**files, "lib/extra.py": b"X = %d\n" % number})
        elif what == "bad":
            draft = Draft(files={**files, entrypoint: people.FORBIDDEN})
        elif what == "move" and now:
            moved, entrypoint = people.moved(now)
            draft = Draft(files=moved, entrypoint=entrypoint)

        def effect(main: Main, _: str) -> Main:
            return main.known(ref.user_id).put(ref, model.written(main.apps[ref], ref, draft))

        self._asks(at, ref, effect, how_far, lambda replica, request:
            replica.stack.deployments.update(
                account(ref.user_id), ref, _sent(draft), None, request))  # fmt: skip

    @rule(at=places, which=choice, how_far=stops)
    @precondition(lambda self: self._apps())
    def deletes(self, at, which, how_far):
        ref = self._app(which)

        def effect(main: Main, _: str) -> Main:
            return main.put(ref, None)

        self._asks(at, ref, effect, how_far, lambda replica, request:
            replica.stack.deployments.delete(account(ref.user_id), ref, request))  # fmt: skip

    @rule(at=places, which=choice, how_far=stops)
    @precondition(lambda self: self._apps())
    def restarts(self, at, which, how_far):
        ref = self._app(which)

        def effect(main: Main, _: str) -> Main:
            app = main.apps[ref]
            return main.put(ref, model.with_settings(app, restarted=ANY, state="running"))

        self._asks(at, ref, effect, how_far, lambda replica, request:
            replica.stack.lifecycle.restart(account(ref.user_id), ref, request))  # fmt: skip

    @rule(at=places, which=choice, back=choice, how_far=stops)
    @precondition(lambda self: self._apps())
    def rolls_back(self, at, which, back, how_far):
        ref = self._app(which)
        touching = list(self.world.touching(ref))
        to = touching[back % len(touching)]
        past = self.world.mains[to].apps.get(ref)

        def effect(main: Main, _: str) -> Main:
            if past is None or past.settings is None:
                raise KeyError(ref)
            return main.put(ref, model.rolled_back(main.apps[ref], past))

        self._asks(at, ref, effect, how_far, lambda replica, request:
            replica.rollbacks.rollback(account(ref.user_id), ref, to, request))  # fmt: skip

    @rule(at=places, which=choice, how_far=stops)
    @precondition(lambda self: self._apps())
    def restores(self, at, which, how_far):
        ref = self._app(which)

        def effect(main: Main, tip: str) -> Main:
            if ref in main.apps:
                return main
            last = self.world.last_version(ref, tip)
            if last is None or last.settings is None:
                raise KeyError(ref)
            return main.known(ref.user_id).put(ref, model.awake(last))

        self._asks(at, ref, effect, how_far, lambda replica, request:
            replica.rollbacks.restore(account(ref.user_id), ref, request))  # fmt: skip

    # What replicas do by themselves ---------------------------------------------------------

    @rule(at=places, how_far=stops)
    def looks(self, at, how_far):
        self._free(at)
        self._begin(at, self._replica(at).stack.look(), how_far)

    @rule(at=st.integers(0, REPLICAS), how_far=stops)
    def goes_on(self, at, how_far):
        if at in self.processes and not self._replica(at).idle:
            self._run(self._replica(at).go_on(how_far))

    @rule(
        which=choice,
        then=st.sampled_from([None, None, "forbidden import", "broken settings"]),
        one=places,
        more=st.integers(1, REPLICAS - 1),
        how_far=st.integers(1, 3),
    )
    @precondition(lambda self: self._apps())
    def race_to_publish(self, which, then, one, more, how_far):
        """Two replicas see a person's push at once; its last commit may be a bad one."""
        racing = (one, (one + more) % REPLICAS)
        for at in racing:
            self._free(at)
        self._edit(self._app(which), "new code")
        if then:
            self._edit(self._app(which), then)
        for at in racing:
            self._begin(at, self._replica(at).stack.look(), how_far)
        for at in racing:
            self._run(self._replica(at).go_on(None))

    @rule(at=places, which=choice, how_far=st.integers(0, 3), release=st.sampled_from([1, 1, 1, 2]))
    @precondition(lambda self: self._apps())
    def crashes(self, at, which, how_far, release):
        """In the middle of what stands there, or of publishing a person's push."""
        if self._replica(at).steps.standing is None:
            self._edit(self._app(which), "new code")
            self._begin(at, self._replica(at).stack.look(), how_far)
        standing = self._replica(at).steps.standing
        self.seen[f"crashes when {standing}" if standing else "restarts"] += 1
        self.seen["crashes"] += standing is not None
        self._stop(at)
        self._start(at, release)

    # What happens to main by other hands ----------------------------------------------------

    @initialize(users=st.lists(st.sampled_from(USERS), min_size=2, max_size=4))
    def people_have_apps(self, users):
        for user in users:
            self.deploys(0, user, None)

    @rule(which=choice, what=st.lists(st.sampled_from(people.OFTEN), min_size=1, max_size=3))
    @precondition(lambda self: self._apps())
    def person_edits(self, which, what):
        """A push of one commit or more, seen all at once."""
        for each in what:
            self._edit(self._app(which), each)

    @rule(which=choice, user=st.sampled_from(USERS), adapted=st.sampled_from([True, True, False]))
    @precondition(lambda self: self._apps())
    def person_copies_an_app(self, which, user, adapted):
        """Into a folder that is somebody else's, or that it may not have."""
        ref = self._app(which)
        now, copy = self._now(ref), AppRef(user, ref.app_id)
        if now is not None and now.settings is not None and copy != ref:
            after = model.with_settings(now, user=user) if adapted else now
            self.world.push(people.written(copy, after, 0), lambda main, _: main.put(copy, after))

    @rule(user=st.sampled_from(USERS), what=st.sampled_from(sorted(people.ACCIDENTS)))
    def accident(self, user, what):
        """Something happens to the files of a whole tenant, or of a whole shard."""
        main = self.world.mains[self.world.head]
        edits, after = people.ACCIDENTS[what](main, user)
        self.world.push(edits, lambda *_: after)
        self.seen["accidents"] += 1

    @rule(back=st.integers(1, 6))
    @precondition(lambda self: any(s.source for s in self.world.shards.values()))
    @precondition(lambda self: not any(map(self.world.rewound, SHARDS)))
    def person_forces_main(self, back):
        line = list(self.world.line(self.world.head))
        self.world.force(line[min(back, len(line) - 1)])
        self.seen["main forced"] += 1

    @rule(release=st.sampled_from([1, 1, 2]), how_far=stops)
    @precondition(lambda self: any(map(self.world.rewound, SHARDS)) or self.seen["brakes"])
    def operator_accepts(self, release, how_far):
        """`publish --accept` beside the replicas, at the commit that main is at now."""
        self._accept(release, how_far)

    @rule(which=choice)
    @precondition(lambda self: any(self.world.shards[s].apps for s in SHARDS))
    def an_app_is_seen_live(self, which):
        shards = self.world.shards.values()
        found = sorted((ref, p.commit) for p in shards for ref in p.apps)
        ref, commit = found[which % len(found)]
        path = f"{ref.user_id}/{ref.app_id}/kustomization.yaml"
        text = self.world.repository.git2[commit].tree[path].data
        intent = yaml.safe_load(text)["metadata"]["annotations"]["fastapi-platform/intent"]
        self.live[ref] = LiveVersion(intent, f"{ref.app_id}-code-{intent[:10]}")
        for process, _ in self.processes.values():
            process.stack.live |= self.live


def _sent(draft: Draft) -> AppDraft:
    files = draft.files and {path: text.decode() for path, text in draft.files.items()}
    return AppDraft(draft.name, None, files, draft.entrypoint, draft.env)
