"""No trick in a path leads from one app's address to another's, or to the platform's."""

import http.client
import json
import secrets
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from api.domain.names import AppRef, app_path
from tests.cluster.learners import Learner
from tests.cluster.markers import LIVE_SECONDS
from tests.cluster.platform import APPS_HOST, Installed
from tests.product import eventually

_FULL = 40  # characters of an id at most
#: It answers on every path, and says who it is.
ANYWHERE = """\
from fastapi import FastAPI

app = FastAPI()


@app.get("/{path:path}")
def show(path: str) -> dict[str, str]:
    return {"marker": %r, "path": path}
"""


class Apps:
    """Two apps of one person, and requests that no client tidies up before they are sent."""

    def __init__(self, platform: Installed) -> None:
        self.platform = platform
        owner = platform.product.sign_up()
        made = {
            name: owner.create(name, {"user_code.py": ANYWHERE % name}) for name in ("one", "other")
        }
        for app in made.values():
            owner.live(app["app_id"], seconds=LIVE_SECONDS)
        self.one, self.other = (app_path(AppRef(a["user_id"], a["app_id"])) for a in made.values())
        self.other_id = made["other"]["app_id"]

    def ask(self, path: str) -> tuple[int, str | None]:
        """The status of the answer, and the marker of the app that gave it, if one did."""
        router = urlsplit(self.platform.cluster.apps_url)
        connection = http.client.HTTPConnection(router.hostname or "", router.port, timeout=10)
        try:
            connection.putrequest("GET", path, skip_host=True)
            connection.putheader("Host", APPS_HOST)
            connection.endheaders()
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(body)["marker"] if answer.status == 200 else None


@pytest.fixture(scope="module")
def apps(platform: Installed) -> Apps:
    return Apps(platform)


@pytest.mark.parametrize("trick", ["/a%2fb", "/a%2Fb", "/..%2f{other}/", "/a%5Cb", "/a%00b"])
def test_encoded_separators_reach_no_app(apps: Apps, trick: str) -> None:
    nowhere = ((400, None), (404, None))
    assert apps.ask(apps.one + trick.format(other=apps.other_id)) in nowhere
    assert apps.ask(apps.one.replace("/app/", "%2fapp%2f") + "/") in nowhere


@pytest.mark.parametrize("dots", ["..", "%2e%2e", "%2E%2e", ".%2e"])
def test_dots_lead_where_the_tidied_address_leads_or_nowhere(apps: Apps, dots: str) -> None:
    _, marker = apps.ask(f"{apps.one}/{dots}/{apps.other_id}/x")
    assert marker in ("other", None)
    for outside in ("api/meta", "readyz", "dashboard/"):
        status, marker = apps.ask(f"{apps.one}/{dots}/{dots}/{dots}/{dots}/{outside}")
        assert (status != 200, marker) == (True, None), outside


def test_doubled_slashes_lead_to_the_same_app_or_nowhere(apps: Apps) -> None:
    for path in (f"/{apps.one}/", apps.one.replace("/", "//") + "/", f"{apps.one}//x"):
        assert apps.ask(path)[1] in ("one", None), path
    assert apps.ask(f"{apps.one}/x") == (200, "one")


def test_an_address_is_the_whole_name_and_not_its_beginning(apps: Apps) -> None:
    for path in (f"{apps.one}x/", apps.one[:-1] + "/", f"{apps.one}%20/", apps.one.upper() + "/"):
        assert apps.ask(path)[1] is None, path


@pytest.fixture
def neighbours(platform: Installed) -> Iterator[list[Learner]]:
    """Tenants with ids of full length, which differ in the last character."""
    same = secrets.token_hex(_FULL)[: _FULL - 2]
    refs = [AppRef(f"u{same}{end}", f"s{same}{end}") for end in ("a", "b")]
    made = [Learner.on(platform.cluster, APPS_HOST, ref) for ref in refs]
    yield made
    for learner in made:
        learner.leave()


async def test_ids_of_full_length_have_addresses_of_their_own(
    apps: Apps, neighbours: list[Learner]
) -> None:
    paths = [app_path(learner.ref) for learner in neighbours]
    for learner, path in zip(neighbours, paths, strict=True):
        await learner.apply(ANYWHERE % learner.ref.app_id[-1])
        marker = learner.ref.app_id[-1]
        eventually(f"{marker} serves", lambda p=path: apps.ask(f"{p}/")[0] == 200, LIVE_SECONDS)
    assert [apps.ask(f"{path}/x") for path in paths] == [(200, "a"), (200, "b")]
    assert apps.ask(f"{paths[0]}a/")[1] is None
    assert apps.ask(f"{apps.one}/x") == (200, "one"), "a long name outranks nobody"
