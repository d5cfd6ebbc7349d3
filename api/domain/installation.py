"""What the doctor has observed of an installation: plain values, from which the checks decide."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal

from api.domain.repo_layout import PlatformFile, is_shard_branch
from api.settings import Settings


@dataclass(frozen=True)
class Unseen:
    """Something that could not be looked at, and why."""

    why: str


@dataclass(frozen=True)
class ByHand:
    """Something that no program can look at here; `what` says what an operator looks at instead."""

    what: str


@dataclass(frozen=True)
class SettingsSeen:
    """The environment's settings, and what this machine makes of them."""

    values: Settings
    #: Settings that the environment holds; others have their default.
    given: frozenset[str] = frozenset()
    #: Hosts that lead nowhere, and the resolver's words.
    unresolved: Mapping[str, str] = field(default_factory=dict)
    #: Settings whose file cannot be used, and why.
    unreadable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """What came of a push that cannot change anything, with one credential on one branch."""

    who: Literal["platform", "person"]
    branch: str
    answer: Literal["passes", "refused", "unknown"]
    words: str


@dataclass(frozen=True)
class RepositorySeen:
    """The branches of the repository, and what its files say."""

    branches: Mapping[str, str]  # name → commit
    platform: PlatformFile | None
    platform_fault: str  # why platform.yaml says nothing; empty when it does
    clusters: tuple[str, ...]  # folders of clusters/ that `init-repo` wrote
    waiting: tuple[str, ...]  # paths of clusters/ in which flux/clusters differs from main
    outdated: tuple[str, ...]  # paths on main that are not what the template gives now
    signature_faults: Mapping[str, str] | Unseen  # branch → what is wrong with its tip
    push_refusal: str | Unseen | None  # why the platform's credential opens no push at all
    trials: tuple[Trial, ...] = ()
    person: bool = False  # whether a person's credential was given

    @property
    def shards(self) -> tuple[str, ...]:
        """The branches of shards, in their order."""
        return tuple(sorted(filter(is_shard_branch, self.branches)))


#: Among those who may push, where a rule does not tell one deploy key from another.
ALL_DEPLOY_KEYS: Final = "every deploy key with write access"


@dataclass(frozen=True)
class BranchRules:
    """What a forge enforces on one branch, as far as its API tells."""

    up_to_date: bool = False  # a pull request must contain the newest commit
    signatures: bool = False  # of every commit
    protected: bool = False  # not everybody with write access may push
    no_force: bool = False
    #: Whom a rule lets push; None where there is no such rule, or it is not told.
    pushers: tuple[str, ...] | None = None


@dataclass(frozen=True)
class DeployKey:
    """A key that opens one repository."""

    title: str
    public: str  # type and value, without a comment
    may_push: bool

    @classmethod
    def of(cls, title: str, line: str, *, may_push: bool) -> "DeployKey":
        """From a line in OpenSSH's form."""
        return cls(title, " ".join(line.split()[:2]), may_push)


@dataclass(frozen=True)
class ForgeSeen:
    """What the forge says about the repository."""

    kind: str
    default_branch: str | Unseen
    main: BranchRules | Unseen
    shards: BranchRules | Unseen
    clusters: BranchRules | Unseen
    deploy_keys: tuple[DeployKey, ...] | Unseen = ()
    own_key: str | None = None  # the public part of GIT_SSH_KEY_FILE, without a comment


@dataclass(frozen=True)
class Manifest:
    """An object of the cluster, or one that should be there."""

    kind: str
    namespace: str
    name: str
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, raw: Mapping[str, Any], kind: str = "") -> "Manifest":
        """Read its identity; items of a list do not say their kind."""
        about = raw.get("metadata") or {}
        return cls(
            str(raw.get("kind") or kind),
            str(about.get("namespace") or ""),
            str(about.get("name") or ""),
            raw,
        )

    @property
    def title(self) -> str:
        """As kubectl names it."""
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.kind} {self.name}{where}"

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        found: Mapping[str, str] = self.at("metadata", "labels") or {}
        return found

    def at(self, *path: str) -> Any:
        """The value at a path of keys; None where there is none."""
        value: Any = self.raw
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def conditions(self) -> Iterator[tuple[str, str, str]]:
        """Type, status and message of each condition."""
        for condition in self.at("status", "conditions") or ():
            yield (
                str(condition.get("type")),
                str(condition.get("status")),
                str(condition.get("message", "")),
            )


@dataclass(frozen=True)
class ClusterSeen:
    """The objects of a cluster that the platform rests on, and those that its template wants."""

    version: str  # as the API server says it
    objects: Mapping[str, tuple[Manifest, ...] | Unseen]  # by kind
    wanted: tuple[Manifest, ...] | Unseen  # rendered from the template and the settings
    settings: Settings
    receiver_path: str | None = None  # where this environment's token leads
    public_key: str | None = None  # the platform's, in OpenSSH's form


@dataclass(frozen=True)
class DatabaseSeen:
    """The database of accounts."""

    kind: str
    missing_indexes: tuple[str, ...] = ()
    skew: timedelta | None = None  # its clock against this machine's


@dataclass(frozen=True)
class Installation:
    """Everything that was observed; None: this installation has no such part."""

    settings: SettingsSeen
    repository: RepositorySeen | Unseen
    forge: ForgeSeen | Unseen | ByHand | None
    cluster: ClusterSeen | Unseen | None
    database: DatabaseSeen | Unseen
