from datetime import datetime, timezone

from fastapi import FastAPI

app = FastAPI(title="Hello API")


@app.get("/")
def home() -> dict[str, str]:
    return {"message": "Hello, world", "docs": "Add /docs to the address"}


@app.get("/hello/{name}")
def hello(name: str, excited: bool = False) -> dict[str, str]:
    # `name` comes from the path, `excited` from the query: /hello/Ada?excited=true
    return {"message": f"Hello, {name}{'!' if excited else '.'}"}


@app.get("/time")
def now() -> dict[str, datetime]:
    return {"now": datetime.now(timezone.utc)}
