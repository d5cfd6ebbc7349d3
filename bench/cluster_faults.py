"""What one broken app of a shard does to deploys of another person in the same shard."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from api.domain.names import shard_of
from bench.deploy import says
from tests.cluster.platform import REPOSITORY, Installed
from tests.product import Person, eventually

_SECONDS: Final = 120.0
_MOST_PEOPLE: Final = 110  # sign-ups that one address may do in ten minutes
_BROKEN: Final = 'from fastapi import FastAPI\n\napp = FastAPI()\nprices = {}["tea"]\n'
_REFUSED: Final = "REFUSED_BY_THE_API_SERVER"


def neighbours(platform: Installed, people: list[Person]) -> tuple[Person, Person]:
    """Two people in one shard; signs people up until there are two (mostly some 20)."""
    while len(people) < _MOST_PEOPLE:
        by_shard: dict[str, Person] = {}
        for person in people:
            shard = shard_of(person.user_id, 2)
            if shard in by_shard:
                return by_shard[shard], person
            by_shard[shard] = person
        people.append(platform.product.sign_up())
    raise RuntimeError(f"{_MOST_PEOPLE} people, and no two of them in one shard; run it again.")


@dataclass(frozen=True)
class Culprit:
    """Somebody whose app is broken in one way or the other while a context lasts."""

    platform: Installed
    person: Person

    @contextmanager
    def crash_loops(self) -> Iterator[None]:
        """The app raises at every start."""
        app_id = self._live_app()
        self._put(app_id, _BROKEN)
        self._ends(app_id, "failed")
        yield
        self._delete(app_id)

    @contextmanager
    def held_by_the_check(self) -> Iterator[None]:
        """A commit on `main`, by other hands, that the check does not let through."""
        app_id = self._live_app()
        self._commit(app_id, "import subprocess\n" + _BROKEN)
        self._ends(app_id, "failed")
        yield
        self._delete(app_id)

    @contextmanager
    def refused_by_the_cluster(self) -> Iterator[Callable[[], None]]:
        """What the check lets through, and only the API server refuses: a policy of its own.

        Nobody has waited until the platform knows; to do so is what the context gives.
        """
        app_id = self._live_app()
        self.platform.cluster.apply(yaml.safe_dump_all(_policy()))
        time.sleep(3)  # a new policy is in force a moment later
        self._put(app_id, says("refused"), env={_REFUSED: "1"})
        yield lambda: self._ends(app_id, "failed")
        self.platform.cluster.kubectl(
            *("delete", "validatingadmissionpolicybindings,validatingadmissionpolicies"),
            *("-l", "bench=cluster"),
        )
        self._delete(app_id)

    def _live_app(self) -> str:
        app = self.person.create("Culprit", {"user_code.py": says("good")})
        self.person.live(app["app_id"], seconds=_SECONDS)
        return str(app["app_id"])

    def _put(self, app_id: str, code: str, **fields: Any) -> None:
        body = {"files": {"user_code.py": code}, **fields}
        self.person.ok("PUT", f"/api/apps/{app_id}", json=body)

    def _delete(self, app_id: str) -> None:
        self.person.ok("DELETE", f"/api/apps/{app_id}")

    def _ends(self, app_id: str, stage: str) -> None:
        def told() -> bool:
            return bool(self.person.deploy_status(app_id)["stage"] == stage)

        eventually(f"{app_id} is told as {stage}", told, _SECONDS)

    def _commit(self, app_id: str, code: str) -> None:
        git: Callable[..., str] = self.platform.product.git
        with tempfile.TemporaryDirectory() as folder:
            url = self.platform.git.url(REPOSITORY)
            git("clone", "-q", "--depth=1", "-b", "main", url, folder, cwd=Path(folder))
            user_id = self.person.user_id
            app = Path(folder) / "apps" / shard_of(user_id, 2) / user_id / app_id
            (app / "code/user_code.py").write_text(code)
            git("commit", "-qam", "By hand", cwd=Path(folder))
            git("push", "-q", "origin", "HEAD:main", cwd=Path(folder))


def _policy() -> list[dict[str, Any]]:
    kind = "ValidatingAdmissionPolicy"
    head = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "metadata": {"name": "bench-refuses", "labels": {"bench": "cluster"}},
    }
    rule = {
        "apiGroups": ["apps"],
        "apiVersions": ["v1"],
        "resources": ["deployments"],
        "operations": ["CREATE", "UPDATE"],
    }
    named = "object.spec.template.spec.containers.exists(c, c.?env.orValue([]).exists(e, e.name =="
    validation = {
        "expression": f"!{named} '{_REFUSED}'))",
        "message": "the benchmark's own rule refuses this app",
    }
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [validation],
    }
    binding = {"policyName": "bench-refuses", "validationActions": ["Deny"]}
    return [
        {**head, "kind": kind, "spec": policy},
        {**head, "kind": f"{kind}Binding", "spec": binding},
    ]
