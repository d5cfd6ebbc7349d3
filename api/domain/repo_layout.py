"""Where things stand in the repository, and the files that people and the platform share there.

`main` holds intents under `apps/<shard>/<user_id>/<app_id>/`; a branch `flux/<shard>` holds what
Flux applies under `<user_id>/<app_id>/`. DESIGN: what a person may write is one of ENTRIES.
"""

import re
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeVar

import yaml
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from api.domain.names import AppRef, is_id, shard_of
from api.domain.quantity import quantity
from api.domain.safe_text import plain_line
from api.domain.variables import MAX_VARIABLES, check_variables

MAIN: Final = "main"
#: A copy of `main:clusters/` that an operator pushed: it says what Flux applies beside the apps.
CLUSTERS_BRANCH: Final = "flux/clusters"
API_VERSION: Final = "fastapi-platform/v1"
DEFAULT_ENTRYPOINT: Final = "user_code.py"
MAX_NAME_LENGTH: Final = 60
MAX_SETTINGS_BYTES: Final = 300_000

#: How many hex digits a shard's name may have, in any installation.
SHARD_DIGITS: Final = (2, 3)
#: The parts of an app's folder that go from `main` to its shard branch.
ENTRIES: Final = ("app.yaml", "code", "overlay", "secrets")
EMPTY_OVERLAY: Final = b"""\
# Changes to this app's manifests, as patches: resources up to the ceilings of platform.yaml,
# terminationGracePeriodSeconds and annotations. Everything else is the platform's.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches: []
"""

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?!\.))*")
MAX_PATH: Final = 120
_LOGIN: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,98})(?:\[bot\])?")


class InvalidFile(ValueError):
    """A file of the repository does not fit its schema; `message` names the field."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


def is_plain_path(path: str) -> bool:
    """Whether `path` is relative, without `..`, hidden or empty parts, in plain ASCII letters."""
    return 0 < len(path) <= MAX_PATH and all(
        _SEGMENT.fullmatch(part) and not part.endswith(".") for part in path.split("/")
    )


def _display_name(name: str) -> str:
    if plain_line(name) != name:
        raise ValueError("may not contain control or bidirectional characters")
    if name != name.strip() or not name:
        raise ValueError("may not be empty or begin or end with a space")
    return name


def _id(text: str) -> str:
    if not is_id(text):
        raise ValueError("must be lower-case letters, digits and dashes, starting with a letter")
    return text


def _python_path(path: str) -> str:
    if not is_plain_path(path) or not path.endswith(".py"):
        raise ValueError("must be the path of a .py file under code/")
    return path


def _login(text: str) -> str:
    if not _LOGIN.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no login of a forge (write numbers in quotes)")
    return text


def _once(people: dict[str, str]) -> dict[str, str]:
    if len({login.casefold() for login in people}) < len(people):
        raise ValueError("a login stands there twice")
    return people


def _quantity(text: str) -> str:
    quantity(text)
    return text


Quantity = Annotated[str, AfterValidator(_quantity)]
Id = Annotated[str, AfterValidator(_id)]
Login = Annotated[str, AfterValidator(_login)]
DisplayName = Annotated[str, Field(max_length=MAX_NAME_LENGTH), AfterValidator(_display_name)]
Entrypoint = Annotated[str, AfterValidator(_python_path)]
Environment = Annotated[
    dict[str, str], Field(max_length=MAX_VARIABLES), AfterValidator(check_variables)
]
AgeRecipient = Annotated[str, Field(pattern=r"^age1[02-9ac-hj-np-z]{58}$")]
SigningKey = Annotated[str, Field(pattern=r"^ed25519:[A-Za-z0-9+/]{43}=$")]


class _File(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, serialize_by_alias=True
    )


class AppFile(_File):
    """`app.yaml`: what a person may set about their app."""

    api_version: Literal["fastapi-platform/v1"] = Field(API_VERSION, alias="apiVersion")
    kind: Literal["App"] = "App"
    id: Id
    user: Id
    name: DisplayName
    entrypoint: Entrypoint = DEFAULT_ENTRYPOINT
    state: Literal["running", "hibernated"] = "running"
    env: Environment = Field(default_factory=dict)
    review: bool = False
    pinned: bool = False
    restarted_at: Annotated[AwareDatetime | None, Field(strict=False)] = Field(
        None, alias="restartedAt"
    )


class Block(_File):
    """Why and by whom something was stopped."""

    by: Annotated[str, Field(max_length=200), AfterValidator(_display_name)]
    reason: Annotated[str, Field(max_length=500), AfterValidator(_display_name)]


class TakenDown(Block):
    """One app that an administrator stopped."""

    app_id: Id


class TenantFile(_File):
    """`tenant.yaml`: whose apps these are, should the database be lost."""

    api_version: Literal["fastapi-platform/v1"] = Field(API_VERSION, alias="apiVersion")
    kind: Literal["Tenant"] = "Tenant"
    user: Id
    username: Annotated[str, Field(max_length=64), AfterValidator(_display_name)]
    created: Annotated[AwareDatetime, Field(strict=False)]
    viewer: bool = False
    suspended: Block | None = None
    taken_down: tuple[TakenDown, ...] = Field((), strict=False)

    def stops(self, app_id: str) -> Block | None:
        """What keeps this app from running whatever its own folder says, if anything does."""
        return self.suspended or next((t for t in self.taken_down if t.app_id == app_id), None)


class Ceilings(_File):
    """The most that an overlay may ask for; Kubernetes quantities."""

    cpu: Quantity = "500m"
    memory: Quantity = "256Mi"
    ephemeral_storage: Quantity = Field("256Mi", alias="ephemeralStorage")


class PlatformFile(_File):
    """`platform.yaml`: what holds for the whole repository."""

    api_version: Literal["fastapi-platform/v1"] = Field(API_VERSION, alias="apiVersion")
    kind: Literal["Platform"] = "Platform"
    layout: Literal[1] = 1
    shards: Literal[256, 4096] = 256
    additional_imports: tuple[str, ...] = Field((), alias="additionalImports", strict=False)
    ceilings: Ceilings = Ceilings()
    #: For whom apps' secrets are encrypted, and whose signature they need.
    age_recipients: tuple[AgeRecipient, ...] = Field((), alias="ageRecipients", strict=False)
    secret_signatures: tuple[SigningKey, ...] = Field((), alias="secretSignatures", strict=False)

    @property
    def shard_digits(self) -> int:
        """How many hex digits name a shard."""
        return {256: 2, 4096: 3}[self.shards]


class PeopleFile(_File):
    """`people.yaml`: logins of the forge and whose user ids they are, for pull requests."""

    api_version: Literal["fastapi-platform/v1"] = Field(API_VERSION, alias="apiVersion")
    kind: Literal["People"] = "People"
    operators: tuple[Login, ...] = Field((), strict=False)  # they may change everything
    people: Annotated[dict[Login, Id], AfterValidator(_once)] = Field(default_factory=dict)

    def is_operator(self, login: str) -> bool:
        """Whether the person looks after the platform; forges do not tell case apart."""
        return login.casefold() in map(str.casefold, self.operators)

    def user_of(self, login: str) -> str | None:
        """Whose folders are the person's; None for somebody who is not listed."""
        return {name.casefold(): user for name, user in self.people.items()}.get(login.casefold())


_FileT = TypeVar("_FileT", bound=_File)


# libyaml where the wheel has it (8 times faster), the same schema without it.
_Base: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_DEPTH: Final = 32
_REMEMBERED: Final = 10_000
_SMALL_BYTES: Final = 2048


class _Loader(_Base):  # type: ignore[misc]  # its base depends on how PyYAML was built
    """Plain YAML only: no duplicate keys, strings stay strings."""

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002  (the base's signature)
    ) -> dict[object, object]:
        keys = [key.value for key, _ in node.value]
        if len(keys) != len(set(map(str, keys))):
            raise yaml.YAMLError("a key stands twice in one mapping")
        mapping: dict[object, object] = super().construct_mapping(node, deep)
        return mapping


def _plain(text: str) -> object:
    """The one document of `text`; aliases (billion laughs) and deep nesting are no part of it.

    Looked at as events first, for libyaml's loader recurses in C. Raises yaml.YAMLError.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_Base):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("anchors and aliases are not used here")
        if depth > _MAX_DEPTH:
            raise yaml.YAMLError(f"nested more than {_MAX_DEPTH} deep")
    return yaml.load(text, Loader=_Loader)  # noqa: S506  (a SafeLoader)


def parse_app(data: bytes) -> AppFile:
    """Read `app.yaml`; raise InvalidFile naming the first field that does not fit."""
    return _parse("app.yaml", AppFile, data)


def parse_tenant(data: bytes) -> TenantFile:
    """Read `tenant.yaml`; raise InvalidFile."""
    return _parse("tenant.yaml", TenantFile, data)


def parse_platform(data: bytes) -> PlatformFile:
    """Read `platform.yaml`; raise InvalidFile."""
    return _parse("platform.yaml", PlatformFile, data)


def parse_people(data: bytes) -> PeopleFile:
    """Read `people.yaml`; raise InvalidFile."""
    return _parse("people.yaml", PeopleFile, data)


def dump(file: BaseModel) -> bytes:
    """The file as people read it: same value, same bytes; unset options are left out."""
    content = file.model_dump(mode="json", exclude_none=True)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    return text.encode()


def _parse(path: str, model: type[_FileT], data: bytes) -> _FileT:
    if len(data) > _SMALL_BYTES:
        return _read(path, model, data)
    found = _remembered(path, model, data)
    assert isinstance(found, model)  # noqa: S101  (a cache keeps no type variable)
    return found


@lru_cache(_REMEMBERED)
def _remembered(path: str, model: type[_File], data: bytes) -> _File:
    """Files are frozen, and most are read again and again."""
    return _read(path, model, data)


def _read(path: str, model: type[_FileT], data: bytes) -> _FileT:
    if len(data) > MAX_SETTINGS_BYTES:
        raise InvalidFile(path, f"larger than {MAX_SETTINGS_BYTES} bytes")
    try:
        return model.model_validate(_plain(data.decode()))
    except UnicodeDecodeError as error:
        raise InvalidFile(path, f"not UTF-8 at byte {error.start}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InvalidFile(path, f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidFile(path, " ".join(str(error).split())[:300] or "not YAML") from None


def shard_branch(shard: str) -> str:
    """The branch that Flux watches for a shard."""
    return f"flux/{shard}"


def is_shard_branch(branch: str) -> bool:
    """Whether the platform publishes on this branch; CLUSTERS_BRANCH is an operator's."""
    return branch.startswith(shard_branch("")) and branch != CLUSTERS_BRANCH


def tenant_folder(user_id: str, digits: int) -> str:
    """A tenant's folder on `main`."""
    return f"apps/{shard_of(user_id, digits)}/{user_id}"


def app_folder(ref: AppRef, digits: int) -> str:
    """An app's folder on `main`."""
    return f"{tenant_folder(ref.user_id, digits)}/{ref.app_id}"
