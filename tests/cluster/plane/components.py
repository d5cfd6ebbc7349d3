"""The plane's programs as processes of this one: started, watched, and started again."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.plane.slot import PlaneFailed

_POLL: Final = 0.05
_RESTART_SECONDS: Final = 1.0
_LAST_LINES: Final = 15


@dataclass
class Component:
    """One program; whatever it prints goes to `log`."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    log: Path
    folder: Path  # the plane's, and where the program stands: by that its processes are found
    ended: bool = False

    def last_words(self) -> str:
        """The end of its log, for people."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line[:400]}" for line in lines[-_LAST_LINES:]) or "    (silent)"


class Components:
    """All programs of a plane.

    While the plane starts, one that ends is a failure. Once `up` is called, it is started again
    after a second, as a service manager would.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._logs = folder / "logs"
        self._up = threading.Event()
        for path in (self._logs, folder / "tmp"):
            path.mkdir(parents=True, exist_ok=True)

    def start(
        self, name: str, command: list[str], environment: Mapping[str, str] | None = None
    ) -> Component:
        """Start a program and keep it running."""
        # Nothing of a developer's own environment, proxies least of all: a plane is one machine.
        base = {
            "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
            "HOME": str(self._folder / "tmp"),
            "TMPDIR": str(self._folder / "tmp"),
        }
        inherited = {**base, **(environment or {})}
        component = Component(name, command, inherited, self._logs / f"{name}.log", self._folder)
        process = _spawn(component)
        watch = threading.Thread(target=self._watch, args=(component, process), daemon=True)
        watch.start()
        return component

    def up(self) -> None:
        """From now on an end is no failure."""
        self._up.set()

    def _watch(self, component: Component, process: "subprocess.Popen[bytes]") -> None:
        while True:
            status = process.wait()
            if not self._up.is_set():
                component.ended = True
                return
            with component.log.open("a", encoding="utf-8") as log:
                log.write(f"-- ended with status {status}; started again\n")
            time.sleep(_RESTART_SECONDS)
            process = _spawn(component)


def _spawn(component: Component) -> "subprocess.Popen[bytes]":
    with component.log.open("ab") as log:
        return subprocess.Popen(
            component.command,
            env=dict(component.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=component.folder,
        )


def wait(what: str, probe: Callable[[], bool], seconds: float, *concerned: Component) -> None:
    """Wait until the probe holds; PlaneFailed with the logs of those concerned when it does not."""
    deadline = time.monotonic() + seconds
    while not probe():
        ended = [component for component in concerned if component.ended]
        if ended or time.monotonic() > deadline:
            reason = f"{ended[0].name} ended" if ended else f"waited for {seconds:.0f} s"
            logs = "\n".join(
                f"  Last lines of {component.log}:\n{component.last_words()}"
                for component in ended or concerned
            )
            raise PlaneFailed(f"Not there: {what} ({reason}).\n{logs}")
        time.sleep(_POLL)


def run(*command: str | Path, seconds: float, environment: Mapping[str, str] | None = None) -> str:
    """Run a program to its end; what it printed. Raises PlaneFailed with its words."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise PlaneFailed(f"`{' '.join(words)}` took more than {seconds:.0f} s.") from None
    except OSError as error:
        raise PlaneFailed(f"`{words[0]}` cannot be run: {error}") from error
    if done.returncode:
        raise PlaneFailed(f"`{' '.join(words)}` failed:\n{(done.stderr or done.stdout)[-4000:]}")
    return done.stdout


def succeeds(*command: str) -> bool:
    """Whether a program ends well, within seconds."""
    try:
        run(*command, seconds=10)
    except PlaneFailed:
        return False
    return True
