"""`kill -9` at random moments of a deploy: nothing acknowledged is lost, everything converges."""

import secrets
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil
import yaml

from api.domain.manifests import (
    AppSource,
    RenderSettings,
    Serving,
    Templates,
    intent_digest,
    render_app,
)
from api.domain.names import AppRef, shard_of
from api.domain.publication import shall_run
from api.domain.repo_layout import app_folder, parse_app, parse_tenant
from tests.product import Person, Product, eventually

ROUNDS = 10
DIGITS = 2


def says(word: str) -> str:
    return (
        "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n"
        f'@app.get("/")\ndef root() -> str:\n    return "{word}"\n'
    )


@dataclass
class Attempt:
    """One deploy that is interrupted; `answer` is what the person got, if anything."""

    owner: Person
    app_id: str
    word: str
    answer: dict[str, Any] = field(default_factory=dict)

    def run(self) -> None:
        body = {"files": {"user_code.py": says(self.word)}}
        try:
            sent = self.owner.http.put(f"/api/apps/{self.app_id}", json=body)
        except httpx2.TransportError:
            return
        if sent.status_code == 202:
            self.answer = sent.json()


def in_git(product: Product, *arguments: str) -> str:
    return product.git(*arguments).strip()


def entry_ids(product: Product, commit: str, folder: str) -> dict[str, str]:
    """Object ids of an app's four entries; absent ones are left out."""
    listed = product.git("ls-tree", f"{commit}:{folder}").splitlines()
    found = {line.partition("\t")[2]: line.split()[2] for line in listed}
    return {
        name: found[name] for name in ("app.yaml", "code", "overlay", "secrets") if name in found
    }


def files_below(product: Product, commit: str, folder: str) -> tuple[str, ...]:
    return tuple(product.git("ls-tree", "-r", "--name-only", f"{commit}:{folder}").splitlines())


def assert_is_a_render_of_itself(product: Product, ref: AppRef) -> None:
    """Every generated file is what the renderer makes of the entries beside it."""
    branch, folder = f"flux/{shard_of(ref.user_id, DIGITS)}", f"{ref.user_id}/{ref.app_id}"
    ids = entry_ids(product, branch, folder)
    app = parse_app(product.git("show", f"{branch}:{folder}/app.yaml").encode())
    tenant_path = f"apps/{shard_of(ref.user_id, DIGITS)}/{ref.user_id}/tenant.yaml"
    tenant = parse_tenant(product.git("show", f"main:{tenant_path}").encode())
    intent = intent_digest(app, ids["code"], ids.get("overlay"), ids.get("secrets"))
    code = files_below(product, branch, f"{folder}/code")
    kustomization = product.git("show", f"{branch}:{folder}/kustomization.yaml")
    said = yaml.safe_load(kustomization)
    serving = None
    if kept := said["metadata"]["annotations"].get("fastapi-platform/serving-intent"):
        names = [generator["name"] for generator in said["configMapGenerator"]]
        serving = Serving(kept, names[1], files_below(product, branch, f"{folder}/serving"))
    image = said["metadata"]["annotations"]["fastapi-platform/runner-image"]
    rendered = render_app(
        Templates.load(),
        AppSource(app, code, (), intent),
        RenderSettings(runner_image=image, trusted_proxies="127.0.0.1,::1"),
        running=shall_run(app, tenant),
        serving=serving,
    )
    published = {
        path: product.git("show", f"{branch}:{folder}/{path}").encode()
        for path in files_below(product, branch, folder)
        if path == "kustomization.yaml" or path.startswith("generated/")
    }
    assert published == rendered


def left_behind(product: Product) -> list[psutil.Process]:
    """Processes of an installation that is not running any more."""
    found = []
    for process in psutil.process_iter():
        try:
            told = process.environ().get("DATA_DIR"), *process.cmdline()
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if any(part and str(product.data_dir) in part for part in told):
            found.append(process)
    return found


def test_nothing_acknowledged_is_lost_and_everything_converges(tmp_path: Path):
    moments = secrets.SystemRandom()
    with Product(tmp_path / "data") as product:
        owner = product.sign_up()
        app = owner.create("Survivor", {"user_code.py": says("start")})
        bystander = owner.create("Bystander", {"user_code.py": says("bystander")})
        owner.live(app["app_id"])
        owner.live(bystander["app_id"])
        ref = AppRef(owner.user_id, app["app_id"])
        acknowledged = [app["commit"], bystander["commit"]]
        for number in range(ROUNDS):
            attempt = Attempt(owner, ref.app_id, f"round {number}")
            sender = threading.Thread(target=attempt.run)
            sender.start()
            time.sleep(moments.uniform(0, 1.6))
            product.kill(everything=bool(number % 2))
            sender.join()
            if attempt.answer:
                acknowledged.append(attempt.answer["commit"])

            product.git("fsck", "--strict", "--no-dangling")
            product.start()
            for commit in acknowledged:
                product.git("merge-base", "--is-ancestor", commit, "main")
            wanted = product.git("show", f"main:{app_folder(ref, DIGITS)}/code/user_code.py")
            if attempt.answer:
                assert wanted == says(attempt.word)
            owner.live(ref.app_id)
            assert says(product.visit(app["url"]).json()) == wanted
            eventually(
                "the bystander is back",
                lambda: product.visit(bystander["url"]).status_code == 200,
            )
            branch = f"flux/{shard_of(ref.user_id, DIGITS)}"
            on_main = entry_ids(product, "main", app_folder(ref, DIGITS))
            assert entry_ids(product, branch, f"{ref.user_id}/{ref.app_id}") == on_main
            assert_is_a_render_of_itself(product, ref)
    eventually("nothing is left behind", lambda: not left_behind(product), 10)


def test_an_interrupted_deploy_can_be_sent_again_without_harm(product: Product):
    owner = product.sign_up()
    app = owner.create("Twice", {"user_code.py": says("once")})
    owner.live(app["app_id"])
    before = in_git(product, "rev-parse", "main")
    again = owner.ok(
        "PUT", f"/api/apps/{app['app_id']}", json={"files": {"user_code.py": says("once")}}
    )
    assert again["commit"] == app["commit"]
    assert in_git(product, "rev-parse", "main") == before


def test_a_repeated_creation_with_its_key_makes_one_app(product: Product):
    owner = product.sign_up()
    body = {"name": "Once", "files": {"user_code.py": says("once")}}
    key = {"Idempotency-Key": secrets.token_hex(8)}
    first = owner.ok("POST", "/api/apps", json=body, headers=key)
    second = owner.ok("POST", "/api/apps", json=body, headers=key)
    assert first["app_id"] == second["app_id"]
    assert len(owner.ok("GET", "/api/apps")["apps"]) == 1


def test_everything_ends_with_the_platform(tmp_path: Path):
    with Product(tmp_path / "data") as product:
        owner = product.sign_up()
        owner.live(owner.create("Short", {"user_code.py": says("short")})["app_id"])
        started = product.processes()
        assert len(started) >= 3  # itself, the router, the app
        assert product.stop() == 0
    eventually("its processes are gone", lambda: not any(p.is_running() for p in started), 10)
