"""`python -m api …`: what an operator runs. Exit status: 0 done, 1 refused or failed, 2 misused."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import typer
import uvicorn
from pydantic import BaseModel

from api import (
    admin_commands,
    adoption_commands,
    check_commands,
    cleanup_commands,
    doctor_commands,
    history_commands,
    publish_commands,
    repository_commands,
    rerender_commands,
    settings_commands,
    store_commands,
)
from api.dependencies import Platform
from api.errors import Unavailable
from api.log import configure_logging
from api.main import create_app
from api.settings import Settings
from api.terminal import Json, load_settings, print_json, run

BACKLOG: Final = 2048  # connections waiting to be accepted: a class that starts at one moment
GRACE_SECONDS: Final = 5  # for open requests, such as event streams, when the server stops

app = typer.Typer(
    name="python -m api",
    help="Run and look after the platform.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(admin_commands.app, name="admin")
admin_commands.app.command("adopt")(adoption_commands.adopt)
app.add_typer(history_commands.audit, name="audit")
app.command()(check_commands.check)
app.command()(cleanup_commands.cleanup)
app.command()(doctor_commands.doctor)
app.command()(history_commands.reindex)
app.command("init-repo")(repository_commands.init_repo)
app.command()(publish_commands.publish)
app.command()(rerender_commands.rerender)
app.command("migrate-store")(store_commands.migrate_store)
app.command("settings")(settings_commands.print_settings)


class Addresses(BaseModel):
    """Where a served platform is found."""

    address: str
    apps_address: str
    data_folder: str
    isolated: bool


@app.command()
def serve(*, as_json: Json = False) -> None:
    """Serve the platform until it is interrupted."""
    settings = load_settings()
    configure_logging(form=settings.log_form)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # the banner says it
    run(_serve(settings, as_json=as_json))


@app.command()
def openapi(*, as_json: Json = False) -> None:  # noqa: ARG001  (it is JSON either way)
    """Print the API's OpenAPI document; types for the editor are made from it."""
    # Defaults instead of the environment: the same document everywhere.
    document = create_app(Settings.model_construct()).openapi()
    print_json(document)


async def _serve(settings: Settings, *, as_json: bool) -> None:
    with _listen(settings) as listener:
        app = create_app(settings)
        server = _Server(
            uvicorn.Config(
                app,
                lifespan="off",  # opened here: what cannot be opened is then told as it is
                ws="none",
                backlog=BACKLOG,
                log_config=None,
                access_log=False,  # the application writes its own line
                proxy_headers=False,  # the application believes TRUSTED_PROXIES only
                server_header=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            ),
            lambda: _started(app.state.platform, as_json=as_json),
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.handle_exit, number, None)
        async with app.router.lifespan_context(app):
            await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Prints the banner once it serves; signals are handled by the caller.

    uvicorn raises a signal again when it has stopped, which would end the process before the
    parts of the platform are closed.
    """

    def __init__(self, config: uvicorn.Config, banner: Callable[[], str]) -> None:
        super().__init__(config)
        self._banner = banner

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals to the caller."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve, then say so."""
        await super().startup(sockets)
        typer.echo(self._banner())


def _listen(settings: Settings) -> socket.socket:
    """The bound socket; raises Unavailable, before anything else is started, when it is in use."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            # Another program may be bound without listening yet: only this tells.
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise Unavailable(
            f"Cannot listen on {settings.host}, port {settings.port}: {error.strerror}.",
            hint="Stop the program that uses the port, or choose another with PORT=….",
        ) from error
    return listener


def _started(platform: Platform, *, as_json: bool) -> str:
    """What is printed once it serves."""
    settings = platform.settings
    addresses = Addresses(
        address=settings.platform_origin,
        apps_address=settings.apps_origin,
        data_folder=str(settings.data_dir.resolve()),
        isolated=platform.cluster.isolated,
    )
    return addresses.model_dump_json() if as_json else _banner(addresses)


def _banner(addresses: Addresses) -> str:
    lines = [
        "",
        f"  FastAPI Platform   {addresses.address}",
        f"  Apps               {addresses.apps_address}",
        f"  Data folder        {addresses.data_folder}",
    ]
    if not addresses.isolated:
        lines += [
            "",
            "  Apps are not isolated in this way of running: they are processes of this machine,",
            "  under your own user. Let in only people whom you would let use your computer.",
        ]
    return "\n".join([*lines, ""])
