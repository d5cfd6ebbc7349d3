"""The wiring: every part is made here, once, and handed to those who use it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Final

from fastapi import FastAPI
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api import __version__
from api.accounts import Accounts
from api.clients.metrics import Metrics
from api.clients.passwords import Passwords
from api.clients.rate_limits import RateLimits
from api.clients.sqlite import SqliteDatabase
from api.clients.sqlite_store import SCHEMA, SqliteStore
from api.clients.store import Store
from api.clients.tokens import Tokens, signing_keys
from api.dependencies import Check, Platform
from api.routes import auth, pages, platform
from api.routes.errors import ANY_ROUTE, add_error_handlers
from api.routes.middleware import BodyLimit, RequestLog, SecurityHeaders
from api.settings import Settings

DATABASE_FILE: Final = "platform.sqlite3"


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; nothing is opened, read or started before its lifespan begins."""
    settings = settings or Settings()
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.platform = await open_platform(settings, metrics, stack)
            yield

    app = FastAPI(
        title="FastAPI Platform",
        summary="Write a FastAPI app in the browser, deploy it by a commit, open its address.",
        version=__version__,
        lifespan=lifespan,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=ANY_ROUTE,
    )
    for module in (auth, platform, pages):
        app.include_router(module.router)
    app.router.default = pages.Editor(settings.frontend_dist)
    add_error_handlers(app)
    # The last one added is the first that a request meets.
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestLog, metrics=metrics)
    app.add_middleware(SecurityHeaders)
    if proxies := [part.strip() for part in settings.trusted_proxies.split(",") if part.strip()]:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=proxies)
    return app


async def open_platform(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> Platform:
    """Open every part, in the order in which they need each other; `stack` closes them again."""
    database = await stack.enter_async_context(open_database(settings))
    store = SqliteStore(database)
    accounts = await stack.enter_async_context(open_accounts(settings, store))
    checks: dict[str, Check] = {"database": store.check}
    return Platform(
        settings=settings, store=store, accounts=accounts, metrics=metrics, checks=checks
    )


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[SqliteDatabase]:
    """The database file; modules that keep rows bring their tables here."""
    path = settings.data_dir / DATABASE_FILE
    async with SqliteDatabase.open(path, SCHEMA) as database:
        yield database


@asynccontextmanager
async def open_accounts(settings: Settings, store: Store) -> AsyncIterator[Accounts]:
    """The use cases around accounts, for the server and for the operator's commands."""
    keys = await asyncio.to_thread(signing_keys, settings)
    passwords = await asyncio.to_thread(Passwords)
    try:
        yield Accounts(
            settings=settings,
            store=store,
            passwords=passwords,
            tokens=Tokens(keys, lifetime=timedelta(hours=settings.token_hours)),
            limits=RateLimits(),
        )
    finally:
        await asyncio.to_thread(passwords.close)
