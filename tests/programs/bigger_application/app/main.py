from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates

from .config import get_settings
from .dependencies import get_token_header
from .internal import admin
from .routers import items, users

app = FastAPI(title=get_settings().app_name)
app.include_router(users.router)
app.include_router(items.router, dependencies=[Depends(get_token_header)])
app.include_router(
    admin.router,
    prefix="/admin",
    tags=["admin"],
    dependencies=[Depends(get_token_header)],
    responses={418: {"description": "I'm a teapot"}},
)
app.mount("/static", StaticFiles(directory="static"), name="static")

subapi = FastAPI(title="Version 1")


@subapi.get("/status")
def read_status(request: Request):
    return {"version": 1, "here": str(request.url_for("read_status"))}


app.mount("/v1", subapi)

templates = Jinja2Templates(directory="templates")


@app.get("/", response_class=HTMLResponse)
async def home(request: Request):
    return templates.TemplateResponse(request=request, name="home.html", context={"items": items.db})


@app.get("/health")
async def health():
    return {"health": "my own"}
