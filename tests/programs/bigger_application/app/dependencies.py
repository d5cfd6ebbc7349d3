from typing import Annotated

from fastapi import Depends, Header, HTTPException

from app.config import Settings, get_settings


async def get_token_header(x_token: Annotated[str, Header()], settings: Annotated[Settings, Depends(get_settings)]):
    if x_token != settings.x_token:
        raise HTTPException(status_code=400, detail="X-Token header invalid")
