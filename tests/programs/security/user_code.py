from datetime import datetime, timedelta, timezone
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException, Security, status
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm, SecurityScopes
from jwt.exceptions import InvalidTokenError
from passlib.context import CryptContext
from pydantic import BaseModel
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    secret_key: str = "a-secret-for-a-tutorial-of-at-least-32-bytes"
    algorithm: str = "HS256"
    access_token_expire_minutes: int = 30


settings = Settings()
pwd_context = CryptContext(schemes=["argon2", "bcrypt"])
oauth2_scheme = OAuth2PasswordBearer(
    tokenUrl="token", scopes={"me": "Read about yourself.", "items": "Read your items."}
)
app = FastAPI()

fake_users_db = {
    "johndoe": {
        "username": "johndoe",
        "full_name": "John Doe",
        "hashed_password": pwd_context.hash("secret"),
        "disabled": False,
    },
    "alice": {
        "username": "alice",
        "full_name": "Alice Wonder",
        "hashed_password": pwd_context.hash("secret2", scheme="bcrypt"),
        "disabled": True,
    },
}


class Token(BaseModel):
    access_token: str
    token_type: str


class User(BaseModel):
    username: str
    full_name: str | None = None
    disabled: bool = False


class UserInDB(User):
    hashed_password: str


def authenticate_user(username: str, password: str) -> UserInDB | None:
    if username not in fake_users_db:
        return None
    user = UserInDB(**fake_users_db[username])
    return user if pwd_context.verify(password, user.hashed_password) else None


def create_access_token(data: dict) -> str:
    expire = datetime.now(timezone.utc) + timedelta(minutes=settings.access_token_expire_minutes)
    return jwt.encode({**data, "exp": expire}, settings.secret_key, algorithm=settings.algorithm)


async def get_current_user(
    security_scopes: SecurityScopes, token: Annotated[str, Depends(oauth2_scheme)]
) -> UserInDB:
    challenge = f'Bearer scope="{security_scopes.scope_str}"' if security_scopes.scopes else "Bearer"
    try:
        payload = jwt.decode(token, settings.secret_key, algorithms=[settings.algorithm])
        user = UserInDB(**fake_users_db[payload["sub"]])
    except (InvalidTokenError, KeyError):
        raise HTTPException(
            status_code=status.HTTP_401_UNAUTHORIZED,
            detail="Could not validate credentials",
            headers={"WWW-Authenticate": challenge},
        )
    for scope in security_scopes.scopes:
        if scope not in payload.get("scope", "").split():
            raise HTTPException(
                status_code=status.HTTP_403_FORBIDDEN,
                detail="Not enough permissions",
                headers={"WWW-Authenticate": challenge},
            )
    return user


async def get_active_user(user: Annotated[UserInDB, Security(get_current_user, scopes=["me"])]) -> UserInDB:
    if user.disabled:
        raise HTTPException(status_code=400, detail="Inactive user")
    return user


@app.post("/token")
async def login(form_data: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Token:
    user = authenticate_user(form_data.username, form_data.password)
    if not user:
        raise HTTPException(
            status_code=status.HTTP_401_UNAUTHORIZED,
            detail="Incorrect username or password",
            headers={"WWW-Authenticate": "Bearer"},
        )
    token = create_access_token({"sub": user.username, "scope": " ".join(form_data.scopes)})
    return Token(access_token=token, token_type="bearer")


@app.get("/users/me/", response_model=User)
async def read_users_me(current_user: Annotated[UserInDB, Depends(get_active_user)]):
    return current_user


@app.get("/users/me/items/")
async def read_own_items(current_user: Annotated[UserInDB, Security(get_active_user, scopes=["items"])]):
    return [{"item_id": "Foo", "owner": current_user.username}]
