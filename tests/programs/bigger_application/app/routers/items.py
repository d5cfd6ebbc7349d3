from fastapi import APIRouter, HTTPException, Request

router = APIRouter(prefix="/items", tags=["items"], responses={404: {"description": "Not found"}})

db = {"plumbus": {"name": "Plumbus"}, "gun": {"name": "Portal Gun"}}


@router.get("/")
async def read_items():
    return db


@router.get("/{item_id}")
async def read_item(item_id: str, request: Request):
    if item_id not in db:
        raise HTTPException(status_code=404, detail="Item not found")
    return {**db[item_id], "url": str(request.url_for("read_item", item_id=item_id))}
