from collections.abc import Iterator
from typing import Annotated
from uuid import uuid4

from fastapi import Cookie, Depends, FastAPI, Header, HTTPException, Response

visits: dict[str, int] = {}
closed: list[str] = []


async def require_language(accept_language: Annotated[str | None, Header()] = None) -> str:
    return "de" if accept_language and accept_language.startswith("de") else "en"


class Page:
    def __init__(self, skip: int = 0, limit: int = 3):
        self.skip = skip
        self.limit = min(limit, 10)


class Database:
    def __init__(self):
        self.books = [f"Book {number}" for number in range(1, 21)]


def get_database() -> Iterator[Database]:
    database = Database()
    try:
        yield database
    finally:
        closed.append("database")


def get_session(response: Response, session: Annotated[str | None, Cookie()] = None) -> str:
    if session is None or session not in visits:
        session = uuid4().hex
        visits[session] = 0
        response.set_cookie("session", session, httponly=True, path="/visits")
    return session


def get_visits(session: Annotated[str, Depends(get_session)]) -> int:
    visits[session] += 1
    return visits[session]


async def require_key(x_key: Annotated[str, Header()]):
    if x_key != "open-sesame":
        raise HTTPException(status_code=403, detail="Wrong key")


Language = Annotated[str, Depends(require_language)]

app = FastAPI(dependencies=[Depends(require_language)])


@app.get("/books")
def list_books(page: Annotated[Page, Depends()], database: Annotated[Database, Depends(get_database)]):
    return database.books[page.skip : page.skip + page.limit]


@app.get("/closed")
def count_closed():
    return {"closed": len(closed)}


@app.get("/greeting")
def greet(language: Language):
    return {"de": "Guten Tag", "en": "Good day"}[language]


@app.get("/visits")
def count_visits(count: Annotated[int, Depends(get_visits)]):
    return {"visits": count}


@app.get("/treasure", dependencies=[Depends(require_key)])
def read_treasure():
    return {"gold": 100}
