"""What the platform says when it cannot do what was asked.

Every error that reaches a person carries an HTTP status, a stable code, a message that says what
happened and where, and a hint that says what to do next::

    PlatformError            500  internal_error
    ├── InvalidRequest       422  invalid_request
    │   └── SourceRefused    422  source_refused        details.diagnostics
    ├── NotAuthenticated     401  not_authenticated
    ├── NotAllowed           403  not_allowed
    ├── NotFound             404  not_found             also for what belongs to somebody else
    │   └── AppNotFound      404  app_not_found
    ├── Gone                 410  gone
    ├── Conflict             409  conflict              (name_taken, app_limit …)
    │   └── StaleBase        409  stale_base            details.current, details.yours
    ├── TooManyRequests      429  too_many_requests     details.retry_after in seconds
    └── Unavailable          503  unavailable           nothing was saved; try again
        ├── DatabaseUnavailable     database_unavailable
        ├── DatabasesUnavailable    databases_unavailable   the server of people's own ones
        ├── RepositoryUnavailable   repository_unavailable
        │   └── OutcomeUnknown      outcome_unknown   cut off: it may have been saved
        ├── CheckUnavailable        check_unavailable
        ├── ClusterUnavailable      cluster_unavailable
        └── ForgeUnavailable        forge_unavailable     the repository's host, asked for its rules
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class PlatformError(Exception):
    """An error with everything its reader needs; `details` must be JSON-serialisable."""

    status: ClassVar[int] = 500
    code: str = "internal_error"
    hint: str = "Try again; if it keeps happening, tell an administrator the request id."

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint if hint is not None else self.hint
        self.code = code if code is not None else self.code
        self.details = dict(details or {})


class InvalidRequest(PlatformError):
    """What was sent cannot be done as it stands."""

    status = 422
    code = "invalid_request"
    hint = "Correct what the message names and send it again."


class SourceRefused(InvalidRequest):
    """The check refuses the app; `details.diagnostics` says where and why."""

    code = "source_refused"
    hint = "Correct the lines named in the diagnostics and deploy again. Nothing was changed."


class NotAuthenticated(PlatformError):
    """Nobody is logged in."""

    status = 401
    code = "not_authenticated"
    hint = "Log in and send the token in the header `Authorization: Bearer …`."


class NotAllowed(PlatformError):
    """Somebody is logged in who may not do this."""

    status = 403
    code = "not_allowed"
    hint = "Ask an administrator."


class NotFound(PlatformError):
    """There is nothing here, or nothing that belongs to the caller."""

    status = 404
    code = "not_found"
    hint = "Check the address; the list of your apps is at /api/apps."


class AppNotFound(NotFound):
    """The caller has no such app: it never was, or it is somebody else's."""

    code = "app_not_found"

    def __init__(self, app_id: str) -> None:
        super().__init__(f"There is no app {app_id[:60]!r} among your apps.")


class Gone(PlatformError):
    """It was here and was removed for good."""

    status = 410
    code = "gone"
    hint = "Its history is still in the repository."


class Conflict(PlatformError):
    """The current state stands in the way."""

    status = 409
    code = "conflict"
    hint = "Look at the current state and try again."


class StaleBase(Conflict):
    """Somebody else changed the app first; `details` hold both versions."""

    code = "stale_base"
    hint = "Compare the two versions, then save again based on the current commit."


class TooManyRequests(PlatformError):
    """Too often; `details.retry_after` is in seconds."""

    status = 429
    code = "too_many_requests"
    hint = "Wait a little and try again."


class Unavailable(PlatformError):
    """A part that is needed is away; nothing was saved."""

    status = 503
    code = "unavailable"
    hint = "Nothing was saved. Try again in a moment."


class DatabaseUnavailable(Unavailable):
    """The database cannot be used."""

    code = "database_unavailable"


class DatabasesUnavailable(Unavailable):
    """The server of people's own databases cannot be used."""

    code = "databases_unavailable"


class RepositoryUnavailable(Unavailable):
    """The git repository cannot be used."""

    code = "repository_unavailable"


class OutcomeUnknown(RepositoryUnavailable):
    """Cut off in the middle: whether it was saved is not known, and sending it again is safe."""

    code = "outcome_unknown"
    hint = "It may have been saved. Look, or send it again: that does no harm."


class CheckUnavailable(Unavailable):
    """The check could not be finished: no verdict, neither good nor bad."""

    code = "check_unavailable"


class ClusterUnavailable(Unavailable):
    """The cluster cannot be observed."""

    code = "cluster_unavailable"


class ForgeUnavailable(Unavailable):
    """The forge's API cannot be asked."""

    code = "forge_unavailable"
