"""Log lines of the platform: one line an event, with the request that caused it."""

import logging
import logging.config
import time
from contextvars import ContextVar
from typing import Final

#: The id of the request that is being answered; `-` outside of requests.
request_id: Final[ContextVar[str]] = ContextVar("request_id", default="-")

# A control character in a message could forge a line or drive a terminal.
_ESCAPES: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


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


def configure_logging(level: str = "INFO") -> None:
    """Send everything, also what the server says, to standard error in one form."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": _LineFormatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": level, "handlers": ["stderr"]},
            # Says at INFO what the platform asks its own router: nobody wants to read that.
            "loggers": {"httpx2": {"level": "WARNING"}},
        }
    )
