"""Log lines of the platform: one line an event, with the request that caused it."""

import json
import logging
import logging.config
import time
from contextvars import ContextVar
from typing import Any, Final, Literal

#: The id of the request that is being answered; `-` outside of requests.
request_id: Final[ContextVar[str]] = ContextVar("request_id", default="-")

# A control character in a message could forge a line or drive a terminal.
_ESCAPES: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}

#: Fields of a request's line.
_FIELDS: Final = ("method", "path", "route", "status", "milliseconds")


class _LineFormatter(logging.Formatter):
    """`time level logger message request_id=…`; a traceback follows on its own lines."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        self.converter = time.gmtime
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s request_id=%(request_id)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (the base's name)
        record.message = record.message.translate(_ESCAPES)
        record.request_id = request_id.get()
        return super().formatMessage(record)


class _JsonFormatter(logging.Formatter):
    """One JSON object a line, ASCII only; what a caller gives as `extra` are fields of their own.

    A traceback stands in `error`, inside the object.
    """

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
        }
        line |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging(level: str = "INFO", form: Literal["text", "json"] = "text") -> None:
    """Send everything, also what the server says, to standard error in one form."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": _JsonFormatter if form == "json" else _LineFormatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": level, "handlers": ["stderr"]},
            # Says at INFO what the platform asks its own router: nobody wants to read that.
            "loggers": {"httpx2": {"level": "WARNING"}},
        }
    )
