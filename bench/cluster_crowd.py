"""Fills an installed platform with apps of other people, in bulk, as if all had been deployed.

Both sides are written at once: intents on `main`, and the shards' branches as the platform's own
renderer and key make them. Of five apps four are asleep (no pods, no route). The fifth has its
route; its Deployment has no pods, and an EndpointSlice leads the router to one stub server, so that
the router carries what it would and two cores are not asked for 200 Python processes.
"""

import asyncio
import json
import secrets
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import httpx2
import yaml

from api.clients.git_trees import Edit
from api.clients.gitops_repo import Change, GitopsRepo
from api.domain.commit_message import COMMITTER, publish_message
from api.domain.flux_objects import NAMESPACE
from api.domain.manifests import (
    RENDERER_VERSION,
    AppSource,
    RenderSettings,
    Templates,
    intent_digest,
    render_app,
    render_tenant,
)
from api.domain.names import AppRef, app_path, namespace_of, shard_of
from api.domain.repo_layout import (
    EMPTY_OVERLAY,
    MAIN,
    AppFile,
    TenantFile,
    app_folder,
    dump,
    shard_branch,
    tenant_folder,
)
from tests.cluster.platform import APPS_HOST, Installed
from tests.product import eventually

_CODE: Final = b"from fastapi import FastAPI\n\napp = FastAPI()\n"
_APPS_EACH: Final = 4
_AWAKE_OF: Final = 5  # every fifth
_DIGITS: Final = 2
_SLICES_AT_ONCE: Final = 50
_APPLIED_SECONDS: Final = 900.0
_ROUTED_SECONDS: Final = 120.0
_TEMPLATES: Final = Templates.load()


@dataclass(frozen=True)
class Neighbour:
    """One tenant with some apps."""

    tenant: TenantFile
    apps: tuple[AppFile, ...]  # awake are those whose state is `running`

    @property
    def shard(self) -> str:
        """Where they belong."""
        return shard_of(self.tenant.user, _DIGITS)

    @property
    def awake(self) -> list[AppRef]:
        """The apps that have a route."""
        return [AppRef(app.user, app.id) for app in self.apps if app.state == "running"]


def crowd(apps: int, shard: str | None = None) -> list[Neighbour]:
    """So many apps, four of each person, a fifth of them awake; all in one shard if one is given.

    Ids are random, as those of people are.
    """
    people: list[Neighbour] = []
    for first in range(0, apps, _APPS_EACH):
        user = "u" + secrets.token_hex(5)
        while shard is not None and shard_of(user, _DIGITS) != shard:
            user = "u" + secrets.token_hex(5)
        numbers = range(first, min(first + _APPS_EACH, apps))
        tenant = TenantFile(user=user, username=user, created=datetime.now(UTC))
        files = tuple(
            AppFile(
                id=f"app{number}-{user[1:]}",
                user=user,
                name=f"App {number}",
                state="hibernated" if number % _AWAKE_OF else "running",
            )
            for number in numbers
        )
        people.append(Neighbour(tenant, files))
    return people


@dataclass(frozen=True)
class Filler:
    """Writes crowds to an installed platform's repository."""

    platform: Installed
    repo: GitopsRepo  # the shared repository itself, with the platform's key
    settings: RenderSettings

    def fill(self, people: list[Neighbour]) -> dict[str, Edit]:
        """Write them, while the platform is down, and have Flux apply them; what was rendered.

        The files are by path on their shards' branches. Raises AssertionError when Flux does not
        follow in time.
        """
        self.platform.product.stop()
        moves, rendered = asyncio.run(self._write(people))
        move(self.repo, moves)
        self.platform.product.start()
        self._wait_for_flux(moves)
        return rendered

    async def _write(self, people: list[Neighbour]) -> tuple[dict[str, str], dict[str, Edit]]:
        """The commits that branches are to point at, and all files rendered."""
        heads, shards = await self.repo.heads(), dict[str, dict[str, Edit]]()
        with self.repo.gathering():
            main = await self._write_main(heads[MAIN], people)
            for person in people:
                rendered = await self._rendered(person, main)
                shards.setdefault(shard_branch(person.shard), {}).update(rendered)
            message = publish_message("publish many", main, RENDERER_VERSION)
            moves = {
                branch: await self.repo.compose(heads[branch], edits, message)
                for branch, edits in shards.items()
            }
        await self.repo.store()
        files = {path: data for edits in shards.values() for path, data in edits.items()}
        return {MAIN: main} | moves, files

    async def _write_main(self, tip: str, people: list[Neighbour]) -> str:
        edits: dict[str, Edit] = {}
        for person in people:
            folder = tenant_folder(person.tenant.user, _DIGITS)
            edits[f"{folder}/tenant.yaml"] = dump(person.tenant)
            for app in person.apps:
                folder = app_folder(AppRef(app.user, app.id), _DIGITS)
                edits |= {f"{folder}/{path}": data for path, data in _entries(app).items()}
        change = Change(edits, "Import\n\nAction: deploy\n", COMMITTER)
        [commit] = await self.repo.build(tip, [change])
        return str(commit)

    async def _rendered(self, person: Neighbour, main: str) -> dict[str, Edit]:
        user = person.tenant.user
        objects = render_tenant(_TEMPLATES, person.tenant, self.settings, person.shard)
        files: dict[str, Edit] = {f"{user}/{name}": data for name, data in objects.items()}
        for app in person.apps:
            ids = await self.repo.children(main, app_folder(AppRef(user, app.id), _DIGITS))
            intent = intent_digest(app, ids["code"].id, ids["overlay"].id, None)
            rendered = render(app, _CODE, intent, self.settings, pods=False)
            files |= {f"{user}/{app.id}/{path}": data for path, data in rendered.items()}
        return files

    def _wait_for_flux(self, moves: dict[str, str]) -> None:
        cluster = self.platform.cluster
        now = f"reconcile.fluxcd.io/requestedAt={time.time_ns()}"
        cluster.kubectl(
            *("annotate", "--overwrite", "gitrepositories", "--all", "-n", NAMESPACE, now)
        )
        wanted = {
            branch.replace("flux/", "shard-"): f"{branch}@sha1:{tip}"
            for branch, tip in moves.items()
            if branch != MAIN
        }

        def missing() -> set[str]:
            text = cluster.kubectl("get", "kustomizations", "-n", NAMESPACE, "-o", "json")
            applied = {
                entry["metadata"]["name"]: entry.get("status", {}).get("lastAppliedRevision")
                for entry in json.loads(text)["items"]
            }
            return {name for name, revision in wanted.items() if applied.get(name) != revision}

        end = time.monotonic() + _APPLIED_SECONDS
        while late := missing():
            if time.monotonic() > end:
                raise AssertionError(f"Flux has not applied {len(late)} shards: {sorted(late)[:5]}")
            time.sleep(3)


def render(
    app: AppFile, code: bytes, intent: str, settings: RenderSettings, *, pods: bool
) -> dict[str, bytes]:
    """An app's whole folder on its shard's branch; without pods, also where it is awake."""
    source = AppSource(app, ("user_code.py",), (), intent)
    running = app.state == "running"
    files = render_app(_TEMPLATES, source, settings, running=running, serving=None)
    if not pods:
        path = "generated/deployment.yaml"
        files[path] = files[path].replace(b"  replicas: 1\n", b"  replicas: 0\n")
    return _entries(app, code) | files


def _entries(app: AppFile, code: bytes = _CODE) -> dict[str, bytes]:
    return {
        "app.yaml": dump(app),
        "code/user_code.py": code,
        "overlay/kustomization.yaml": EMPTY_OVERLAY,
    }


def move(repo: GitopsRepo, branches: dict[str, str]) -> None:
    """Let branches point at commits, all at once."""
    text = "".join(f"update refs/heads/{branch} {tip}\n" for branch, tip in branches.items())
    command = ("git", "-C", repo.path, "update-ref", "--stdin")
    subprocess.run(command, input=text.encode(), check=True, timeout=60)


class _Stub(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(httpx2.codes.OK)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name upstream)
        """Quiet."""


@contextmanager
def stub_server(address: str) -> Iterator[int]:
    """Answers for all apps that are awake but have no pods; its port."""
    with ThreadingHTTPServer((address, 0), _Stub) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def lead_to_stub(platform: Installed, people: Iterable[Neighbour], port: int) -> None:
    """Give the awake apps an endpoint, and wait until the router answers for every one."""
    address = platform.cluster.node_address
    awake = [ref for person in people for ref in person.awake]
    slices = [_slice(ref, address, port) for ref in awake]
    for first in range(0, len(slices), _SLICES_AT_ONCE):
        platform.cluster.apply(yaml.safe_dump_all(slices[first : first + _SLICES_AT_ONCE]))
    with httpx2.Client(
        base_url=platform.cluster.apps_url, headers={"Host": APPS_HOST}, trust_env=False
    ) as http:
        for ref in awake:
            routed = partial(_answers, http, f"{app_path(ref)}/")
            eventually(f"the router knows {ref}", routed, _ROUTED_SECONDS)


def _answers(http: httpx2.Client, path: str) -> bool:
    return http.get(path).is_success


def _slice(ref: AppRef, address: str | None, port: int) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{ref.app_id}-stub",
            "namespace": namespace_of(ref.user_id),
            "labels": {"kubernetes.io/service-name": ref.app_id},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }
