import asyncio
import csv
import io
import json

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse

app = FastAPI()
stories: dict[str, asyncio.Event] = {}


@app.get("/story/{name}")
async def tell_story(name: str):
    stories[name] = asyncio.Event()

    async def chapters():
        yield "Once upon a time\n"
        await stories[name].wait()
        yield "and they lived happily ever after\n"

    return StreamingResponse(chapters(), media_type="text/plain")


@app.post("/story/{name}/continue")
async def continue_story(name: str):
    if name not in stories:
        raise HTTPException(404, "Nobody listens to this story")
    stories[name].set()
    return {"continued": name}


@app.get("/events")
async def events(request: Request, count: int = 3):
    async def generate():
        for number in range(count):
            if await request.is_disconnected():
                break
            yield f"id: {number}\nevent: tick\ndata: {json.dumps({'number': number})}\n\n"
            await asyncio.sleep(0.01)

    return StreamingResponse(
        generate(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


@app.get("/squares.csv")
def squares():
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["number", "square"])
    writer.writerows([number, number * number] for number in range(1, 1001))
    return StreamingResponse(
        iter([text.getvalue()]),
        media_type="text/csv",
        headers={"Content-Disposition": 'attachment; filename="squares.csv"'},
    )


@app.post("/count")
async def count_bytes(request: Request):
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
    return {"bytes": total}
