"""One version of an app as a supervised process: the kubelet's part."""

import asyncio
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from api.domain.rollout import Pod, PodPhase
from api.local import tasks
from api.local.logs import AppLog
from api.local.node import Node
from api.local.objects import PodTemplate
from api.local.processes import Process

_LOG: Final = logging.getLogger(__name__)
_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 60.0
_STAYED_UP: Final = 60.0  # seconds after which a crash counts as the first again
_TURN_SECONDS: Final = 10.0  # a start slower than this lets others start as well
_FAST_POLLS_SECONDS: Final = 3.0
_FAST_POLL: Final = 0.012
_SLOW_POLL: Final = 0.25
_LIVENESS_SECONDS: Final = 10.0
_LIVENESS_FAILURES: Final = 3
_LONGEST_GRACE: Final = 10.0  # the runner ends by itself within 8 s of the request
_COMPLETED: Final = 0
_PORT_TAKEN: Final = 6  # runner/failure.py
_NICENESS: Final = 5  # of apps that serve: the editor stays quick while they are busy


class LocalPod:
    """A process that is started again whenever it ends, until it is stopped."""

    def __init__(  # noqa: PLR0913  (what it runs, where, and who wants to know)
        self,
        template: PodTemplate,
        *,
        app_id: str,
        commit: str,
        folder: Path,
        node: Node,
        log: AppLog,
        changed: Callable[[], None],
        urgent: bool,
    ) -> None:
        self.template = template
        self.commit = commit  # of the shard branch: where this version can be read again
        self.name = f"{app_id}-{template.intent[:8]}-{secrets.token_hex(3)}"
        self.phase: PodPhase = "pending"
        self.port = node.take_port()
        self._probe_port = node.take_port()
        self._folder = folder / self.name
        self._node = node
        self._log = log
        self._changed = changed
        self._urgent = urgent
        self._restarts = 0
        self._reason: str | None = None
        self._exit_code: int | None = None
        self._log_tail: tuple[str, ...] = ()
        self._started_at: datetime | None = None
        self._process: Process | None = None
        self.warning: str | None = None
        self._task = tasks.start(self._supervise(), f"supervising {self.name}")

    @property
    def ready(self) -> bool:
        """Whether requests may go to its port."""
        return self.phase == "ready"

    def observe(self) -> Pod:
        """What Kubernetes would say of it."""
        return Pod(
            name=self.name,
            intent=self.template.intent,
            phase=self.phase,
            started_at=self._started_at,
            restarts=self._restarts,
            reason=self._reason,
            exit_code=self._exit_code,
            log_tail=self._log_tail,
        )

    async def open_requests(self) -> int:
        """What it serves at this moment; raises ClusterUnavailable when it does not tell."""
        if self._process is None or self._process.exit_code is not None:
            return 0
        return await self._node.open_requests(self._probe_port)

    async def stop(self, grace: float | None = None) -> None:
        """End it for good; its folder and ports are free afterwards."""
        self._become("stopping")
        self._task.cancel()
        await asyncio.wait({self._task})
        if self._process:
            seconds = min(self.template.grace_seconds, _LONGEST_GRACE)
            await self._process.stop(seconds if grace is None else grace)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        self._node.give_back(self.port)
        self._node.give_back(self._probe_port)

    def _become(self, phase: PodPhase, reason: str | None = None) -> None:
        if self.phase == "stopping":
            return
        self.phase = phase
        self._reason = reason
        self._changed()

    async def _supervise(self) -> None:
        delay = _FIRST_DELAY
        await asyncio.to_thread(_write_files, self._folder, self.template)
        while True:
            since = time.monotonic()
            try:
                await self._run_once()
            except OSError as error:
                self._fail("Error", f"The app's process cannot be started: {error}")
            if time.monotonic() - since > _STAYED_UP:
                delay = _FIRST_DELAY
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY)
            self._restarts += 1
            self._urgent = False

    async def _run_once(self) -> None:
        async with self._node.turn_to_start(urgent=self._urgent):
            self._process = process = await self._node.run(
                self.template,
                folder=self._folder,
                port=self.port,
                probe_port=self._probe_port,
                log=self._log,
            )
            self._started_at = datetime.now(UTC)
            self._become("starting", self._reason)
            begun = time.monotonic()
            turn = min(_TURN_SECONDS, self.template.start_seconds)
            is_ready = await self._wait_ready(process, begun, turn)
        if not is_ready:
            is_ready = await self._wait_ready(process, begun, self.template.start_seconds)
        if is_ready:
            self._serve(process)
            await self._watch(process)
        elif process.exit_code is None:
            self.warning = f"Startup probe failed for {self.template.start_seconds:.0f} s"
            await process.kill()
        await self._report_end(process)

    async def _wait_ready(self, process: Process, begun: float, seconds: float) -> bool:
        """Whether it serves this very version within `seconds` of its start."""
        while (waited := time.monotonic() - begun) < seconds and process.exit_code is None:
            if await self._node.ready_intent(self._probe_port) == self.template.intent:
                return True
            pause = _FAST_POLL if waited < _FAST_POLLS_SECONDS else _SLOW_POLL
            await asyncio.wait({process.ended}, timeout=pause)
        return False

    def _serve(self, process: Process) -> None:
        self._exit_code = None
        self._log_tail = ()
        self.warning = None
        self._become("ready")
        try:
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
        except OSError as error:
            _LOG.debug("the priority of %s stays: %s", self.name, error)

    async def _watch(self, process: Process) -> None:
        """Until it ends; one whose event loop never runs again is ended here."""
        failures = 0
        while process.exit_code is None:
            await asyncio.wait({process.ended}, timeout=_LIVENESS_SECONDS)
            if process.exit_code is not None:
                return
            failures = 0 if await self._node.is_alive(self._probe_port) else failures + 1
            if failures >= _LIVENESS_FAILURES:
                self.warning = "Liveness probe failed: the app's event loop does not run"
                await process.stop(_LONGEST_GRACE)

    async def _report_end(self, process: Process) -> None:
        await asyncio.to_thread(process.output.join, 1.0)  # its last lines say why
        self._log_tail = tuple(process.output.last)
        self._exit_code = process.exit_code
        if process.exit_code == _PORT_TAKEN:
            self._change_ports()
        if process.out_of_memory:
            reason = "OOMKilled"
        elif self._restarts:
            reason = "CrashLoopBackOff"
        else:
            reason = "Completed" if process.exit_code == _COMPLETED else "Error"
        self._become("failed", reason)

    def _change_ports(self) -> None:
        self._node.give_back(self.port)
        self._node.give_back(self._probe_port)
        self.port, self._probe_port = self._node.take_port(), self._node.take_port()

    def _fail(self, reason: str, why: str) -> None:
        _LOG.warning("%s: %s", self.name, why)
        self.warning = why
        self._log_tail = (why,)
        self._become("failed", reason)


def _write_files(folder: Path, template: PodTemplate) -> None:
    """The code as the mounted ConfigMap would show it: only to be read."""
    for name, content in template.files.items():
        path = folder / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o444)
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
