"""Everything is lost but the keys and the backups, and comes back as docs/operations.md says.

Cluster, database, git host and the backend's clone are deleted. On a new cluster the apps run
before anybody has an account; without the database people adopt them, with it they log in.
mongodump is no Go module, so the database's archive is read and written over the wire as it does.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests import mongodb
from tests.cluster.conftest import names_lead_to
from tests.cluster.markers import MarkedApp
from tests.cluster.plane import starting
from tests.cluster.platform import REPOSITORY, Installed, install, make_keys, operator
from tests.product import PASSWORD, Person, eventually
from tests.remote.git_server import GitServer, bare

_BACK_SECONDS = 240.0


@contextmanager
def site(folder: Path, git: GitServer, keys: Mapping[str, str]) -> Iterator[Installed]:
    """A cluster and a database of its own, with the platform served from the repository."""
    folder.mkdir()
    with (
        starting.running() as plane,
        names_lead_to(plane),
        mongodb.ferretdb(folder / "database") as server,
    ):
        uri = mongodb.database(server.uri, "platform")
        platform = install(plane, git, folder, {"MONGO_URI": uri, **keys})
        with platform.product:
            yield platform


@dataclass
class Learner:
    """Somebody with an app, and what its history said before all was lost."""

    app: MarkedApp
    history: list[dict[str, Any]]

    @classmethod
    def working(cls, platform: Installed, name: str) -> "Learner":
        app = MarkedApp.create(platform, platform.product.sign_up(name), f"first of {name}")
        app.live(app.app["commit"])
        app.live(app.deploy(f"second of {name}"))
        return cls(app, history(app))

    @property
    def name(self) -> str:
        return self.app.owner.username

    def on(self, platform: Installed, owner: Person) -> MarkedApp:
        """The app where it is now."""
        return replace(self.app, platform=platform, owner=owner)


def history(app: MarkedApp) -> list[dict[str, Any]]:
    """Who changed what and when, newest first; not what runs now."""
    page = app.owner.ok("GET", f"/api/apps/{app.app_id}/history")
    return [{key: entry[key] for key in entry if key != "live"} for entry in page["entries"]]


def test_apps_come_back_by_themselves_and_people_with_or_without_the_database(tmp_path: Path):
    keys = make_keys(tmp_path)
    served, backup = tmp_path / "git", tmp_path / "backup.git"
    served.mkdir()
    with GitServer(served).running() as git:
        host = bare(served, REPOSITORY)
        with site(tmp_path / "lost", git, keys) as platform:
            learners = [Learner.working(platform, name) for name in ("grace", "edsger")]
            platform.product.git("clone", "-q", "--mirror", str(host), str(backup), cwd=tmp_path)
            archive = mongodb.dump(platform.product.settings["MONGO_URI"])
        shutil.rmtree(tmp_path / "lost")
        shutil.rmtree(host)

        platform.product.git("push", "-q", "--mirror", str(bare(served, REPOSITORY)), cwd=backup)
        with site(tmp_path / "found", git, keys) as platform:
            for learner in learners:
                eventually(
                    f"{learner.name}'s app", partial(serves, platform, learner), _BACK_SECONDS
                )
            adopted = people_adopt(platform, learners)
            lose_the_clone_and_restore_the_database(platform, archive)
            for learner, changed in zip(learners, adopted, strict=True):
                # The token of before the disaster is good again: key and account are.
                person = learner.app.owner
                back = replace(person, http=platform.product.client(person.token))
                assert back.ok("GET", "/api/auth/me")["user_id"] == person.user_id
                app = learner.on(platform, back)
                assert history(app)[1:] == learner.history
                app.live(changed)
                app.live(app.deploy(f"last of {learner.name}"))


def serves(platform: Installed, learner: Learner) -> bool:
    """Whether a stranger gets what was live before all was lost."""
    answer = platform.visit(learner.app.app["url"])
    return answer.status_code == 200 and answer.json() == {"marker": f"second of {learner.name}"}


def people_adopt(platform: Installed, learners: list[Learner]) -> list[str]:
    """With an empty database: nobody can log in, signs up anew, and is given the apps; a commit."""
    commits = []
    for learner in learners:
        login = {"username": learner.name, "password": PASSWORD}
        assert platform.product.client().post("/api/auth/login", json=login).status_code == 401
        new = platform.product.sign_up(learner.name)
        assert new.ok("GET", "/api/apps")["apps"] == []
    orphans = json.loads(operator(platform.product, "admin", "adopt", "--json"))
    lost = {learner.app.owner.user_id: learner.name for learner in learners}
    assert {row["user_id"]: row["username"] for row in orphans} == lost
    for learner in learners:
        user_id = learner.app.owner.user_id
        operator(platform.product, "admin", "adopt", user_id, learner.name, "--json")
        owner = platform.product.log_in(learner.name, user_id)
        app = learner.on(platform, owner)
        [shown] = owner.ok("GET", "/api/apps")["apps"]
        assert shown["app_id"] == app.app_id
        assert history(app) == learner.history
        app.live(learner.history[0]["commit"])
        commits.append(app.deploy(f"third of {learner.name}"))
        app.live(commits[-1])
    assert json.loads(operator(platform.product, "admin", "adopt", "--json")) == []
    return commits


def lose_the_clone_and_restore_the_database(platform: Installed, archive: bytes) -> None:
    """As the guide: the backend stops, the archive goes in, the backend starts."""
    product = platform.product
    assert product.stop() == 0
    shutil.rmtree(product.data_dir)
    mongodb.restore(product.settings["MONGO_URI"], archive)
    product.start()
