"""How far a change has come, asked of real git: first publications, late pushes, saved deploys."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pygit2
import pytest

from api.clients.git_publications import Wanted, first_publication
from api.clients.gitops_repo import GitopsRepo
from api.domain.commit_message import publish_message
from api.domain.names import AppRef, app_path, shard_of
from api.domain.publication import Entries
from api.domain.rollout import Observation
from api.errors import ClusterUnavailable
from api.rollback import Rollbacks
from api.rollouts import Rollouts
from api.routes import apps, history
from api.routes.schemas import AppCreate, AppUpdate, RollbackRequest
from tests.publishing.stack import HELLO, Stack, account, folder

BOB = account("bob")
SHOP = AppRef("bob", "shop")
OLD, NEW = b"app = 1\n", b"app = 2\n"


# The first publication ----------------------------------------------------------------------


class Branches:
    """A repository with a line of `main` and the line of one shard, a file for each app."""

    def __init__(self, path) -> None:
        self.repository = pygit2.init_repository(path, bare=True)
        self.main: list[str] = []
        self.shard: list[str] = []

    def accept(self, content: bytes, other: bytes = b"") -> str:
        """A commit of `main` with this app.yaml."""
        shard = shard_of(SHOP.user_id, 2)
        tree = {f"apps/{shard}/bob/shop": {"app.yaml": content, "README": other}}
        self.main.append(self._commit(tree, "Edit\n", self.main))
        return self.main[-1]

    def publish(self, content: bytes, source: str | None) -> str:
        """A commit of the shard's branch; by other hands without a source."""
        tree = {"bob/shop": {"app.yaml": content, "n": str(len(self.shard)).encode()}}
        message = publish_message("publish", source, 1) if source else "By hand\n"
        self.shard.append(self._commit(tree, message, self.shard))
        return self.shard[-1]

    def wanted(self, commit: str, content: bytes = NEW) -> Wanted:
        return Wanted(SHOP, commit, Entries(app=str(pygit2.hash(content))), 2)

    def first(self, commit: str, content: bytes = NEW) -> str | None:
        return first_publication(self.repository, self.shard[-1], self.wanted(commit, content))

    def _commit(self, trees, message: str, line: list[str]) -> str:
        ((path, files),) = trees.items()
        builder = self.repository.TreeBuilder()
        for name, data in files.items():
            builder.insert(name, self.repository.create_blob(data), pygit2.enums.FileMode.BLOB)
        tree = builder.write()
        for name in reversed(path.split("/")):
            above = self.repository.TreeBuilder()
            above.insert(name, tree, pygit2.enums.FileMode.TREE)
            tree = above.write()
        who = pygit2.Signature("Ann", "ann@example.org", 1_700_000_000 + len(line), 0)
        parents = [pygit2.Oid(hex=line[-1])] if line else []
        return str(self.repository.create_commit(None, who, who, message, tree, parents))


@pytest.fixture
def branches(tmp_path) -> Branches:
    return Branches(tmp_path / "lines.git")


@pytest.mark.parametrize("before", [0, 1, 2, 7])
@pytest.mark.parametrize("after", [0, 1, 2, 3, 8, 21])
def test_the_first_of_all_later_publications_is_found(branches, before, after):
    old = branches.accept(OLD)
    for _ in range(before):
        branches.publish(OLD, old)
    new = branches.accept(NEW)
    first = branches.publish(NEW, new)
    for _ in range(after):
        branches.publish(NEW, branches.accept(NEW, b"x"))
    assert branches.first(new) == first


def test_nothing_is_found_while_the_newest_publication_has_other_entries(branches):
    old = branches.accept(OLD)
    branches.publish(OLD, old)
    new = branches.accept(NEW)
    assert branches.first(new) is None
    branches.publish(OLD, new)  # held
    assert branches.first(new) is None
    released = branches.publish(NEW, new)
    assert branches.first(new) == released


def test_a_version_that_was_left_and_taken_again_counts_from_the_second_time(branches):
    for content in (NEW, OLD, OLD):
        branches.publish(content, branches.accept(content))
    again = branches.accept(NEW)
    first = branches.publish(NEW, again)
    branches.publish(NEW, again)
    assert branches.first(again) == first


def test_what_changed_nothing_that_is_published_was_there_before(branches):
    branches.publish(OLD, branches.accept(OLD))
    new = branches.accept(NEW)
    first = branches.publish(NEW, new)
    branches.publish(NEW, new)
    touched = branches.accept(NEW, b"a note")
    assert branches.first(touched) == first
    branches.publish(NEW, touched)
    assert branches.first(touched) == first


def test_commits_without_a_known_source_carry_nothing(branches):
    new = branches.accept(NEW)
    branches.publish(NEW, None)
    assert branches.first(new) is None
    for source in ("gibberish", "9" * 40):
        branches.publish(NEW, source)
        assert branches.first(new) is None
    branches.publish(NEW, new)
    assert branches.first(new) == branches.shard[-1]


# Late pushes and saved deploys --------------------------------------------------------------


class NothingSeen:
    """A cluster that has not looked yet, or cannot be asked."""

    isolated = False

    def __init__(self) -> None:
        self.error: ClusterUnavailable | None = None

    async def observe(self, _: AppRef) -> Observation:
        if self.error:
            raise self.error
        return Observation()

    async def changes(self, _: AppRef) -> AsyncIterator[None]:
        yield
        await asyncio.Event().wait()


class NobodyCame:
    """A store that knows of no visit."""

    async def last_activity(self, _) -> dict[AppRef, datetime]:
        return {}


class Clock:
    """The time, moved by hand."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC)

    def now(self, _) -> datetime:
        return self.moment


@pytest.fixture
def cluster() -> NothingSeen:
    return NothingSeen()


@pytest.fixture
def rollouts(stack: Stack, cluster: NothingSeen) -> Rollouts:
    return Rollouts(
        stack.repo, stack.intents, stack.history, stack.publisher, cluster, NobodyCame(), "http://a"
    )


async def _pushed(repo: GitopsRepo, ref: AppRef, age: timedelta) -> None:
    """Somebody's push of a commit that they made a while ago, or with a wrong clock."""
    made = int((datetime.now(UTC) - age).timestamp())

    def commit(repository: pygit2.Repository) -> None:
        tip = repository[repository.references["refs/heads/main"].target]
        index = pygit2.Index()
        index.read_tree(tip.tree)
        blob = repository.create_blob(HELLO.replace("()", "(title='x')").encode())
        path = f"{folder(ref)}/code/user_code.py"
        index.add(pygit2.IndexEntry(path, blob, pygit2.enums.FileMode.BLOB))
        tree = index.write_tree(repository)
        who = pygit2.Signature("Eve", "eve@example.org", made, 0)
        repository.create_commit("refs/heads/main", who, who, "Edit\n", tree, [tip.id])

    await repo.reading(commit)


@pytest.mark.parametrize("age", [timedelta(minutes=10), timedelta(days=400), -timedelta(days=1)])
async def test_a_commit_pushed_now_is_not_late_whenever_it_was_made(stack, rollouts, age):
    app = await stack.deploy(BOB)
    await _pushed(stack.repo, app.ref, age)
    shown = await rollouts.progress(app.ref)
    assert (shown.stage, shown.error) == ("committed", None)
    await stack.look()
    shown = await rollouts.progress(app.ref)
    assert (shown.stage, shown.error) == ("fetched", None)
    assert all(s.started_at <= datetime.now(UTC) for s in shown.stages if s.started_at)


async def test_a_deploy_that_is_saved_is_told_though_its_state_cannot_be(stack, rollouts, cluster):
    cluster.error = ClusterUnavailable("The cluster does not answer.")
    app = await stack.deploy(BOB)
    shown = await rollouts.overview_after_deploy(app)
    assert (shown.app, shown.status) == (app, "deploying")
    assert shown.url == f"http://a{app_path(app.ref)}/"
    cluster.error = None
    assert (await rollouts.overview_after_deploy(app)).status == "deploying"


async def test_every_request_that_saves_answers_though_the_state_cannot_be_told(
    stack, rollouts, cluster
):
    cluster.error = ClusterUnavailable("The cluster does not answer.")
    rollbacks = Rollbacks(stack.repo, stack.intents, stack.history, stack.deployments)
    body = AppCreate(name="One", code=HELLO)
    made = await apps.create_app(body, BOB, stack.deployments, rollouts, "r")
    ref, change = AppRef(BOB.user_id, made.app_id), AppUpdate(code=f"{HELLO}x = 1\n")
    changed = await apps.update_app(ref, change, BOB, stack.deployments, rollouts, "r")
    back = RollbackRequest(commit=made.commit)
    rolled_back = await history.roll_back(ref, back, BOB, rollbacks, rollouts, "r")
    await stack.deployments.delete(BOB, ref, "r")
    restored = await history.restore(ref, BOB, rollbacks, rollouts, "r")
    answers = (made, changed, rolled_back, restored)
    assert [answer.status for answer in answers] == ["deploying"] * 4
    assert len({answer.commit for answer in answers}) == 4


async def test_a_list_of_apps_shows_what_was_known_while_the_cluster_is_away(
    stack, rollouts, cluster
):
    app = await stack.deploy(BOB)
    await stack.look()
    [before] = await rollouts.overviews([app])
    cluster.error = ClusterUnavailable("The cluster does not answer.")
    assert await rollouts.overviews([app]) == [before]
    with pytest.raises(ClusterUnavailable):
        await rollouts.status(app.ref)


async def test_a_stream_outlasts_the_time_in_which_the_cluster_is_away(
    stack, rollouts, cluster, monkeypatch
):
    monkeypatch.setattr("api.rollouts._LOOK_AGAIN", 0.01)
    app = await stack.deploy(BOB)
    stream = rollouts.follow(app.ref)
    await anext(stream)
    cluster.error = ClusterUnavailable("The cluster does not answer.")
    following = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.1)
    assert not following.done()
    await stack.deployments.delete(BOB, app.ref, "r")
    cluster.error = None
    assert (await asyncio.wait_for(following, 10)).stage == "superseded"
    await stream.aclose()


async def test_time_in_which_the_cluster_could_not_be_asked_does_not_count(
    stack, rollouts, cluster, monkeypatch
):
    app = await stack.deploy(BOB)
    assert (await rollouts.progress(app.ref)).stage == "fetched"
    clock = Clock()
    monkeypatch.setattr("api.rollouts.datetime", clock)
    clock.moment += timedelta(minutes=5)
    cluster.error = ClusterUnavailable("The cluster does not answer.")
    with pytest.raises(ClusterUnavailable):
        await rollouts.progress(app.ref)
    cluster.error = None
    assert (await rollouts.progress(app.ref)).stage == "fetched"
    clock.moment += timedelta(minutes=5)
    assert (await rollouts.progress(app.ref)).stage == "failed"
