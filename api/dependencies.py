"""What routes ask for: the opened parts of the platform, and who is asking."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api import accounts as account_cases
from api.clients.metrics import Metrics
from api.clients.store import Account
from api.clients.store import Store as StoreProtocol
from api.errors import NotAuthenticated
from api.settings import Settings

#: Raises PlatformError, saying why, when a part of the platform cannot be used now.
Check = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Platform:
    """Everything that is open while the server runs, made by `main.open_platform`."""

    settings: Settings
    store: StoreProtocol
    accounts: account_cases.Accounts
    metrics: Metrics
    checks: Mapping[str, Check]  # name of the part → its readiness


def _platform(request: Request) -> Platform:
    platform: Platform = request.app.state.platform
    return platform


CurrentPlatform = Annotated[Platform, Depends(_platform)]


def _accounts(platform: CurrentPlatform) -> account_cases.Accounts:
    return platform.accounts


def _store(platform: CurrentPlatform) -> StoreProtocol:
    return platform.store


def _client_address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


Accounts = Annotated[account_cases.Accounts, Depends(_accounts)]
Store = Annotated[StoreProtocol, Depends(_store)]
#: The socket's peer, or what a trusted router says it forwards for.
ClientAddress = Annotated[str, Depends(_client_address)]

_bearer = HTTPBearer(auto_error=False, description="The `access_token` of a log-in.")


async def _current_user(
    accounts: Accounts,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Account:
    if credentials is None:
        raise NotAuthenticated("This needs a log-in.")
    return await accounts.authenticate(credentials.credentials)


CurrentUser = Annotated[Account, Depends(_current_user)]
