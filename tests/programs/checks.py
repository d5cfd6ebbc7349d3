"""Ten programs in the style of FastAPI's tutorial, as data, and what each must answer.

`PROGRAMS` maps a name to its files and to a script that visits the deployed program through an
HTTP client. The scripts know nothing of how it was deployed: they run against plain uvicorn, the
embedded platform and pods.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.programs.visitor import Visitor

HERE = Path(__file__).parent
WAIT_SECONDS = 10


async def path_and_query_parameters(visitor: Visitor) -> None:
    home = (await visitor.get("/")).json()
    assert home == {"plants": f"{visitor.base}/plants/", "first": f"{visitor.base}/plants/1"}
    assert (await visitor.get("/plants/?skip=1&limit=2")).json() == ["Tomato", "Basil"]
    assert (await visitor.get("/plants/?q=BAS")).json() == ["Basil"]
    await visitor.get("/plants/?limit=0", 422)
    await visitor.redirected("/plants", "/plants/")
    await visitor.redirected("/plants?q=ra", "/plants/?q=ra")
    assert (await visitor.get("/plants/favourite")).json()["name"] == "Tomato"
    assert (await visitor.get("/plants/1?short=yes")).json() == {"name": "Radish"}
    assert (await visitor.get("/plants/99", 404)).json() == {"detail": "No such plant"}
    mistake = (await visitor.get("/plants/first", 422)).json()["detail"][0]
    assert mistake["loc"] == ["path", "plant_id"]
    summer = (await visitor.get("/seasons/summer")).json()
    assert summer == {"season": "summer", "plants": ["Tomato", "Basil"]}
    await visitor.get("/seasons/winter", 422)
    note = (await visitor.get("/notes/2024/may/1st note.txt?tag=a&tag=b")).json()
    assert note == {"path": "2024/may/1st note.txt", "tags": ["a", "b"]}


async def models(visitor: Visitor) -> None:
    flour = {"name": "Flour", "grams": "500.5"}
    bread = {"title": " Bread ", "ingredients": [flour], "secret_tip": "patience"}
    made = (await visitor.post("/recipes/", 201, json=bread)).json()
    assert (made["title"], made["course"], made["weight"]) == ("Bread", "main", "500.5")
    assert "secret_tip" not in made
    mistakes = (
        await visitor.post("/recipes/", 422, json={"title": "  ", "author": "nobody"})
    ).json()
    assert {tuple(mistake["loc"]) for mistake in mistakes["detail"]} == {
        ("body", "title"),
        ("body", "author"),
    }
    path = f"/recipes/{made['id']}"
    assert (await visitor.get(path)).json() == made
    changed = (await visitor.send("PATCH", path, 200, json={"course": "starter"})).json()
    assert changed == {**made, "course": "starter"}
    rating = await visitor.send("PUT", f"/ratings/{made['id']}", 200, json={"stars": 5})
    assert rating.json() == {"title": "Bread", "stars": 5}
    await visitor.send("PUT", f"/ratings/{made['id']}", 422, json={"stars": 6})
    await visitor.send("DELETE", path, 204)
    await visitor.get(path, 404)
    form = {"email": "ada@example.org", "message": "grüß dich"}
    contact = await visitor.post("/contact", data=form)
    assert contact.json() == {"email": "ada@example.org", "length": 9}
    photo = ("cat ü.png", b"\x89PNG" * 100_000, "image/png")
    upload = await visitor.post("/photos", files={"photo": photo, "thumbnail": b"1234"})
    assert upload.json() == {"name": "cat ü.png", "size": 400_000, "thumbnail": 4}


async def dependencies(visitor: Visitor) -> None:
    assert (await visitor.get("/books")).json() == ["Book 1", "Book 2", "Book 3"]
    assert len((await visitor.get("/books?skip=5&limit=99")).json()) == 10
    assert (await visitor.get("/closed")).json()["closed"] >= 2
    german = {"Accept-Language": "de-AT"}
    assert (await visitor.get("/greeting", headers=german)).json() == "Guten Tag"
    assert (await visitor.get("/greeting")).json() == "Good day"
    first = await visitor.get("/visits")
    cookie = first.headers["set-cookie"]
    assert f"Path={visitor.prefix}/visits" in cookie.split("; ")
    session = {"Cookie": cookie.partition(";")[0]}
    assert first.json() == {"visits": 1}
    assert (await visitor.get("/visits", headers=session)).json() == {"visits": 2}
    assert (await visitor.get("/treasure", headers={"X-Key": "open-sesame"})).json() == {
        "gold": 100
    }
    await visitor.get("/treasure", 403, headers={"X-Key": "please"})
    await visitor.get("/treasure", 422)


async def security(visitor: Visitor) -> None:
    asked = await visitor.get("/users/me/", 401)
    assert asked.headers["www-authenticate"].startswith("Bearer")
    john = {"username": "johndoe", "password": "secret"}
    await visitor.post("/token", 401, data=john | {"password": "guess"})
    await visitor.post("/token", 401, data=john | {"username": "nobody"})
    token = (await visitor.post("/token", data=john | {"scope": "me"})).json()
    assert token["token_type"] == "bearer"
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    me = (await visitor.get("/users/me/", headers=bearer)).json()
    assert me == {"username": "johndoe", "full_name": "John Doe", "disabled": False}
    await visitor.get("/users/me/items/", 403, headers=bearer)
    await visitor.get("/users/me/", 401, headers={"Authorization": bearer["Authorization"] + "x"})
    await visitor.redirected("/users/me", "/users/me/")
    token = (await visitor.post("/token", data=john | {"scope": "me items"})).json()
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    items = (await visitor.get("/users/me/items/", headers=bearer)).json()
    assert items == [{"item_id": "Foo", "owner": "johndoe"}]
    alice = {"username": "alice", "password": "secret2", "scope": "me"}
    token = (await visitor.post("/token", data=alice)).json()
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    await visitor.get("/users/me/", 400, headers=bearer)
    document = (await visitor.get("/openapi.json")).json()
    scheme = document["components"]["securitySchemes"]["OAuth2PasswordBearer"]
    assert scheme["flows"]["password"]["tokenUrl"] == "token"  # relative: under the prefix


async def background_tasks(visitor: Visitor) -> None:
    before = len((await visitor.get("/notifications")).json())
    answer = await visitor.post("/notifications/ada@example.org?q=fish", 202)
    assert answer.json() == {"message": "Notification will be sent in the background"}
    expected = ["log: found query fish", "ada@example.org: Hello!"]
    async with asyncio.timeout(WAIT_SECONDS):
        while (sent := (await visitor.get("/notifications")).json()[before:]) != expected:
            assert sent == expected[: len(sent)]
            await asyncio.sleep(0.05)
        ticks = (await visitor.get("/ticks")).json()["ticks"]
        while (await visitor.get("/ticks")).json()["ticks"] <= ticks:
            await asyncio.sleep(0.05)


async def middleware(visitor: Visitor) -> None:
    await visitor.redirected("/", "/docs")
    first, second = [await visitor.get("/water/3") for _ in range(2)]
    assert float(second.headers["x-process-time"]) >= 0
    assert int(second.headers["x-request-number"]) == int(first.headers["x-request-number"]) + 1
    empty = (await visitor.get("/water/0", 418)).json()
    assert empty == {"message": "Fill the can first", "path": f"{visitor.prefix}/water/0"}
    assert (await visitor.get("/water/much", 400)).text == "Please send a number"
    long = await visitor.get("/long", headers={"Accept-Encoding": "gzip"})
    assert long.headers["content-encoding"] == "gzip"
    assert long.text == "water the plants " * 1000
    garden = {"Origin": "https://garden.example"}
    ask = garden | {"Access-Control-Request-Method": "PUT"}
    preflight = await visitor.send("OPTIONS", "/colour/green", 200, headers=ask)
    assert preflight.headers["access-control-allow-origin"] == "https://garden.example"
    assert "PUT" in preflight.headers["access-control-allow-methods"]
    stranger = await visitor.get("/water/1", headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in stranger.headers
    chosen = await visitor.send("PUT", "/colour/green", 200, headers=garden)
    assert chosen.headers["access-control-allow-credentials"] == "true"
    cookie = chosen.headers["set-cookie"].split("; ")
    assert f"Path={visitor.prefix or '/'}" in cookie
    seen = (await visitor.get("/colour", headers={"Cookie": cookie[0]})).json()
    scheme, _, host = visitor.base.removesuffix(visitor.prefix).partition("://")
    assert seen == {"colour": "green", "scheme": scheme, "host": host}
    await visitor.get("/broken", 500)
    await visitor.get("/water/1")


async def websockets(visitor: Visitor) -> None:
    page = (await visitor.get("/")).text
    assert f'data-address="{visitor.base.replace("http", "ws", 1)}/ws/chat/1"' in page
    script = await visitor.get("/static/chat.js")
    assert "new WebSocket" in script.text
    assert "javascript" in script.headers["content-type"]
    await visitor.get("/static/missing.js", 404)
    async with visitor.websocket("/ws/echo", subprotocols=["echo"]) as echo:
        assert echo.subprotocol == "echo"
        for text in ("Hallo", "ü" * 50_000):
            await echo.send(text)
            assert await echo.recv() == f"Message text was: {text}"
    async with visitor.websocket("/ws/chat/1") as one:
        async with visitor.websocket("/ws/chat/2") as two:
            await two.send('{"text": "hi"}')
            assert await one.recv() == await two.recv() == "Client #2 says: hi"
        assert await one.recv() == "Client #2 left the chat"
    async with visitor.websocket("/ws/secret?token=let-me-in") as secret:
        assert f"Path={visitor.prefix or '/'}" in secret.response.headers["set-cookie"]
        assert await secret.recv() == b"\x00\x01let-me-in"
        with pytest.raises(ConnectionClosed) as closed:
            await secret.recv()
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4000, "done")
    with pytest.raises(InvalidStatus) as refused:
        async with visitor.websocket("/ws/secret?token=guess"):
            pass
    assert refused.value.response.status_code == 403


async def streaming(visitor: Visitor) -> None:
    name = f"snow-white-{id(visitor)}"
    async with asyncio.timeout(WAIT_SECONDS), visitor.stream(f"/story/{name}") as story:
        chunks = story.aiter_text()
        assert await anext(chunks) == "Once upon a time\n"
        # The app sends the rest only after this second request: a buffer on the way would hang.
        await visitor.post(f"/story/{name}/continue")
        assert "".join([chunk async for chunk in chunks]).endswith("ever after\n")
    await visitor.post("/story/unheard/continue", 404)
    async with visitor.stream("/events?count=4") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in events.aiter_lines() if line.startswith("data:")]
    assert lines == [f'data: {{"number": {number}}}' for number in range(4)]
    table = await visitor.get("/squares.csv")
    assert table.text.splitlines()[-1] == "1000,1000000"
    assert table.headers["content-disposition"] == 'attachment; filename="squares.csv"'

    async def body():
        for _ in range(64):
            yield b"x" * 10_000

    assert (await visitor.post("/count", content=body())).json() == {"bytes": 640_000}


async def bigger_application(visitor: Visitor) -> None:
    token = {"X-Token": "fake-super-secret-token"}
    page = (await visitor.get("/")).text
    assert f'href="{visitor.base}/static/style.css"' in page
    assert f'href="{visitor.base}/items/gun"' in page
    assert "rebeccapurple" in (await visitor.get("/static/style.css")).text
    assert (await visitor.get("/health")).json() == {"health": "my own"}
    assert (await visitor.get("/users/")).json()[1] == {"username": "Morty"}
    assert (await visitor.get("/users/me")).json() == {"username": "fakecurrentuser"}
    assert len((await visitor.get("/items/", headers=token)).json()) == 2
    await visitor.get("/items/", 422)
    await visitor.redirected("/items", "/items/")
    gun = (await visitor.get("/items/gun", headers=token)).json()
    assert gun == {"name": "Portal Gun", "url": f"{visitor.base}/items/gun"}
    await visitor.get("/items/none", 404, headers=token)
    await visitor.post("/admin/", 400, headers={"X-Token": "guess"})
    assert (await visitor.post("/admin/", headers=token)).json()["items"] == 2
    status = (await visitor.get("/v1/status")).json()
    assert status == {"version": 1, "here": f"{visitor.base}/v1/status"}
    assert f"'{visitor.prefix}/v1/openapi.json'" in (await visitor.get("/v1/docs")).text
    inner = (await visitor.get("/v1/openapi.json")).json()
    assert [server["url"] for server in inner["servers"]] == [f"{visitor.prefix}/v1"]


async def sqlmodel_heroes(visitor: Visitor) -> None:
    hero = {"name": "Deadpond", "secret_name": "Dive Wilson", "team_id": 1}
    made = (await visitor.post("/heroes/", 201, json=hero)).json()
    assert made == {"id": made["id"], "name": "Deadpond", "age": None, "team_id": 1}
    path = f"/heroes/{made['id']}"
    assert made in (await visitor.get("/heroes/")).json()
    assert (await visitor.get("/heroes/?offset=100000")).json() == []
    await visitor.get("/heroes/?limit=101", 422)
    await visitor.redirected("/heroes", "/heroes/")
    older = (await visitor.send("PATCH", path, 200, json={"age": 48})).json()
    assert older == {**made, "age": 48}
    assert (await visitor.get(path)).json() == older
    team = (await visitor.get("/teams/Preventers")).json()
    assert "Deadpond" in team["heroes"]
    await visitor.get("/teams/Villains", 404)
    assert (await visitor.send("DELETE", path, 200)).json() == {"ok": True}
    await visitor.get(path, 404)


@dataclass(frozen=True)
class Program:
    """One program: its files (path → text), which of them has the `app`, and its script."""

    files: dict[str, str]
    entrypoint: str
    check: Callable[[str, httpx2.AsyncClient], Awaitable[None]]


def _program(
    script: Callable[[Visitor], Awaitable[None]], entrypoint: str = "user_code.py"
) -> Program:
    folder = HERE / script.__name__
    files = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }

    async def check(base: str, http: httpx2.AsyncClient) -> None:
        visitor = Visitor(base.rstrip("/"), http)
        await script(visitor)
        await visitor.check_documentation()

    return Program(files, entrypoint, check)


PROGRAMS = {
    script.__name__: _program(script)
    for script in (
        path_and_query_parameters,
        models,
        dependencies,
        security,
        background_tasks,
        middleware,
        websockets,
        streaming,
        sqlmodel_heroes,
    )
} | {"bigger_application": _program(bigger_application, "app/main.py")}
