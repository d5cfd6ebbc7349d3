"""How a runner ends, and how it tells a learner why: their own lines, not the libraries'."""

import json
import sys
import traceback
from collections.abc import Collection

STOPPED = 0  # asked to stop, and did
NOT_CLEAN = 1  # stopped by force, or the code that runs at shutdown failed
WRONG_ENVIRONMENT = 2  # the platform's own mistake
IMPORT_FAILED = 3
NO_APP = 4  # missing, or not an application
STARTUP_FAILED = 5  # the lifespan or a startup event raised
PORT_TAKEN = 6  # one of the two ports cannot be listened on

MAX_MESSAGE = 500  # characters of the machine-readable line's message


def learner_traceback(error: BaseException, files: Collection[str]) -> str:
    """The traceback with only those frames that are in `files`; all of them if none is."""
    report = traceback.TracebackException.from_exception(error)
    _keep(report, files)
    return "".join(report.format()).rstrip()


def _keep(report: traceback.TracebackException | None, files: Collection[str]) -> None:
    if report is None:
        return
    own = [frame for frame in report.stack if frame.filename in files]
    if own or getattr(report, "filename", None) in files:  # the file of a SyntaxError
        report.stack = traceback.StackSummary.from_list(own)
    for other in (report.__cause__, report.__context__, *(report.exceptions or ())):
        _keep(other, files)


def place(error: BaseException, files: Collection[str]) -> tuple[str | None, int | None]:
    """The innermost of the learner's files and lines that `error` went through, if any."""
    if isinstance(error, SyntaxError) and error.filename in files:
        return error.filename, error.lineno
    frames = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename in files
    ]
    if frames:
        return frames[-1]
    inner = error.__cause__ or error.__context__
    return place(inner, files) if inner else (None, None)


def print_failure(message: str, path: str | None = None, line: int | None = None) -> None:
    """Write the last line of a failed start; the platform reads it, JSON after a fixed prefix."""
    message = " ".join(message.split())[:MAX_MESSAGE]
    failure = json.dumps({"path": path, "line": line, "message": message}, ensure_ascii=False)
    print(f"fastapi-platform: failed {failure}", file=sys.stderr, flush=True)


def print_error(error: BaseException, files: Collection[str]) -> None:
    """Write the learner's traceback and the line for the platform."""
    print(learner_traceback(error, files), file=sys.stderr)
    path, line = place(error, files)
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    kind = type(error).__name__
    print_failure(f"{kind}: {text}" if text else kind, path, line)
