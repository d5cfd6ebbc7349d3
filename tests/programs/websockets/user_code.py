from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request, WebSocket, WebSocketDisconnect, WebSocketException, status
from fastapi.responses import HTMLResponse

app = FastAPI()


class ConnectionManager:
    def __init__(self):
        self.active_connections: list[WebSocket] = []

    async def connect(self, websocket: WebSocket):
        await websocket.accept()
        self.active_connections.append(websocket)

    def disconnect(self, websocket: WebSocket):
        self.active_connections.remove(websocket)

    async def broadcast(self, message: str):
        for connection in self.active_connections:
            await connection.send_text(message)


manager = ConnectionManager()


async def get_token(token: Annotated[str | None, Query()] = None) -> str:
    if token != "let-me-in":
        raise WebSocketException(code=status.WS_1008_POLICY_VIOLATION)
    return token


@app.get("/", response_class=HTMLResponse)
async def chat_page(request: Request):
    address = request.url_for("chat", client_id=1)
    return f"""<!DOCTYPE html>
<title>Chat</title>
<ul id="messages" data-address="{address}"></ul>
<script src="static/chat.js"></script>
"""


@app.websocket("/ws/echo")
async def echo(websocket: WebSocket):
    await websocket.accept(subprotocol="echo" if "echo" in websocket.scope["subprotocols"] else None)
    try:
        while True:
            await websocket.send_text(f"Message text was: {await websocket.receive_text()}")
    except WebSocketDisconnect:
        pass


@app.websocket("/ws/chat/{client_id}")
async def chat(websocket: WebSocket, client_id: int):
    await manager.connect(websocket)
    try:
        while True:
            data = await websocket.receive_json()
            await manager.broadcast(f"Client #{client_id} says: {data['text']}")
    except WebSocketDisconnect:
        manager.disconnect(websocket)
        await manager.broadcast(f"Client #{client_id} left the chat")


@app.websocket("/ws/secret")
async def secret(websocket: WebSocket, token: Annotated[str, Depends(get_token)]):
    await websocket.accept(headers=[(b"set-cookie", b"seen=1; Path=/")])
    await websocket.send_bytes(b"\x00\x01" + token.encode())
    await websocket.close(code=4000, reason="done")
