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
    hibernates_at: datetime | None = Field(description="When it may be put to sleep, likewise.")
    expires_at: datetime | None = Field(description="When it may be removed if nobody uses it.")
    pinned: bool = Field(description="It is kept although nobody uses it.")


class AppDetail(App):
    files: dict[str, str]
    env: dict[str, str]


class AppList(BaseModel):
    apps: list[App]


class Deploy(App):
    pass


class Used(BaseModel):
    last_activity_at: datetime


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


# History -----------------------------------------------------------------------------------


class Who(BaseModel):
    """Who made a commit: in the editor, by a pull request or by hand, or on whose behalf."""

    name: str
    kind: Literal["editor", "pull_request", "by_hand", "cleanup", "visitor", "administrator"]
    pull_request: str | None = Field(None, description="Its page, if commits say its number.")


class ChangedFile(BaseModel):
    """A file of the app's folder: `code/…`, `app.yaml`, `overlay/…`, `secrets/…`."""

    path: str
    status: Literal["added", "modified", "deleted"]
    added: int | None = Field(description="Lines; null when it is no text, or too large.")
    removed: int | None = Field(description="Lines; null when it is no text, or too large.")


class FileDiff(ChangedFile):
    """Texts are null for secrets, for what is no text, and for what is too large."""

    diff: str | None = Field(description="Unified, with three lines of context.")
    old: str | None = Field(description="The text before; empty for an added file.")
    new: str | None = Field(description="The text after; empty for a deleted file.")


class HistoryEntry(BaseModel):
    commit: str
    at: datetime = Field(description="When it came onto `main`.")
    who: Who
    action: str = Field(
        description="`deploy`, `rollback`, `restore`, `restart`, `delete` …; "
        "`edit` and `merge` for commits by other hands."
    )
    subject: str = Field(description="The first line of the commit's message.")
    changes: list[ChangedFile] = Field(description="Of this app only; at most 100.")
    more_changes: int = Field(description="How many more files were changed.")
    live: bool | None = Field(
        description="Whether this version runs now; null when the cluster cannot be asked."
    )


class HistoryPage(BaseModel):
    entries: list[HistoryEntry] = Field(description="Newest first.")
    deleted: bool = Field(description="The app is deleted; `restore` brings it back.")
    next: str | None = Field(description="Pass it as `before` for the page of older entries.")


class Version(BaseModel):
    """An app as it was at one commit, and what that commit changed."""

    commit: str
    parent: str | None = Field(description="The commit that `changes` compares with.")
    at: datetime
    who: Who
    action: str
    subject: str
    live: bool | None
    exists: bool = Field(description="False when the commit deleted the app: no files then.")
    name: str
    entrypoint: str
    env: dict[str, str]
    files: dict[str, str] = Field(description="The code, by path, as in `GET /api/apps/{app_id}`.")
    overlay: dict[str, str] = Field(description="The overlay's files, by path.")
    omitted: list[str] = Field(description="Paths of files that are too large to be shown.")
    changes: list[FileDiff] = Field(description="At most 100 files.")
    more_changes: int = Field(description="How many more files were changed.")


class RollbackRequest(_Body):
    commit: str = Field(description="A commit of the app's history, all 40 digits.")


class TouchedApp(BaseModel):
    user_id: str
    app_id: str


class AuditEntry(BaseModel):
    commit: str
    at: datetime = Field(description="When it came onto `main`.")
    who: Who
    action: str
    subject: str
    apps: list[TouchedApp] = Field(description="Apps whose folder it touches; at most 100.")
    more_apps: int = Field(description="How many more apps it touches.")


class Rewind(BaseModel):
    """`main` was forced from one commit to another one that does not contain it."""

    seen_at: datetime
    old: str
    new: str


class AuditPage(BaseModel):
    entries: list[AuditEntry] = Field(description="Newest first.")
    next: str | None = Field(description="Pass it as `before` for the page of older entries.")
    rewinds: list[Rewind] = Field(description="Seen by this installation, newest first.")


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
    max_pinned_apps: int
    version: str
