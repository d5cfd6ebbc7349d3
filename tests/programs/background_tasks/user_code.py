import asyncio
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI

sent: list[str] = []
ticks = 0


async def tick():
    global ticks
    while True:
        ticks += 1
        await asyncio.sleep(0.05)


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.greeting = "Hello"
    ticking = asyncio.create_task(tick())
    yield
    ticking.cancel()


app = FastAPI(lifespan=lifespan)


async def send_email(address: str, text: str):
    await asyncio.sleep(0.05)
    sent.append(f"{address}: {text}")


def write_log(message: str):
    print("log:", message)
    sent.append(f"log: {message}")


def get_query(background_tasks: BackgroundTasks, q: str | None = None):
    if q:
        background_tasks.add_task(write_log, f"found query {q}")
    return q


@app.post("/notifications/{email}", status_code=202)
async def send_notification(
    email: str, background_tasks: BackgroundTasks, q: Annotated[str | None, Depends(get_query)]
):
    background_tasks.add_task(send_email, email, text=f"{app.state.greeting}!")
    return {"message": "Notification will be sent in the background"}


@app.get("/notifications")
async def list_notifications():
    return sent


@app.get("/ticks")
async def count_ticks():
    return {"ticks": ticks}
