"""Why something failed, in words that a learner can act on.

A pod's reason is Kubernetes' word (the embedded stand-in uses the same ones); message, file and
line come from the runner's last line or from the traceback above it.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from api.domain.rollout import Pod

_PREFIX: Final = "fastapi-platform: failed "
_MAX_MESSAGE: Final = 500
_FRAME: Final = re.compile(r' *File "(?P<path>[^"]+)", line (?P<line>[0-9]{1,7})')
#: The last line of a traceback: a dotted exception name, then its text if it has one.
_EXCEPTION: Final = re.compile(r"[A-Za-z_][\w.]*(?:: .*)?")
_LEARNERS_FILE: Final = re.compile(r"(?:/tmp/app/|/app/)?(?P<path>[^/<].*)")
_LIBRARY: Final = re.compile(r"(?:^|/)(?:site-packages|dist-packages|lib/python[0-9.]+)/")


@dataclass(frozen=True)
class Failure:
    """What went wrong, a stable word for it, and what to do next."""

    reason: str
    message: str
    hint: str
    path: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class Spot:
    """What a log says about an exception: its last line, and the learner's file and line."""

    message: str
    path: str | None = None
    line: int | None = None


#: Exit statuses, most of them of runner/failure.py: reason, message without a log, hint.
_EXITS: Final = {
    2: ("platform", "The runner was started with wrong settings.", "Tell an administrator."),
    3: (
        "import_failed",
        "Your code raised an error while it was imported.",
        "Correct the line that is named and deploy again.",
    ),
    4: (
        "no_app",
        "The entrypoint has no FastAPI application called `app`.",
        "Write `app = FastAPI()` at the top level of the entrypoint.",
    ),
    5: (
        "startup_failed",
        "Your code raised an error while the app was starting up.",
        "Look at the lifespan function or the startup event that is named.",
    ),
    6: ("platform", "The runner could not listen on its port.", "Deploy again."),
    137: (  # 128 + SIGKILL
        "killed",
        "The app was stopped by force.",
        "Most often it needed too much memory: load less at once, then deploy again.",
    ),
    0: (
        "ended",
        "The app ended by itself.",
        "An app is served until it is stopped: take out what ends the program.",
    ),
}
#: Kubernetes' words for a container or pod that does not run: reason, message, hint.
_REASONS: Final = {
    "OOMKilled": (
        "out_of_memory",
        "The app needed more memory than it may use and was stopped.",
        "Load less at once, or keep large data out of memory.",
    ),
    "Evicted": (
        "evicted",
        "The app was stopped because it used too much disk space or memory.",
        "Write less to files; what they hold is lost at every restart anyway.",
    ),
    "Unhealthy": (
        "not_answering",
        "The app did not become ready in time.",
        "Look for something slow or endless that runs while the app starts.",
    ),
    "Blocked": (  # our word for a failed liveness probe
        "blocked",
        "The app stopped answering: something in it blocks the event loop.",
        "Use `await` for waiting, and plain `def` routes for slow work.",
    ),
    "Unschedulable": (
        "no_room",
        "There is no room for the app on the cluster right now.",
        "It starts as soon as there is room; an administrator can add some.",
    ),
    "FailedCreate": (
        "quota",
        "Your apps together use all the compute you may have.",
        "Delete or stop an app you do not need, then deploy again.",
    ),
    "InvalidImageName": ("image", "The runner's image has a wrong name.", "Tell an administrator."),
    "ErrImageNeverPull": (
        "image",
        "The runner's image is not on the node.",
        "Tell an administrator.",
    ),
    "ImagePullBackOff": (
        "image",
        "The runner's image could not be fetched.",
        "It is tried again by itself; if it goes on, tell an administrator.",
    ),
    "ErrImagePull": (
        "image",
        "The runner's image could not be fetched.",
        "It is tried again by itself; if it goes on, tell an administrator.",
    ),
    "CreateContainerConfigError": (
        "configuration",
        "The app's container could not be set up.",
        "Deploy again; if it happens again, tell an administrator.",
    ),
    "CreateContainerError": (
        "configuration",
        "The app's container could not be set up.",
        "Deploy again; if it happens again, tell an administrator.",
    ),
}
_SET_UP: Final = _REASONS["CreateContainerError"]
_REASONS.update(dict.fromkeys(("RunContainerError", "StartError", "ContainerCannotRun"), _SET_UP))
#: What the API server's or Flux' words hold when they refuse something: reason, message, hint.
_REFUSALS: Final = {
    "ValidatingAdmissionPolicy": (
        "admission",
        "The cluster does not allow what the app asks for",
        "Take out of the overlay what the message names, then deploy again.",
    ),
    "violates PodSecurity": (
        "admission",
        "The cluster does not allow what the app asks for",
        "Take out of the overlay what the message names, then deploy again.",
    ),
    "admission webhook": (
        "admission",
        "The cluster does not allow what the app asks for",
        "Show the message to an administrator: a rule of this cluster refused it.",
    ),
    "kustomize build failed": (
        "build",
        "The app's manifests cannot be built",
        "Look at the overlay for what the message names; without one, tell an administrator.",
    ),
    # Last: what a rule quotes of a learner may look like one of these.
    "exceeded quota": _REASONS["FailedCreate"],
    "being terminated": (
        "namespace_terminating",
        "Your space in the cluster is still being removed after a deletion.",
        "It is tried again by itself once that is over; if it goes on, tell an administrator.",
    ),
}
_CRASHED: Final = (
    "crashed",
    "The app ended with an error.",
    "Read the last lines of the log, correct the cause and deploy again.",
)


def is_known(reason: str | None) -> bool:
    """Whether a waiting pod's reason says why it waits (`ContainerCreating` does not)."""
    return reason in _REASONS


def explain_refusal(words: str) -> Failure | None:
    """Why the cluster refused an object, from its words; None when they are of no known kind."""
    for part, (reason, message, hint) in _REFUSALS.items():
        if part in words:
            whole = message if message.endswith(".") else f"{message}: {words}"
            return Failure(reason, whole[:_MAX_MESSAGE], hint)
    return None


def explain(pod: Pod) -> Failure:
    """Why a pod failed or does not get further."""
    spot = find_error(pod.log_tail)
    if pod.reason in _REASONS:
        known = Failure(*_REASONS[pod.reason])
        if known.reason != "not_answering" or spot is None:
            return known
        return replace(known, path=spot.path, line=spot.line)
    code = pod.exit_code
    if code is not None and code < 0:  # a process reports the signal as a negative number
        code = 128 - code
    known = Failure(*_CRASHED if code is None else _EXITS.get(code, _CRASHED))
    if spot is None:
        return known
    if spot.message.startswith("MemoryError"):
        memory = Failure(*_REASONS["OOMKilled"])
        return replace(memory, path=spot.path, line=spot.line)
    return replace(known, message=spot.message, path=spot.path, line=spot.line)


def find_error(lines: Sequence[str]) -> Spot | None:
    """What the last error in a log says: the runner's own line, else the last traceback."""
    for line in reversed(lines):
        if line.startswith(_PREFIX) and (spot := _runners_line(line)):
            return spot
    return _traceback(lines)


def _runners_line(line: str) -> Spot | None:
    try:
        said = json.loads(line.removeprefix(_PREFIX))
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not isinstance(said.get("message"), str):
        return None
    path, number = said.get("path"), said.get("line")
    return Spot(
        said["message"][:_MAX_MESSAGE],
        path if isinstance(path, str) else None,
        number if type(number) is int and isinstance(path, str) else None,
    )


def _traceback(lines: Sequence[str]) -> Spot | None:
    """The innermost of the learner's frames in the last traceback, and its last line."""
    # A syntax error in the entrypoint itself comes without the headline.
    starts = [i for i, line in enumerate(lines) if line.startswith("Traceback (most recent call")]
    starts = starts or [i for i, line in enumerate(lines) if _FRAME.match(line)][:1]
    if not starts:
        return None
    path: str | None = None
    number: int | None = None
    for line in lines[starts[-1] :]:
        if frame := _FRAME.match(line):
            own = _LEARNERS_FILE.fullmatch(frame["path"])
            if own and not _LIBRARY.search(frame["path"]):
                path, number = own["path"], int(frame["line"])
        elif _EXCEPTION.fullmatch(line):
            return Spot(line[:_MAX_MESSAGE], path, number)
    return None
