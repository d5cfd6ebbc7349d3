"""What the platform asks of a cluster: to be observed. It is never asked to create anything."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from api.domain.names import AppRef
from api.domain.rollout import LiveVersion, Observation, Shard


@dataclass(frozen=True)
class LogLine:
    """One line of an app's output."""

    at: datetime
    text: str
    pod: str


class Cluster(Protocol):
    """Observed by `clients` (Kubernetes and Flux) or by `local` (the embedded stand-in)."""

    @property
    def isolated(self) -> bool:
        """Whether it keeps apps apart from each other and from the machines they run on."""

    async def observe(self, ref: AppRef) -> Observation:
        """What is known of the app now; costs no request to the API server."""

    async def shard(self, name: str) -> Shard:
        """What Flux reports of the branch `flux/<name>` now; costs no request either."""

    def changes(self, ref: AppRef) -> AsyncIterator[None]:
        """Yield at once, then whenever something of the app changed (bursts may be merged)."""

    def logs(
        self, ref: AppRef, *, follow: bool = False, previous: bool = False, tail: int = 200
    ) -> AsyncIterator[LogLine]:
        """The app's output, oldest first; with `follow` it goes on until the caller stops."""

    async def open_requests(self, ref: AppRef) -> int:
        """How many requests, streams and WebSockets the app's pods serve at this moment.

        Raises ClusterUnavailable when one of them does not tell.
        """

    async def poke(self, shards: Collection[str]) -> None:
        """Tell Flux that these shard branches moved."""

    async def live(self, ref: AppRef) -> LiveVersion | None:
        """The version whose pods were last seen serving; None when nothing was."""

    async def problem(self) -> str | None:
        """Why the cluster cannot be observed now; None when it can."""
