from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

import database
import notes


@asynccontextmanager
async def lifespan(app: FastAPI):
    database.create_tables()
    yield


app = FastAPI(title="Notes", lifespan=lifespan)
app.include_router(notes.router)
# Last, because it takes every path that no route above has taken.
app.mount("/", StaticFiles(directory="static", html=True))
