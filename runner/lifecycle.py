"""The life of a runner: from its environment to its exit status."""

import io
import os
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import failure
from environment import Environment, WrongEnvironment, take_environment
from front import Front, adapt
from learner_code import NoApp, copy_files, load_app, make_importable
from probes import Health, start_probes
from server import log_errors, make_server


class Ending(Exception):
    """The process ends with this exit status; why is already written."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def main(when_loaded: Callable[[], None]) -> int:
    """Run until asked to stop; the exit status, one of failure.py's."""
    for asked in (signal.SIGTERM, signal.SIGINT):
        # As process 1 of a pod, a signal without a handler would be ignored.
        signal.signal(asked, lambda *_: os._exit(failure.STOPPED))
    write_at_once()
    leave_imports_to_learner()
    try:
        return run(take_environment(), when_loaded)
    except WrongEnvironment as error:
        failure.print_failure(str(error))
        return failure.WRONG_ENVIRONMENT
    except Ending as ending:
        return ending.status


def run(environment: Environment, when_loaded: Callable[[], None]) -> int:
    """Load the app and serve it; the exit status. Raises Ending when it cannot be served."""
    health = Health(environment.intent)
    listener = bind(environment.host, environment.port)
    probes = bind(environment.host, environment.probe_port)
    probes.listen()
    start_probes(probes, health, environment.parent_fd)
    try:
        files = copy_files(environment.source, environment.workdir)
    except OSError as error:
        failure.print_failure(f"The app's files cannot be copied: {error}")
        raise Ending(failure.WRONG_ENVIRONMENT) from None
    make_importable(environment.workdir)
    log_errors(files)
    app = load(environment.entrypoint, files)
    when_loaded()
    adapt(app, environment.workdir)
    return serve(Front(app, environment, health), environment, health, listener, files)


def serve(
    front: Front,
    environment: Environment,
    health: Health,
    listener: socket.socket,
    files: frozenset[str],
) -> int:
    """Serve until asked to stop; the exit status. Raises Ending when the app does not start."""
    server = make_server(front, health, environment.stop_seconds)

    def stop(number: int, frame: FrameType | None) -> None:
        if not server.should_exit:
            signal.signal(signal.SIGALRM, stop_by_force)
            signal.alarm(environment.stop_seconds)
        server.handle_exit(number, frame)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        server.run(sockets=[listener])
    except SystemExit as ended:
        failure.print_error(front.lifespan_error or ended, files)
        raise Ending(failure.NOT_CLEAN if server.started else failure.STARTUP_FAILED) from None
    except OSError as error:  # two processes can be bound to a port; the first to listen has it
        failure.print_failure(f"Cannot listen on port {environment.port}: {error.strerror}")
        raise Ending(failure.PORT_TAKEN) from None
    if front.lifespan_error:
        print(failure.learner_traceback(front.lifespan_error, files), file=sys.stderr)
        return failure.NOT_CLEAN
    return failure.STOPPED


def load(entrypoint: str, files: frozenset[str]) -> Any:
    """The learner's `app`. Raises Ending, with the reason printed, when there is none."""
    try:
        if entrypoint not in files:
            raise NoApp(f"There is no file {entrypoint} to take `app` from.")  # noqa: TRY301 - here
        return load_app(entrypoint)
    except NoApp as error:
        failure.print_failure(str(error), entrypoint)
        raise Ending(failure.NO_APP) from None
    except BaseException as error:  # noqa: BLE001 - SystemExit too: it is the learner's code
        failure.print_error(error, files)
        raise Ending(failure.IMPORT_FAILED) from None


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address, not yet listening. Raises Ending when it is taken."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        failure.print_failure(f"Cannot listen on {host} port {port}: {error.strerror}")
        raise Ending(failure.PORT_TAKEN) from None
    return bound


def leave_imports_to_learner() -> None:
    """Take the runner's own modules out of `import`: `probes.py` may be a learner's file."""
    own = sys.path.pop(0)
    for name, module in list(sys.modules.items()):
        if name != "__main__" and os.path.dirname(getattr(module, "__file__", None) or "") == own:
            del sys.modules[name]


def write_at_once() -> None:
    """A log is read live, and what cannot be encoded must not fail a learner's print."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def stop_by_force(number: int, frame: FrameType | None) -> None:
    """End at once: something of the app went on although it was asked to stop."""
    del number, frame
    print("fastapi-platform: ended by force, still busy.", file=sys.stderr, flush=True)
    os._exit(failure.NOT_CLEAN)
