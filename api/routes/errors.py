"""Every error of the platform, in the one shape that clients read."""

import json
import logging
from http import HTTPStatus
from typing import Any, ClassVar, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api.domain.addresses import without_addresses
from api.errors import InvalidRequest, PlatformError, TooManyRequests
from api.log import request_id
from api.routes.schemas import ErrorAnswer

_logger = logging.getLogger(__name__)
#: When to send again what could not be done: about as long as a database or a host is replaced.
_RETRY_SECONDS: Final = 5
_DESCRIPTIONS: Final = {
    401: "No valid token: log in",
    403: "Not allowed, or the account is suspended",
    404: "There is no such thing, or it belongs to somebody else",
    409: "It conflicts with what is there",
    410: "It was removed",
    413: "The body is too large",
    422: "The request breaks a rule; the message says which",
    429: "Too many requests; `Retry-After` says how many seconds to wait",
    500: "An error of the platform, logged under the request id",
    503: "Cannot be done at this moment; `Retry-After` says when to try again",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route that may answer with these error statuses."""
    return {
        status: {"model": ErrorAnswer, "description": _DESCRIPTIONS[status]} for status in statuses
    }


#: Statuses that any route may answer with.
ANY_ROUTE: Final = documented(413, 422, 500, 503)


class _HttpError(PlatformError):
    """An error that the framework raises: unknown path, wrong method, too large a body."""

    status: ClassVar[int]
    _EXPLAINED: ClassVar[dict[int, tuple[str, str, str]]] = {
        404: ("not_found", "There is nothing at this address.", "The API is shown at /api/docs."),
        405: ("method_not_allowed", "This address does not know this method.", "See /api/docs."),
        413: ("too_large", "The request's body is too large.", "Send less at a time."),
    }

    def __init__(self, status: int, detail: str) -> None:
        phrase = HTTPStatus(status).phrase
        code, message, hint = self._EXPLAINED.get(
            status, (phrase.lower().replace(" ", "_"), detail, "Check the request.")
        )
        super().__init__(message, code=code, hint=hint)
        self.status = status  # type: ignore[misc]  # the one class with a status for each object


def error_response(error: PlatformError) -> Response:
    """The answer that carries the error."""
    # What is amiss with the platform is told in the words of programs inside; the log has them all.
    ours = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    content = {
        "error": {
            "code": error.code,
            "message": without_addresses(error.message) if ours else error.message,
            "hint": error.hint,
            "details": error.details,
        }
    }
    headers: dict[str, str] = {}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(_RETRY_SECONDS)
    if isinstance(error, TooManyRequests) and "retry_after" in error.details:
        headers["Retry-After"] = str(error.details["retry_after"])
    # What a client sent may stand in a message: a lone surrogate there must not break the answer.
    body = json.dumps(content, ensure_ascii=False).encode(errors="replace")
    return Response(body, error.status, headers, media_type="application/json")


def internal_error() -> PlatformError:
    """What is told about an error that nobody expected: nothing but where to find it."""
    return PlatformError(
        f"Something went wrong in the platform (request {request_id.get()}).",
        details={"request_id": request_id.get()},
    )


def add_error_handlers(app: FastAPI) -> None:
    """Answer every expected error in the platform's shape; RequestLog answers the others."""
    app.add_exception_handler(PlatformError, _platform_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)


async def _platform_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, PlatformError)  # noqa: S101  (registered for this class)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _logger.warning("%s: %s", error.code, error.message, exc_info=error.__cause__)
    return error_response(error)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  (registered for this class)
    return http_error(error)


def http_error(error: HTTPException) -> Response:
    """The answer for an error that the framework, or a limit on the body, raised."""
    if error.status_code == HTTPStatus.BAD_REQUEST:
        # The framework's word for a body that is no JSON text at all (encoding, nesting).
        return error_response(
            InvalidRequest(
                "The request's body cannot be read as JSON in UTF-8.", code="invalid_json"
            )
        )
    response = error_response(_HttpError(error.status_code, error.detail))
    response.headers.update(error.headers or {})
    return response


async def _validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  (registered for this class)
    fields = [_field(item) for item in error.errors()]
    named = "; ".join(f"{field['field']}: {field['message']}" for field in fields[:3])
    return error_response(
        InvalidRequest(f"The request is not valid. {named}", details={"fields": fields[:50]})
    )


def _field(item: dict[str, Any]) -> dict[str, str]:
    # Never the input itself: it may be a password.
    place, *path = item["loc"]
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "json_invalid":
        message = f"no valid JSON at character {path[0]}: {item['ctx']['error']}"
        path = []
    return {"field": ".".join(str(part)[:100] for part in path) or str(place), "message": message}
