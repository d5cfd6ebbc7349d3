"""Rendered folders for the tests."""

from datetime import UTC, datetime

from api.clients.kustomize import Kustomize
from api.domain.manifests import (
    AppSource,
    RenderSettings,
    Templates,
    intent_digest,
    render_app,
)
from api.domain.repo_layout import EMPTY_OVERLAY, AppFile, TenantFile

TEXTS = Templates.load()
SETTINGS = RenderSettings("registry.example/runner:1.0@sha256:" + "a" * 64)
TENANT = TenantFile(user="uabc", username="ann", created=datetime(2026, 1, 1, tzinfo=UTC))
LONG_ID = "a" + "b" * 39
FILES = ("user_code.py", "static/style.css", "routers/items.py")
FOLDER = {f"code/{path}": f"# {path}\n".encode() for path in FILES}


def app(**fields) -> AppFile:
    return AppFile(**{"id": "shop1", "user": "uabc", "name": "My shop"} | fields)


def source(file: AppFile | None = None, files: tuple[str, ...] = FILES) -> AppSource:
    file = file or app()
    return AppSource(file, files, (), intent_digest(file, "1" * 40, "2" * 40, None))


def render(file: AppFile | None = None, *, running: bool = True, **options) -> dict[str, bytes]:
    options = {"serving": None, "settings": SETTINGS} | options
    given_settings = options.pop("settings")
    return render_app(TEXTS, source(file), given_settings, running=running, **options)


async def build(files: dict[str, bytes], **more: bytes) -> dict[tuple[str, str], dict]:
    folder = {**files, **FOLDER, "overlay/kustomization.yaml": EMPTY_OVERLAY, **more}
    objects = await Kustomize().build(folder)
    return {(entry["kind"], entry["metadata"]["name"]): entry for entry in objects}


def container(deployment: dict) -> dict:
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    return only
