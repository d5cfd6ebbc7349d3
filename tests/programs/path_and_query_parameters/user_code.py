from enum import Enum
from typing import Annotated

from fastapi import FastAPI, HTTPException, Path, Query, Request

app = FastAPI(title="Garden")


class Season(str, Enum):
    spring = "spring"
    summer = "summer"
    autumn = "autumn"


plants = {
    1: {"name": "Radish", "season": Season.spring},
    2: {"name": "Tomato", "season": Season.summer},
    3: {"name": "Basil", "season": Season.summer},
    4: {"name": "Pumpkin", "season": Season.autumn},
}


@app.get("/")
def read_root(request: Request):
    return {
        "plants": str(request.url_for("list_plants")),
        "first": str(request.url_for("read_plant", plant_id=1)),
    }


@app.get("/plants/")
def list_plants(
    skip: int = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
    q: Annotated[str | None, Query(min_length=2, max_length=20)] = None,
):
    found = [plant["name"] for plant in plants.values()]
    if q:
        found = [name for name in found if q.lower() in name.lower()]
    return found[skip : skip + limit]


# Before /plants/{plant_id}, or "favourite" would be read as a number.
@app.get("/plants/favourite")
def read_favourite():
    return plants[2]


@app.get("/plants/{plant_id}")
def read_plant(plant_id: Annotated[int, Path(title="The plant's number", ge=1)], short: bool = False):
    if plant_id not in plants:
        raise HTTPException(status_code=404, detail="No such plant")
    if short:
        return {"name": plants[plant_id]["name"]}
    return plants[plant_id]


@app.get("/seasons/{season}")
def read_season(season: Season):
    return {"season": season, "plants": [p["name"] for p in plants.values() if p["season"] is season]}


@app.get("/notes/{note_path:path}")
def read_note(note_path: str, tag: Annotated[list[str], Query()] = []):
    return {"path": note_path, "tags": tag}
