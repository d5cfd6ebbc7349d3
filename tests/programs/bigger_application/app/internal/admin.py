from fastapi import APIRouter

from ..routers.items import db

router = APIRouter()


@router.post("/")
async def update_admin():
    return {"message": "Admin getting schwifty", "items": len(db)}
