"""What somebody sends about an app, made into the files of its folder."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from api.domain.repo_layout import DEFAULT_ENTRYPOINT, AppFile
from api.errors import InvalidRequest


@dataclass(frozen=True)
class AppDraft:
    """What somebody sends: None leaves a part as it is (or takes the default of a new app)."""

    name: str | None = None
    code: str | None = None
    files: Mapping[str, str] | None = None
    entrypoint: str | None = None
    env: Mapping[str, str] | None = None


def app_file(values: Mapping[str, object]) -> AppFile:
    """`app.yaml` of these values; raises InvalidRequest naming the first field that is wrong."""
    try:
        return AppFile.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        message = first["msg"].removeprefix("Value error, ")
        raise InvalidRequest(
            f"{field}: {message}.", details={"fields": [{"field": field, "message": message}]}
        ) from None


def _bytes(files: Mapping[str, str]) -> dict[str, bytes]:
    """Texts as UTF-8; a lone surrogate (JSON can carry one) is not text."""
    try:
        return {path: text.encode() for path, text in files.items()}
    except UnicodeEncodeError:
        raise InvalidRequest("A file holds a lone surrogate, which is not text.") from None


def new_files(draft: AppDraft) -> dict[str, bytes]:
    """The code of a new app, by path; raises InvalidRequest."""
    if (draft.code is None) == (draft.files is None):
        raise InvalidRequest("Send either `code` or `files`, and not both.")
    if draft.files is not None:
        return _bytes(draft.files)
    return _bytes({draft.entrypoint or DEFAULT_ENTRYPOINT: draft.code or ""})


def changed_files(files: Mapping[str, bytes], entrypoint: str, draft: AppDraft) -> dict[str, bytes]:
    """The code of an app after a change: `files` replaces all, `code` the entrypoint's file."""
    if draft.code is not None and draft.files is not None:
        raise InvalidRequest("Send either `code` or `files`, and not both.")
    if draft.files is not None:
        return _bytes(draft.files)
    if draft.code is not None:
        return {**files, **_bytes({draft.entrypoint or entrypoint: draft.code})}
    return dict(files)
