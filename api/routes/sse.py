"""Server-sent events: read by the browser with `fetch` and the header, so no token is in a URL."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from pydantic import BaseModel

#: A comment this often, in seconds, keeps proxies from closing a quiet stream.
_KEEP_ALIVE: Final = 15.0


class EventStream(StreamingResponse):
    """Sends each model as an event of one name, until the iterator ends or the client leaves."""

    media_type = "text/event-stream"

    def __init__(self, name: str, models: AsyncIterator[BaseModel]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(_encoded(name, models), headers=headers)


async def _encoded(name: str, models: AsyncIterator[BaseModel]) -> AsyncIterator[bytes]:
    following = asyncio.ensure_future(anext(models, None))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=_KEEP_ALIVE)
            if not done:
                yield format_sse_event(comment="keep-alive")
                continue
            model = following.result()
            if model is None:
                return
            yield format_sse_event(event=name, data_str=model.model_dump_json())
            following = asyncio.ensure_future(anext(models, None))
    finally:
        following.cancel()
