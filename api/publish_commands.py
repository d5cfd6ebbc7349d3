"""`python -m api publish`: one look by hand, and the way out of what is held back."""

from typing import Annotated, Literal

import typer
from pydantic import BaseModel

from api.opening import open_publishing
from api.publishing_once import News
from api.terminal import Json, load_settings, run, show

Accept = Annotated[
    str | None,
    typer.Option(
        help="All 40 digits of a commit of main at which you looked: what was rewound or removed "
        "up to it is published."
    ),
]


Retry = Annotated[
    str | None,
    typer.Option(help="The id of an app that the cluster refused: it is tried again as it is."),
]


class NewsRow(BaseModel):
    """What came of a shard, or of one app that is held."""

    shard: str
    state: Literal["published", "held", "waits"]
    app_id: str | None
    message: str


def publish(*, accept: Accept = None, retry: Retry = None, as_json: Json = False) -> None:
    """Publish what differs from main, also while the platform is served; status 1 if any waits.

    Publishing waits for an operator after a rewind of main, and when many apps vanish from it at
    once and not by the platform. Look at main, put it right, or accept it as it is.
    """
    settings = load_settings()

    async def work() -> list[News]:
        async with open_publishing(settings) as opened:
            return await opened.publish(accept, retry)

    rows = [NewsRow(**vars(news)) for news in run(work())]
    show(rows, as_json=as_json, none="Nothing to publish: every shard is in step with main.")
    if any(row.state == "waits" for row in rows):
        raise typer.Exit(1)
