"""The application with its real database and an empty data folder, but without router and apps."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import httpx2
from fastapi import FastAPI

from api.dependencies import Records
from api.local.cluster import LocalCluster
from api.main import create_app
from api.opening import open_records
from api.settings import Settings

PASSWORD = "correct horse battery staple"


class Application:
    """The application, what it keeps, and clients at any address."""

    def __init__(self, app: FastAPI, records: Records) -> None:
        self.app = app
        self.records = records

    def client(self, address: str = "192.0.2.1", token: str | None = None) -> httpx2.AsyncClient:
        """A browser at this address."""
        return httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.app, client=(address, 50000)),
            base_url="http://platform.test",
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )

    async def sign_up(
        self, username: str, *, address: str = "192.0.2.1", **fields: str
    ) -> httpx2.Response:
        """Ask for an account; returns the answer, whatever it is."""
        body = {"username": username, "email": f"{username}@example.org", "password": PASSWORD}
        async with self.client(address) as client:
            return await client.post("/api/auth/signup", json=body | fields)

    async def log_in(
        self, username: str, password: str = PASSWORD, address: str = "192.0.2.1"
    ) -> httpx2.Response:
        """Ask for a token; returns the answer, whatever it is."""
        async with self.client(address) as client:
            return await client.post(
                "/api/auth/login", json={"username": username, "password": password}
            )

    async def token(self, username: str) -> str:
        """A token of a new person."""
        assert (await self.sign_up(username)).status_code == 201
        return str((await self.log_in(username)).json()["access_token"])

    async def me(self, token: str) -> httpx2.Response:
        """Who the token says that I am."""
        async with self.client(token=token) as client:
            return await client.get("/api/auth/me")


@asynccontextmanager
async def application(settings: Settings) -> AsyncIterator[Application]:
    """Open it; what routes find at `app.state.platform` is the part that accounts need."""
    app = create_app(settings)
    async with open_records(settings) as records:
        app.state.platform = SimpleNamespace(
            settings=settings,
            records=records,
            cluster=LocalCluster,
            catching_up=None,
            webhooks=None,
            checks={},
        )
        yield Application(app, records)
