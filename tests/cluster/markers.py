"""An app that answers with a marker, so that a visitor can tell which commit serves."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from api.domain.names import shard_of
from tests.cluster.platform import Installed
from tests.product import ENDED, Person

LIVE_SECONDS: Final = 90.0
#: A kustomize-controller that was killed looks at all 256 shards again, a few at a time.
_FOLLOWED_SECONDS: Final = 180.0
_DIGITS: Final = 2
#: Requests one after the other: a router that takes turns between versions would show the other.
_VISITS: Final = 5


def marked(marker: str) -> dict[str, str]:
    """The files of an app that answers with a marker."""
    return {
        "user_code.py": "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n"
        f'@app.get("/")\ndef root():\n    return {{"marker": {marker!r}}}\n'
    }


@dataclass
class MarkedApp:
    """A learner's app; whatever is said to be live is visited at once, as a stranger would."""

    platform: Installed
    owner: Person
    app: dict[str, Any]
    expected: dict[str, str]  # the marker of each commit

    @classmethod
    def create(cls, platform: Installed, owner: Person, marker: str) -> "MarkedApp":
        """A new app; it is not live yet."""
        app = owner.create("Marked", marked(marker))
        return cls(platform, owner, app, {app["commit"]: marker})

    @property
    def app_id(self) -> str:
        return str(self.app["app_id"])

    @property
    def shard(self) -> str:
        return shard_of(self.owner.user_id, _DIGITS)

    def deploy(self, marker: str) -> str:
        """Deploy with another marker; the commit."""
        body = {"files": marked(marker)}
        commit = str(self.owner.ok("PUT", f"/api/apps/{self.app_id}", json=body)["commit"])
        self.expected[commit] = marker
        return commit

    def status(self) -> dict[str, Any]:
        """Progress of the newest deploy."""
        return self.owner.deploy_status(self.app_id)

    def live(self, commit: str) -> None:
        """Wait until this commit, and no other, is said to be live, and visit it."""
        self.owner.live(self.app_id, commit, LIVE_SECONDS)
        self.serves(self.expected[commit])

    def followed_live(self, commit: str) -> None:
        """The same, by one stream of events that is open all the time."""
        told = list(self._events())
        assert {event["commit"] for event in told} == {commit}
        assert told[-1]["stage"] == "live", told[-1]
        self.serves(self.expected[commit])

    def serves(self, marker: str) -> None:
        """Every visitor gets this marker."""
        answers = [self.platform.visit(self.app["url"]) for _ in range(_VISITS)]
        assert [(a.status_code, a.text) for a in answers] == [
            (200, json.dumps({"marker": marker}, separators=(",", ":")))
        ] * _VISITS

    def _events(self) -> Iterator[dict[str, Any]]:
        deadline = monotonic() + _FOLLOWED_SECONDS
        with self.owner.http.stream("GET", f"/api/apps/{self.app_id}/events") as events:
            for line in events.iter_lines():
                assert monotonic() < deadline, "the stream does not end"
                if line.startswith("data:"):
                    event = json.loads(line.removeprefix("data:"))
                    yield event
                    if event["stage"] in ENDED:
                        return
