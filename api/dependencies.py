"""What routes ask for: the opened parts of the platform, and who is asking."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api import (
    accounts,
    catching_up,
    deployments,
    history,
    intents,
    lifecycle,
    publishing,
    resting,
    rollback,
    rollouts,
    tenants,
    turns,
    waker,
    webhooks,
    writer,
)
from api.clients.cluster import Cluster
from api.clients.git_upstream import Upstream
from api.clients.gitops_repo import GitopsRepo
from api.clients.metrics import Metrics
from api.clients.store import Account
from api.clients.store import Store as StoreProtocol
from api.errors import NotAllowed, NotAuthenticated
from api.log import request_id
from api.settings import Settings

#: Raises PlatformError, saying why, when a part of the platform cannot be used now.
#: Raises PlatformError when a part cannot be used; what else an operator should know of it.
Check = Callable[[], Awaitable[str | None]]


@dataclass(frozen=True)
class Records:
    """What is kept, in the database and in the repository: all that operators' commands need."""

    store: StoreProtocol
    accounts: accounts.Accounts
    repo: GitopsRepo
    upstream: Upstream
    writer: writer.Writer
    history: history.History
    intents: intents.Intents
    tenants: tenants.Tenants


@dataclass(frozen=True)
class Platform:
    """Everything that is open while the server runs, made by `main.open_platform`."""

    settings: Settings
    records: Records
    deployments: deployments.Deployments
    rollbacks: rollback.Rollbacks
    lifecycle: lifecycle.Lifecycle
    resting: resting.Resting
    waker: waker.Waker
    publisher: publishing.Publisher
    rollouts: rollouts.Rollouts
    webhooks: webhooks.Webhooks | None  # None: no forge tells anything
    catching_up: catching_up.CatchingUp | None  # None: nobody else has a clone of their own
    cluster: Cluster
    metrics: Metrics
    validations: turns.Turns
    followed_logs: turns.Turns
    checks: Mapping[str, Check]  # name of the part → its readiness


def current_platform(request: Request) -> Platform:
    """What the application opened."""
    platform: Platform = request.app.state.platform
    return platform


CurrentPlatform = Annotated[Platform, Depends(current_platform)]


def _accounts(platform: CurrentPlatform) -> accounts.Accounts:
    return platform.records.accounts


def _store(platform: CurrentPlatform) -> StoreProtocol:
    return platform.records.store


def _intents(platform: CurrentPlatform) -> intents.Intents:
    return platform.records.intents


def _deployments(platform: CurrentPlatform) -> deployments.Deployments:
    return platform.deployments


def _history(platform: CurrentPlatform) -> history.History:
    return platform.records.history


def _rollbacks(platform: CurrentPlatform) -> rollback.Rollbacks:
    return platform.rollbacks


def _lifecycle(platform: CurrentPlatform) -> lifecycle.Lifecycle:
    return platform.lifecycle


def _resting(platform: CurrentPlatform) -> resting.Resting:
    return platform.resting


def _rollouts(platform: CurrentPlatform) -> rollouts.Rollouts:
    return platform.rollouts


def _cluster(platform: CurrentPlatform) -> Cluster:
    return platform.cluster


def _request_id() -> str:
    return request_id.get()


def _client_address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


Accounts = Annotated[accounts.Accounts, Depends(_accounts)]
Store = Annotated[StoreProtocol, Depends(_store)]
Intents = Annotated[intents.Intents, Depends(_intents)]
Deployments = Annotated[deployments.Deployments, Depends(_deployments)]
History = Annotated[history.History, Depends(_history)]
Rollbacks = Annotated[rollback.Rollbacks, Depends(_rollbacks)]
Lifecycle = Annotated[lifecycle.Lifecycle, Depends(_lifecycle)]
Resting = Annotated[resting.Resting, Depends(_resting)]
Rollouts = Annotated[rollouts.Rollouts, Depends(_rollouts)]
ClusterView = Annotated[Cluster, Depends(_cluster)]
#: Stands in the log, in the answer and in the commits that the request makes.
RequestId = Annotated[str, Depends(_request_id)]
#: The socket's peer, or what a trusted router says it forwards for.
ClientAddress = Annotated[str, Depends(_client_address)]

_bearer = HTTPBearer(auto_error=False, description="The `access_token` of a log-in.")


async def _current_user(
    cases: Accounts,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Account:
    if credentials is None:
        raise NotAuthenticated("This needs a log-in.")
    return await cases.authenticate(credentials.credentials)


CurrentUser = Annotated[Account, Depends(_current_user)]


def _administrator(user: CurrentUser) -> Account:
    if not user.is_admin:
        raise NotAllowed("Only administrators may see this.")
    return user


Administrator = Annotated[Account, Depends(_administrator)]


async def _validating(platform: CurrentPlatform, user: CurrentUser) -> AsyncIterator[None]:
    with platform.validations.turn(user.user_id):
        yield


async def _following(
    platform: CurrentPlatform, user: CurrentUser, *, follow: bool = False
) -> AsyncIterator[None]:
    """Lasts until the answer was sent, or whoever asked has gone."""
    with platform.followed_logs.turn(user.user_id) if follow else nullcontext():
        yield


#: Nobody's logs use up the streams of all.
Following = Depends(_following)
#: Nobody's typing keeps everybody else's checks waiting.
Validating = Depends(_validating)
