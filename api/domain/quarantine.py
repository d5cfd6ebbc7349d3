"""Which app a cluster's refusal is about, and what the shard branch keeps of it.

Flux names the object first and the reason after it. What follows are the API server's words, which
quote what learners wrote: nothing there decides anything.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.domain.names import AppRef, is_id, namespace_of
from api.domain.publication import Entries
from api.domain.safe_text import plain_line

#: The file at the root of a shard branch.
QUARANTINE_FILE: Final = "quarantine.json"
#: The code of the hold of an app that the cluster refused.
REFUSED: Final = "refused"
_MAX_WORDS: Final = 1000
#: `<kind>/<namespace>/<name> dry-run failed (<reason>): `, as `fluxcd/pkg/ssa` writes it (v0.76,
#: errors/errors.go and manager_apply.go), and what of the API server's answer no learner wrote.
_OBJECT: Final = re.compile(
    r"(?P<kind>[A-Za-z]{1,63})/(?P<namespace>[a-z0-9-]{1,63})/(?P<name>[a-z0-9.-]{1,253}) "
    r"(?:dry-run failed|apply failed)(?: \((?P<reason>[A-Za-z]{1,63})\))?: "
)
#: Answers that are about what was sent: the same again is refused again.
_REFUSALS: Final = frozenset({"Invalid", "Forbidden", "BadRequest", "RequestEntityTooLarge"})
#: The same, where the API server gave no reason, and …
_REFUSED_SO: Final = re.compile(
    r'admission webhook "[a-z0-9.-]{1,253}" denied the request|failed to create typed patch object'
)
#: … what is forbidden whatever the app is: a namespace that ends, rights that are missing, a
#: policy without its values, an image that the operator has not listed yet.
_NOT_ITS_FAULT: Final = re.compile(
    r'[a-z0-9./-]{1,253} "[a-z0-9.-]{1,253}" is forbidden: '
    r'(?:unable to create new content in namespace \S+ because it is being terminated|User "'
    r"|ValidatingAdmissionPolicy '[a-z0-9.-]{1,253}' with binding '[a-z0-9.-]{1,253}' denied "
    r"request: (?:failed to configure |rule pod-image))"
)
_BUILD: Final = re.compile(
    r"kustomize build failed: accumulating resources: "
    r"accumulation err='accumulating resources from '(?:\./)?"
    r"(?P<user>[a-z0-9-]{1,63})/(?P<app>[a-z0-9-]{1,63})'"
)
_SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "Deployment": ("",),
    "Service": ("",),
    "IngressRoute": ("",),
    "Middleware": ("-strip", "-slash"),
}
_CODE_MAP: Final = re.compile(r"(?P<app>.+)-code-[a-z0-9]{10}")

_Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


@dataclass(frozen=True)
class Record:
    """An intent that the cluster refused."""

    intent: Entries
    applied: str | None  # the commit of the shard in which the app was last applied; None: never
    words: str  # of Flux and the API server


@dataclass(frozen=True)
class Quarantine:
    """What is quarantined on a shard when it is looked at."""

    records: Mapping[AppRef, Record] = field(default_factory=dict)
    news: bool = False  # there is something that no folder tells: all of them are opened


NOTHING: Final = Quarantine()


class _Intent(BaseModel):
    model_config = ConfigDict(extra="forbid")

    app: _Commit | None = None
    code: _Commit | None = None
    overlay: _Commit | None = None
    secrets: _Commit | None = None


class _App(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user: str
    app: str
    intent: _Intent
    applied: _Commit | None
    words: str


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    apps: tuple[_App, ...]


def culprit(words: str, apps: Iterable[AppRef]) -> AppRef | None:
    """The one of a shard's apps that was refused; None: no app, or not for what it is."""
    if build := _BUILD.match(words):
        ref = AppRef(build["user"], build["app"])
        return ref if ref in set(apps) else None
    named = _OBJECT.match(words)
    if named is None:
        return None
    said = words[named.end() :]
    reason = named["reason"]
    about_it = reason in _REFUSALS if reason else _REFUSED_SO.match(said)
    if not about_it or _NOT_ITS_FAULT.match(said):
        return None
    found = [
        ref
        for ref in apps
        if namespace_of(ref.user_id) == named["namespace"]
        and _is_object_of(ref.app_id, named["kind"], named["name"])
    ]
    return found[0] if len(found) == 1 else None


def read_quarantine(data: bytes | None) -> dict[AppRef, Record]:
    """What the file keeps; nothing where it cannot be read: then it is found out again."""
    try:
        apps = _File.model_validate_json(data or b'{"apps": []}').apps
    except ValidationError:
        return {}
    return {
        AppRef(a.user, a.app): Record(Entries(**a.intent.model_dump()), a.applied, a.words)
        for a in apps
        if is_id(a.user) and is_id(a.app)
    }


def write_quarantine(records: Mapping[AppRef, Record]) -> bytes | None:
    """The file: the same bytes for the same records; None when there is nothing to keep."""
    if not records:
        return None
    apps = [
        {
            "user": ref.user_id,
            "app": ref.app_id,
            "intent": {name: found for name, found in vars(record.intent).items() if found},
            "applied": record.applied,
            "words": record.words,
        }
        for ref, record in sorted(records.items())
    ]
    return f"{json.dumps({'apps': apps}, indent=2, sort_keys=True)}\n".encode()


def shown_words(words: str) -> str:
    """The cluster's words as they are kept and shown: one line, bounded, without control."""
    return plain_line(" ".join(words.split()))[:_MAX_WORDS]


def _is_object_of(app_id: str, kind: str, name: str) -> bool:
    if kind == "ConfigMap":
        code = _CODE_MAP.fullmatch(name)
        return code is not None and code["app"] == app_id
    return name in {f"{app_id}{suffix}" for suffix in _SUFFIXES.get(kind, ())}


def newly_refused(
    before: Mapping[AppRef, Record], after: Mapping[AppRef, Record]
) -> Collection[AppRef]:
    """The apps of which another refusal is kept than before."""
    return [ref for ref, record in after.items() if before.get(ref) != record]
