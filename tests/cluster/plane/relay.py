"""Hands TCP connections on: pods reach through it what listens on this machine's loopback."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from typing import Final

_BYTES: Final = 65536
_CONNECT_SECONDS: Final = 5.0


@contextlib.contextmanager
def relayed(listen: tuple[str, int], to: tuple[str, int]) -> Iterator[tuple[str, int]]:
    """Relay while the context lasts; where it listens (a free port if that is 0)."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(to, _CONNECT_SECONDS) as there,
            ):
                there.settimeout(None)
                back = threading.Thread(target=_pump, args=(there, self.request), daemon=True)
                back.start()
                _pump(self.request, there)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True
        request_queue_size = 128

    with Server(listen, Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield listen[0], int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_BYTES):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
