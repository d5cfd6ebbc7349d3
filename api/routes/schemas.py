"""The shapes that the HTTP API speaks; `openapi.json` and the frontend's types come from here."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.domain.rollout import StageName

AppState = Literal[
    "validating", "deploying", "running", "failed", "hibernated", "suspended", "removed", "deleting"
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _is_unicode(cls, data: Any) -> Any:
        # JSON can spell half of a surrogate pair ("\\ud800"): no text, and nothing can keep it.
        rest = [("body", data)]
        while rest:
            name, value = rest.pop()
            if isinstance(value, str) and not value.isascii():
                try:
                    value.encode()
                except UnicodeEncodeError as error:
                    place = f"{name[:100]!a}, character {error.start + 1}"
                    raise ValueError(f"{place}: half of a surrogate pair is no text") from None
            elif isinstance(value, dict):
                rest.extend(("a name", key) for key in value)
                rest.extend((str(key), item) for key, item in value.items())
            elif isinstance(value, list):
                rest.extend((name, item) for item in value)
        return data


class ErrorBody(BaseModel):
    code: str
    message: str
    hint: str
    details: dict[str, Any] = {}


class ErrorAnswer(BaseModel):
    error: ErrorBody


# Accounts ---------------------------------------------------------------------------------


class SignupRequest(_Body):
    username: str
    email: str
    password: str
    invitation: str | None = None


class User(BaseModel):
    user_id: str
    username: str
    email: str
    is_admin: bool


class LoginRequest(_Body):
    username: str
    password: str


class Token(BaseModel):
    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105  (a kind, no secret)
    expires_in: int = Field(description="Seconds until the token expires.")


class PasswordChange(_Body):
    current_password: str
    new_password: str


# Apps -------------------------------------------------------------------------------------


class AppCreate(_Body):
    """`code` is short for `files: {"user_code.py": code}`; exactly one of the two is given."""

    name: str
    code: str | None = None
    files: dict[str, str] | None = None
    entrypoint: str | None = None
    env: dict[str, str] | None = None


class AppUpdate(_Body):
    """Every field is optional; `files` replaces all files, `code` only the entrypoint's."""

    name: str | None = None
    code: str | None = None
    files: dict[str, str] | None = None
    entrypoint: str | None = None
    env: dict[str, str] | None = None
    base_commit: str | None = Field(
        None, description="The commit this change is based on; an older one answers 409."
    )


class App(BaseModel):
    app_id: str
    user_id: str
    name: str
    url: str
    entrypoint: str
    status: AppState
    commit: str = Field(description="The newest commit on `main` that touches the app.")
    created_at: datetime
    deployed_at: datetime
    last_activity_at: datetime
    expires_at: datetime | None = Field(description="When it may be removed if nobody uses it.")


class AppDetail(App):
    files: dict[str, str]
    env: dict[str, str]


class AppList(BaseModel):
    apps: list[App]


class Deploy(App):
    pass


class Commit(BaseModel):
    commit: str


class ValidateRequest(_Body):
    code: str | None = None
    files: dict[str, str] | None = None
    entrypoint: str | None = None


class Diagnostic(BaseModel):
    path: str
    line: int = Field(description="1-based.")
    column: int = Field(description="1-based, in characters.")
    end_line: int
    end_column: int
    severity: Literal["error", "warning"]
    code: str
    message: str
    hint: str


class Validation(BaseModel):
    valid: bool
    diagnostics: list[Diagnostic]


class AppStatus(BaseModel):
    status: AppState
    ready: bool
    url: str
    commit: str | None = Field(description="The commit whose version is running.")
    message: str


class Stage(BaseModel):
    name: StageName
    state: Literal["pending", "active", "done", "failed", "skipped"]
    started_at: datetime | None
    finished_at: datetime | None
    detail: str


class DeployError(BaseModel):
    stage: str
    reason: str
    message: str
    hint: str
    path: str | None = None
    line: int | None = None


class DeployStatus(BaseModel):
    """`stage` is the active stage's name, or how it ended: live, failed, superseded."""

    stage: Literal[
        "validated", "committed", "fetched", "applied", "starting", "live", "failed", "superseded"
    ]
    progress: Annotated[int, Field(ge=0, le=100)]
    message: str
    commit: str
    stages: list[Stage]
    error: DeployError | None


class LogLine(BaseModel):
    at: datetime
    text: str
    pod: str


class Logs(BaseModel):
    lines: list[LogLine]


# The platform itself -----------------------------------------------------------------------


class Package(BaseModel):
    module: str
    kind: Literal["package", "standard library"]
    version: str | None
    reason: str


class Packages(BaseModel):
    python: str
    packages: list[Package]


class Meta(BaseModel):
    """What the browser must know before anybody logs in."""

    mode: Literal["embedded", "cluster"]
    signup: Literal["open", "invite", "closed"]
    apps_origin: str
    isolated: bool = Field(description="False when apps are not isolated from this machine.")
    idle_hours: int
    max_apps_per_user: int
    version: str
