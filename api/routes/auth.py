"""Accounts over HTTP."""

from fastapi import APIRouter

from api.accounts import Session
from api.clients.store import Account
from api.dependencies import Accounts, ClientAddress, CurrentUser
from api.routes.errors import documented
from api.routes.schemas import LoginRequest, PasswordChange, SignupRequest, Token, User

router = APIRouter(prefix="/api/auth", tags=["accounts"])


@router.post("/signup", status_code=201, responses=documented(403, 409, 429))
async def sign_up(body: SignupRequest, accounts: Accounts, address: ClientAddress) -> User:
    """Make an account; with `SIGNUP=invite` an invitation is needed."""
    account = await accounts.sign_up(
        username=body.username,
        email=body.email,
        password=body.password,
        invitation=body.invitation,
        address=address,
    )
    return _user(account)


@router.post("/login", responses=documented(401, 403, 429))
async def log_in(body: LoginRequest, accounts: Accounts, address: ClientAddress) -> Token:
    """Get a token for a username and its password."""
    session = await accounts.log_in(username=body.username, password=body.password, address=address)
    return _token(session)


@router.get("/me", responses=documented(401, 403))
async def me(user: CurrentUser) -> User:
    """Who is logged in."""
    return _user(user)


@router.post("/password", responses=documented(401, 403, 429))
async def change_password(
    body: PasswordChange, user: CurrentUser, accounts: Accounts, address: ClientAddress
) -> Token:
    """Change the password; ends all log-ins and answers with a new one."""
    session = await accounts.change_password(
        user, current=body.current_password, new=body.new_password, address=address
    )
    return _token(session)


@router.post("/logout-everywhere", status_code=204, responses=documented(401, 403))
async def log_out_everywhere(user: CurrentUser, accounts: Accounts) -> None:
    """End all log-ins, this one too."""
    await accounts.log_out_everywhere(user)


def _user(account: Account) -> User:
    return User(
        user_id=account.user_id,
        username=account.username,
        email=account.email,
        is_admin=account.is_admin,
    )


def _token(session: Session) -> Token:
    return Token(
        access_token=session.access_token, expires_in=int(session.lifetime.total_seconds())
    )
