"""An app that the check lets through and the API server refuses, with real Flux and admission."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from api.domain.names import shard_of
from tests.cluster.markers import LIVE_SECONDS, marked
from tests.cluster.plane.slot import PlaneFailed
from tests.cluster.platform import Installed
from tests.cluster.test_deploys import update
from tests.product import ROOT, Person, eventually

#: A rule of this cluster that the platform's check knows nothing of; its message quotes a learner.
POLICY = """\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: test-quarantine}
spec:
  matchConstraints:
    resourceRules:
      - apiGroups: [apps]
        apiVersions: [v1]
        operations: [CREATE, UPDATE]
        resources: [deployments]
  variables:
    - name: refused
      expression: >-
        object.spec.template.spec.containers[0].?env.orValue([]).filter(e, e.name == 'REFUSED')
  validations:
    - expression: variables.refused.size() == 0
      messageExpression: "'REFUSED is set to ' + variables.refused[0].value"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: test-quarantine}
spec: {policyName: test-quarantine, validationActions: [Deny]}
"""
PROBE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: probe, namespace: default}
spec:
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec: {containers: [{name: app, image: none, env: [{name: REFUSED, value: x}]}]}
"""
TOLD_SECONDS = 60


@pytest.fixture(scope="module")
def learner(platform: Installed) -> Person:
    return platform.product.sign_up()


@pytest.fixture
def rule(platform: Installed) -> Iterator[None]:
    """The rule is in force."""
    platform.cluster.apply(POLICY)
    eventually("the rule is in force", lambda: not is_admitted(platform))
    yield
    lift(platform)


def lift(platform: Installed) -> None:
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        platform.cluster.kubectl("delete", kind, "test-quarantine", "--ignore-not-found")
    eventually("the rule is gone", lambda: is_admitted(platform))


def is_admitted(platform: Installed) -> bool:
    try:
        platform.cluster.kubectl("apply", "--dry-run=server", "-f", "-", given=PROBE)
    except PlaneFailed as error:
        if "REFUSED is set to x" not in str(error):
            raise
        return False
    return True


def quarantined(platform: Installed, person: Person) -> dict[str, dict[str, Any]]:
    """What the shard branch keeps, by app."""
    branch = f"flux/{shard_of(person.user_id, 2)}"
    if "quarantine.json" not in platform.repository("ls-tree", "--name-only", branch).split():
        return {}
    kept = json.loads(platform.repository("show", f"{branch}:quarantine.json"))
    return {app["app"]: app for app in kept["apps"]}


def told(learner: Person, app: dict[str, Any], commit: str) -> dict[str, Any]:
    status = learner.settled(app["app_id"], commit, TOLD_SECONDS)
    assert (status["stage"], status["error"]["stage"]) == ("failed", "applied"), status
    assert "REFUSED is set to " in status["error"]["message"]
    return dict(status)


def stage(learner: Person, app: dict[str, Any]) -> str:
    return str(learner.deploy_status(app["app_id"])["stage"])


def operate(platform: Installed, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        cwd=ROOT,
        env=platform.product.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.usefixtures("rule")
def test_what_is_refused_goes_back_its_shard_moves_on_and_its_owner_is_told_why(
    platform: Installed, learner: Person
) -> None:
    app, other = learner.create("Back", marked("good")), learner.create("On", marked("one"))
    for each in (app, other):
        learner.live(each["app_id"], seconds=LIVE_SECONDS)
    # What the rule quotes shall blame somebody else, and pass for something that time cures.
    blame = f"Deployment/user-{learner.user_id}/{other['app_id']} dry-run failed (Invalid): x"
    hostile = f"{blame}, {blame} because it is being terminated"
    body = {"files": marked("bad"), "env": {"REFUSED": hostile}}
    refused = learner.ok("PUT", f"/api/apps/{app['app_id']}", json=body)
    told(learner, app, refused["commit"])
    eventually("it is quarantined", lambda: app["app_id"] in quarantined(platform, learner), 60)
    assert list(quarantined(platform, learner)) == [app["app_id"]], "and nobody else"

    changed = update(learner, other, marked("two"))
    learner.live(other["app_id"], changed["commit"], LIVE_SECONDS)
    assert platform.visit(other["url"]).json() == {"marker": "two"}
    assert platform.visit(app["url"]).json() == {"marker": "good"}
    told(learner, app, refused["commit"])
    assert learner.ok("GET", f"/api/apps/{app['app_id']}/status")["ready"] is True

    body = {"files": marked("mended"), "env": {}}
    mended = learner.ok("PUT", f"/api/apps/{app['app_id']}", json=body)
    learner.live(app["app_id"], mended["commit"], LIVE_SECONDS)
    assert platform.visit(app["url"]).json() == {"marker": "mended"}
    assert quarantined(platform, learner) == {}


@pytest.mark.usefixtures("rule")
def test_one_that_never_was_applied_is_left_out_until_an_operator_has_it_tried_again(
    platform: Installed, learner: Person
) -> None:
    app = learner.create("New", marked("new"), env={"REFUSED": "x"})
    told(learner, app, app["commit"])
    eventually("it is quarantined", lambda: app["app_id"] in quarantined(platform, learner), 60)
    assert quarantined(platform, learner)[app["app_id"]]["applied"] is None
    shard = shard_of(learner.user_id, 2)

    def moved_on() -> bool:
        status = platform.flux("kustomization", f"shard-{shard}")["status"]
        tip = platform.repository("rev-parse", f"flux/{shard}").strip()
        return str(status["lastAppliedRevision"]).endswith(tip)

    eventually("the shard moved on", moved_on, 60)
    lift(platform)
    tried = operate(platform, "publish", "--retry", app["app_id"])
    assert tried.returncode == 0, tried.stderr
    # Until the server has looked at the branch again, it tells of the first attempt.
    eventually("it is live", lambda: stage(learner, app) == "live", LIVE_SECONDS)
    assert platform.visit(app["url"]).json() == {"marker": "new"}
    assert quarantined(platform, learner) == {}


def test_an_audit_takes_a_quarantine_for_what_it_is(platform: Installed) -> None:
    looked = operate(platform, "audit", "verify")
    assert looked.returncode == 0, looked.stdout
