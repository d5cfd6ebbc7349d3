"""A release with other templates: rolled out, broken, mended and taken back, while people work.

Each release is a copy of this one's source with templates of its own, and runs as one would: the
server first, which changes nobody's app, then `rerender`.
"""

import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from api.domain.manifests import RENDERER_VERSION
from api.domain.names import namespace_of
from tests.cluster.markers import MarkedApp
from tests.cluster.platform import Installed
from tests.cluster.test_rerender import rerender
from tests.product import ENDED, ROOT, eventually

#: Between two requests of one visitor, in seconds.
_PAUSE: Final = 0.1
#: Until a deploy is live that came while its shard waits for an operator.
_LIVE_SECONDS: Final = 300.0
_GRACE: Final = "terminationGracePeriodSeconds: "


def release(folder: Path, version: int, **replaced: str) -> Path:
    """The source of a release that renders a Deployment otherwise."""
    for name in ("api", "templates", "gitops-repo-template", "runner"):
        ignored = shutil.ignore_patterns(".venv", "__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    (folder / "frontend").symlink_to(ROOT / "frontend")
    _edit(
        folder / "api/domain/manifests.py",
        {f"RENDERER_VERSION: Final = {RENDERER_VERSION}": f"RENDERER_VERSION: Final = {version}"},
    )
    _edit(folder / "templates/app/generated/deployment.yaml", replaced)
    return folder


def _edit(path: Path, replaced: dict[str, str]) -> None:
    text = path.read_text()
    for old, new in replaced.items():
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text)


@dataclass
class Load:
    """Visitors of every app, and one learner who deploys all the time."""

    platform: Installed
    apps: Sequence[MarkedApp]
    visits: int = 0
    failed: list[str] = field(default_factory=list)
    deployed: list[dict[str, Any]] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator["Load"]:
        works = [threading.Thread(target=self._visit, args=(app,)) for app in self.apps]
        works.append(threading.Thread(target=self._deploy, args=(self.apps[-1],)))
        for work in works:
            work.start()
        try:
            yield self
        finally:
            self._stopped.set()
            for work in works:
                work.join()

    def _visit(self, app: MarkedApp) -> None:
        while not self._stopped.wait(_PAUSE):
            try:
                status = self.platform.visit(app.app["url"]).status_code
            except httpx2.TransportError as error:
                status = repr(error)
            self.visits += 1
            if status != 200:
                self.failed.append(f"{app.app_id}: {status}")

    def _deploy(self, app: MarkedApp) -> None:
        number = 0
        while not self._stopped.is_set():
            number += 1
            try:
                commit = app.deploy(f"busy {number}")
            except (httpx2.TransportError, AssertionError):  # while the server is replaced
                self._stopped.wait(0.5)
                continue
            self.deployed.append(self._ended(app, commit))

    def _ended(self, app: MarkedApp, commit: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            try:
                shown = app.status()
            except (httpx2.TransportError, AssertionError):
                return None
            return shown if shown["commit"] == commit and shown["stage"] in ENDED else None

        return dict(eventually(f"{commit} ends", look, _LIVE_SECONDS))


@pytest.fixture
def apps(platform: Installed) -> list[MarkedApp]:
    """Apps of people in shards of their own, in the order of the shards."""
    found: dict[str, MarkedApp] = {}
    while len(found) < 4:
        app = MarkedApp.create(platform, platform.product.sign_up(), "first")
        app.live(app.app["commit"])
        found[app.shard] = app
    return [found[shard] for shard in sorted(found)]


@pytest.fixture
def exchange(platform: Installed) -> Iterator[Any]:
    """Replaces the server by that of another release; at the end this one serves again."""
    product = platform.product

    def start(source: Path) -> None:
        assert product.stop() == 0
        product.source = source
        product.start()

    yield start
    if product.source != ROOT:
        start(ROOT)


def grace(platform: Installed, app: MarkedApp) -> str:
    """What the release's template says, as the cluster has it."""
    path = "-o=jsonpath={.spec.template.spec.terminationGracePeriodSeconds}"
    where = ("-n", namespace_of(app.owner.user_id))
    return platform.cluster.kubectl("get", "deployment", app.app_id, *where, path)


def test_templates_change_shard_by_shard_and_back_and_no_visitor_notices(
    platform: Installed, apps: list[MarkedApp], exchange: Any, tmp_path: Path
) -> None:
    *quiet, _ = apps
    shards = [app.shard for app in apps]
    newer = {f"{_GRACE}30": f"{_GRACE}45"}
    second = release(tmp_path / "second", RENDERER_VERSION + 1, **newer)
    broken = {"value: {{ app.entrypoint }}": "value: missing.py"}
    third = release(tmp_path / "third", RENDERER_VERSION + 2, **newer | broken)

    def tips() -> list[str]:
        return [platform.repository("rev-parse", f"flux/{app.shard}") for app in quiet]

    def run(source: Path, *arguments: str) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
        image = platform.product.settings["RUNNER_IMAGE"]
        given = ("--shards", ",".join(shards), *arguments)
        status, report = rerender(platform, *given, image=image, source=source)
        return status, report.get("shards", []), report

    with Load(platform, apps).running() as load:
        stood = tips()
        exchange(second)
        assert tips() == stood, "a release alone restarts nobody"
        status, done, _ = run(second)
        assert (status, {row["state"] for row in done}) == (0, {"done"}), done
        # One after the other; the last one's deploys may have brought it there already.
        assert [row["shard"] for row in done][: len(quiet)] == shards[:-1]
        assert [grace(platform, app) for app in apps] == ["45"] * 4

        stood = tips()
        status, done, report = run(third, "--deadline", "40")
        assert (status, report["stopped"], report["untouched"]) == (1, True, shards[1:]), report
        [stopped] = done
        assert [worse["app_id"] for worse in stopped["worse"]] == [quiet[0].app_id]
        assert "missing.py" in stopped["worse"][0]["message"]
        assert tips()[1:] == stood[1:]
        for app in quiet:
            app.serves("first")  # the old pods go on

        status, _, report = run(second)
        assert (status, "A newer release has published" in report["refused"]) == (1, True), report
        status, done, _ = run(second, "--accept-older")
        assert (status, {row["state"] for row in done}) == (0, {"done"}), done
        mended = quiet[0].deploy("mended")
        quiet[0].live(mended)

        exchange(ROOT)
        status, done, _ = run(ROOT, "--accept-older")
        assert (status, {row["state"] for row in done}) == (0, {"done"}), done
        assert [grace(platform, app) for app in apps] == ["30"] * 4
        quiet[1].live(quiet[1].deploy("after the downgrade"))
        before = len(load.deployed)
        eventually("people go on", lambda: len(load.deployed) > before, _LIVE_SECONDS)
    print(f"{load.visits} visits, {len(load.deployed)} deploys")  # noqa: T201  (the drill's figures)
    assert load.failed == []
    assert {shown["stage"] for shown in load.deployed} == {"live"}
