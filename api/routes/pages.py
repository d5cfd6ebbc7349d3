"""What browsers open on the platform's origin: the editor, the API's documentation, old links."""

from pathlib import Path
from typing import Final

import fastapi_offline
from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from api.dependencies import CurrentPlatform
from api.errors import NotFound

router = APIRouter(include_in_schema=False)

# The wheel's copy of Swagger UI: nothing comes from another host, and the content security policy
# allows no inline script, hence a page of our own.
_SWAGGER: Final = Path(fastapi_offline.__file__).parent / "static"
_SWAGGER_FILES: Final = frozenset(("favicon.png", "swagger-ui-bundle.js", "swagger-ui.css"))
_DOCS_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>FastAPI Platform: API</title>
<link rel="icon" href="/api/docs/favicon.png">
<link rel="stylesheet" href="/api/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/api/docs/swagger-ui-bundle.js"></script>
<script src="/api/docs/start.js"></script>
</body>
</html>
"""
_DOCS_SCRIPT: Final = """\
SwaggerUIBundle({url: "/api/openapi.json", dom_id: "#swagger-ui", deepLinking: true});
"""


@router.get("/api/docs")
async def docs() -> HTMLResponse:
    """Swagger UI over the API's OpenAPI document."""
    return HTMLResponse(_DOCS_PAGE)


@router.get("/api/docs/{name}")
async def docs_file(name: str) -> Response:
    """The scripts and styles of Swagger UI."""
    if name == "start.js":
        return Response(_DOCS_SCRIPT, media_type="text/javascript")
    if name not in _SWAGGER_FILES:
        raise HTTPException(404)
    return FileResponse(_SWAGGER / name)


@router.api_route(
    "/user/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
)
async def app_moved(request: Request, platform: CurrentPlatform) -> RedirectResponse:
    """Apps live on another origin, which cannot read what the editor keeps in the browser."""
    scope = request.scope
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope["query_string"]
    target = path.decode("latin-1") + (f"?{query.decode('latin-1')}" if query else "")
    # Not remembered by browsers: the apps' origin is a setting.
    headers = {"Cache-Control": "no-store"}
    return RedirectResponse(platform.settings.apps_origin + target, 308, headers)


class Editor:
    """Serves the built editor for every address that no route knows; a page of it answers `/`.

    It takes the router's place for unknown addresses, instead of a mount, so that a wrong method
    on a route is still told as such.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = StaticFiles(directory=folder, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a file, else with the editor's page, which reads the address itself."""
        path: str = scope["path"]
        is_page = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if not is_page or path == "/api" or path.startswith("/api/") or "\0" in path:
            raise HTTPException(404)
        response = await self._file(self._files.get_path(scope), scope)
        if response is None and "." not in path.rpartition("/")[2]:
            response = await self._file("index.html", scope)
            if response is None:
                raise NotFound(
                    "The editor is not built.",
                    code="editor_not_built",
                    hint="`make run` builds it; the API is shown at /api/docs.",
                )
        if response is None:
            raise HTTPException(404)
        # Vite names assets by their content; everything else must be asked for again.
        hashed = path.startswith("/assets/")
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if hashed else "no-cache"
        )
        await response(scope, receive, send)

    async def _file(self, path: str, scope: Scope) -> Response | None:
        try:
            return await self._files.get_response(path, scope)
        except HTTPException:
            return None
