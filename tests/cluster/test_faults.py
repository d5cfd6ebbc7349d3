"""Whatever fails for a while delays a deploy and no more; the platform is never restarted.

Whenever a deploy is said to be live, a stranger's client reads that commit's marker at once.
"""

import json
from collections.abc import Iterator
from time import sleep
from typing import Final

import pytest

from api.domain.flux_objects import NAMESPACE
from tests.cluster.lines import Lines
from tests.cluster.markers import MarkedApp
from tests.cluster.plane.cluster import Cluster
from tests.cluster.platform import Installed
from tests.product import eventually

#: What a Receiver answers that took the call.
_TAKEN: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
#: A cluster that is away for longer than the platform keeps quiet about it.
_AWAY_SECONDS: Final = 40


@pytest.fixture(scope="module")
def app(platform: Installed) -> MarkedApp:
    made = MarkedApp.create(platform, platform.product.sign_up(), "first")
    made.live(made.app["commit"])
    return made


@pytest.fixture
def lines(platform: Installed) -> Lines:
    if platform.lines is None:
        pytest.skip("the server's connections to the cluster of KUBECONFIG are its own")
    return platform.lines


@pytest.fixture(autouse=True)
def _not_restarted(platform: Installed) -> Iterator[None]:
    process = platform.product.process
    yield
    assert process is not None
    assert process.poll() is None, platform.product.log[-4000:]
    assert platform.product.process is process


@pytest.mark.parametrize(
    "program",
    [
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "source-controller",
        "kustomize-controller",
        "notification-controller",
        "traefik",
    ],
)
def test_a_deploy_that_is_followed_goes_live_although_a_program_is_killed(
    program: str, plane: Cluster, app: MarkedApp
) -> None:
    commit = app.deploy(f"without {program}")
    plane.process(program).kill()
    app.followed_live(commit)


@pytest.mark.parametrize("kind", ["gitrepository", "kustomization"])
def test_a_deploy_says_that_flux_is_suspended_and_goes_live_when_it_is_resumed(
    kind: str, platform: Installed, app: MarkedApp
) -> None:
    def suspend(suspended: bool) -> None:  # noqa: FBT001  (Flux' own word for it)
        change = json.dumps({"spec": {"suspend": suspended}})
        name = f"shard-{app.shard}"
        patch = ("patch", kind, name, "-n", NAMESPACE, "--type=merge", "-p", change)
        platform.cluster.kubectl(*patch)

    before = app.status()["commit"]
    suspend(True)
    try:
        commit = app.deploy(f"after the {kind}")
        eventually("it is said", lambda: "has paused all deploys" in app.status()["message"])
        app.serves(app.expected[before])
    finally:
        suspend(False)
    app.live(commit)


def test_a_deploy_says_that_the_receiver_is_away_and_goes_live_when_it_is_back(
    lines: Lines, app: MarkedApp
) -> None:
    with lines.receiver.unplugged():
        commit = app.deploy("untold")
        eventually("it is said", lambda: "receiver cannot be told" in app.status()["message"])
    app.live(commit)


def test_flux_is_told_again_when_the_first_words_led_to_nothing(
    lines: Lines, app: MarkedApp
) -> None:
    """As when they come before the forge shows the branch, or something on the way loses them."""
    before = lines.receiver.connections
    with lines.receiver.answered(_TAKEN):
        commit = app.deploy("told again")
        eventually("it was told twice", lambda: lines.receiver.connections >= before + 2)
        assert app.status()["stage"] == "fetched"
    app.live(commit)


def test_watches_that_are_cut_again_and_again_miss_nothing(lines: Lines, app: MarkedApp) -> None:
    commit = app.deploy("cut")
    for _ in range(5):
        lines.api.cut()
        sleep(0.5)
    app.live(commit)


def test_while_the_cluster_is_away_deploys_are_taken_and_go_live_when_it_is_back(
    lines: Lines, app: MarkedApp
) -> None:
    path = f"/api/apps/{app.app_id}/deploy-status"
    with lines.api.unplugged():
        commit = app.deploy("blind")

        def refused() -> bool:
            return app.owner.http.get(path).status_code == 503

        eventually("it is said", refused, _AWAY_SECONDS)
        error = app.owner.http.get(path).json()["error"]
        assert "not followed" in error["message"]
        assert app.owner.ok("GET", "/api/apps")["apps"], "the editor still opens"
    eventually("it is seen again", lambda: not refused(), _AWAY_SECONDS)
    app.live(commit)
