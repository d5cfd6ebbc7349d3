"""`python -m api rerender` beside a platform that serves real apps."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api import publishing
from api.domain import made_with, manifests
from api.domain.manifests import TEMPLATES, Templates
from api.domain.names import shard_of
from api.opening import open_rerender
from api.rerender import Pace, Rendered
from api.settings import Settings
from tests.product import ROOT, Person, Product, eventually
from tests.publishing.stack import HELLO

NOW = manifests.RENDERER_VERSION
IMAGE = "registry.example.org/runner:next"


@pytest.fixture
def product(tmp_path) -> Iterator[Product]:
    with Product(tmp_path / "data") as running:
        yield running


def rerender(
    product: Product, *arguments: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api", "rerender", *arguments],
        cwd=ROOT,
        env=product.environment() | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def people_with_apps(product: Product, count: int) -> dict[str, tuple[Person, str, str]]:
    """A live app in each of so many shards: the person, the app and its address."""
    found: dict[str, tuple[Person, str, str]] = {}
    while len(found) < count:
        person = product.sign_up()
        shard = shard_of(person.user_id, 2)
        if shard not in found:
            app = person.create("One", {"user_code.py": HELLO})
            found[shard] = (person, app["app_id"], app["url"])
    for person, app_id, _ in found.values():
        person.live(app_id)
    return dict(sorted(found.items()))


def image_of(product: Product, shard: str, person: Person, app_id: str) -> str:
    path = f"{person.user_id}/{app_id}/generated/deployment.yaml"
    text = product.git("show", f"flux/{shard}:{path}")
    return next(line.split('"')[1] for line in text.splitlines() if "image:" in line)


def test_every_app_gets_the_new_image_shard_by_shard_and_serves_on(product: Product):
    apps = people_with_apps(product, 3)
    dry = rerender(product, "--dry-run", "--json", RUNNER_IMAGE=IMAGE)
    assert dry.returncode == 0, dry.stderr
    rows = json.loads(dry.stdout)
    assert [row["shard"] for row in rows] == list(apps)
    assert all(IMAGE in row["why"] for row in rows)
    first, *others = apps
    one = rerender(product, "--shards", first, RUNNER_IMAGE=IMAGE)
    assert one.returncode == 0, one.stderr
    assert "1 of 1 ready again" in one.stderr
    done = rerender(product, "--json", RUNNER_IMAGE=IMAGE)
    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads(done.stdout)
    assert (report["watched"], report["stopped"]) == (True, False)
    assert [row["shard"] for row in report["shards"]] == others, "the first one was done"
    assert [row["watched"] for row in report["shards"]] == [1, 1]
    for shard, (person, app_id, url) in apps.items():
        assert image_of(product, shard, person, app_id) == IMAGE
        assert product.visit(f"{url}openapi.json").is_success
    again = rerender(product, RUNNER_IMAGE=IMAGE)
    assert again.stdout.startswith("Nothing to render anew")


def test_what_cannot_be_asked_for_is_refused(product: Product):
    for wrong in ("--shards=zz", "--shards=", "--at-once=0", "--deadline=-1"):
        done = rerender(product, wrong)
        assert done.returncode == 2, wrong
        assert "Traceback" not in done.stderr
    absent = rerender(product, "--shards=abc")
    assert absent.returncode == 1
    assert "There is no shard abc" in absent.stderr


def test_without_a_platform_that_runs_it_says_so_and_goes_on(product: Product):
    apps = people_with_apps(product, 2)
    product.stop()
    done = rerender(product, RUNNER_IMAGE=IMAGE)
    assert done.returncode == 0, done.stderr
    assert "Nothing runs here, so there is no health to watch." in done.stderr
    product.start()
    for shard, (person, app_id, url) in apps.items():
        assert image_of(product, shard, person, app_id) == IMAGE
        eventually("it serves", lambda url=url: product.visit(f"{url}openapi.json").is_success)


class NewRelease:
    """The next release's command, in this process: the platform beside it is the real one."""

    def __init__(self, product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = Settings(data_dir=product.data_dir)
        self.monkeypatch = monkeypatch
        for module in (manifests, made_with, publishing):
            monkeypatch.setattr(module, "RENDERER_VERSION", NOW + 1)

    def with_templates(self, replaced: Mapping[str, str]) -> None:
        texts = {
            path.relative_to(TEMPLATES).as_posix(): path.read_text()
            for path in TEMPLATES.rglob("*.yaml")
        }
        for old, new in replaced.items():
            deployment = texts["app/generated/deployment.yaml"]
            assert old in deployment
            texts["app/generated/deployment.yaml"] = deployment.replace(old, new)
        self.monkeypatch.setattr(Templates, "load", lambda: Templates(texts))

    def rerender(self, seconds: float) -> list[Rendered]:
        async def work() -> list[Rendered]:
            async with open_rerender(self.settings) as opened:
                order = list(await opened.stale())
                return await opened.run(order, Pace(4, seconds), lambda _: None)

        return asyncio.run(work())


def serving(product: Product, apps: Mapping[str, tuple[Person, str, str]]) -> list[bool]:
    return [product.visit(f"{url}openapi.json").is_success for *_, url in apps.values()]


def test_a_template_that_breaks_apps_stops_after_one_shard_and_the_next_release_goes_on(
    product: Product, monkeypatch: pytest.MonkeyPatch
):
    apps = people_with_apps(product, 3)
    first, _, third = apps
    app_id = apps[first][1]
    tips = {shard: product.git("rev-parse", f"flux/{shard}") for shard in apps}
    release = NewRelease(product, monkeypatch)
    release.with_templates({"{{ app.entrypoint }}": "missing.py"})
    with ThreadPoolExecutor(1) as threads:
        rendering = threads.submit(release.rerender, 45)
        moves = "the first shard moves"
        eventually(moves, lambda: product.git("rev-parse", f"flux/{first}") != tips[first])
        learner, third_app, _ = apps[third]
        changed = {"files": {"user_code.py": HELLO + "# mine\n"}}
        learner.ok("PUT", f"/api/apps/{third_app}", json=changed)
        learner.live(third_app)
        assert not rendering.done(), "nobody waits for a rerender"
        [stopped] = rendering.result(90)
    tips[third] = product.git("rev-parse", f"flux/{third}")
    assert (stopped.shard, stopped.state) == (first, "worse")
    assert [worse.ref.app_id for worse in stopped.worse] == [app_id]
    assert stopped.worse[0].message == "There is no file missing.py to take `app` from."
    moved = [s for s, tip in tips.items() if product.git("rev-parse", f"flux/{s}") != tip]
    assert moved == [first]
    assert serving(product, apps) == [True] * 3, "what ran before goes on"

    release = NewRelease(product, monkeypatch)
    for module in (manifests, made_with, publishing):
        monkeypatch.setattr(module, "RENDERER_VERSION", NOW + 2)
    release.with_templates({})
    done = release.rerender(60)
    assert [result.state for result in done] == ["done"] * 3
    assert serving(product, apps) == [True] * 3
    assert Path(product.data_dir / "run/observed.json").stat().st_mode & 0o077 == 0
    product.stop()
    assert not (product.data_dir / "run/observed.json").exists()
