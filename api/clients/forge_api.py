"""How a forge's REST API is asked: bounded in time and size, and silent about credentials."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Final, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from api.errors import ForgeUnavailable
from api.settings import travels_safely

_Shape = TypeVar("_Shape")
#: Bounds of one request, and of one answer.
_SECONDS: Final = 10.0
_MAX_BYTES: Final = 4_000_000
_MAX_WORDS: Final = 200
#: What Gitea gives at once unless told otherwise; GitHub gives up to 100.
_PAGE: Final = 50
_MAX_PAGES: Final = 40
#: Answers to what was written; and those after which it may be tried again: asked too often (GitHub
#: says 403 too, then with Retry-After), or away for a moment.
_WRITTEN: Final = frozenset({200, 201})
_LATER: Final = frozenset({403, 429, 500, 502, 503, 504})
_NOT_ALWAYS: Final = frozenset({403})
#: Seconds before each further attempt where the forge names none, and the most that it may name.
_PAUSES: Final = (1.0, 5.0)
_MAX_WAIT: Final = 120.0
_WHOLE: Final = re.compile(r"[0-9]{1,6}")


class ForgeRefused(ForgeUnavailable):
    """The forge answered, but not with what was asked for; `answer` is its status."""

    def __init__(self, message: str, answer: int) -> None:
        super().__init__(message)
        self.answer = answer


class Answer(BaseModel):
    """A part of an answer: what is not named here is not looked at, and no value is ever shown."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class _Said(Answer):
    message: Annotated[str, StringConstraints(max_length=100_000)] = ""


@dataclass(frozen=True)
class ForgeApi:
    """One forge's API; every call raises ForgeUnavailable, or ForgeRefused for an answer."""

    url: str  # its base, without a slash at the end
    client: httpx2.AsyncClient = field(repr=False)
    token: str | None = field(default=None, repr=False)

    async def get(self, path: str, shape: TypeAdapter[_Shape], **query: str | int) -> _Shape:
        """What stands at a path (which begins with a slash), read as this shape."""
        status, content, _ = await self._asked(path, query)
        if status != httpx2.codes.OK:
            raise ForgeRefused(
                f"{self.url}{path} answered {status}: {self._words(content)}", status
            )
        return self._read(path, content, shape)

    def _read(self, path: str, content: bytes, shape: TypeAdapter[_Shape]) -> _Shape:
        try:
            return shape.validate_json(content)
        except ValidationError as error:
            raise ForgeUnavailable(
                f"{self.url}{path} answered with something else than a forge does."
            ) from error

    async def send(
        self, method: str, path: str, values: Mapping[str, str], shape: TypeAdapter[_Shape]
    ) -> _Shape:
        """Write something; a forge that wants to be asked later is asked later, within bounds."""
        for pause in (*_PAUSES, None):
            status, content, later = await self._asked(path, {}, method, values)
            if status in _WRITTEN:
                return self._read(path, content, shape)
            if pause is None or status not in _LATER or (later is None and status in _NOT_ALWAYS):
                break
            if (wait := pause if later is None else later) > _MAX_WAIT:
                break
            await asyncio.sleep(wait)
        raise ForgeRefused(f"{self.url}{path} answered {status}: {self._words(content)}", status)

    async def all(self, path: str, one: type[_Shape]) -> tuple[_Shape, ...]:
        """A list, page by page."""
        found: list[_Shape] = []
        shape = TypeAdapter(list[one])  # type: ignore[valid-type]  # (a type that is a value)
        for page in range(1, _MAX_PAGES + 1):
            part = await self.get(path, shape, page=page, limit=_PAGE, per_page=_PAGE)
            found += part
            if len(part) < _PAGE:
                return tuple(found)
        raise ForgeUnavailable(f"{self.url}{path} lists more than {_MAX_PAGES * _PAGE} of them.")

    async def _asked(
        self,
        path: str,
        query: dict[str, str | int],
        method: str = "GET",
        values: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes, float | None]:
        """Status, content, and the seconds after which the forge wants to be asked again."""
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            async with (
                asyncio.timeout(_SECONDS),
                self.client.stream(
                    method, f"{self.url}{path}", params=query, headers=headers, json=values
                ) as answer,
            ):
                content = bytearray()
                async for part in answer.aiter_bytes():
                    content += part
                    if len(content) > _MAX_BYTES:
                        raise ForgeUnavailable(f"{self.url}{path} answered with too much.")
                later = answer.headers.get("Retry-After", "")
                wait = float(later) if _WHOLE.fullmatch(later) else None
                return answer.status_code, bytes(content), wait
        except TimeoutError as error:
            raise ForgeUnavailable(f"{self.url} gave no answer within {_SECONDS:g} s.") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise ForgeUnavailable(f"{self.url} cannot be asked: {reason}") from error

    def _words(self, content: bytes) -> str:
        """What the forge said, if it is for people."""
        try:
            said = _Said.model_validate_json(content).message
        except ValidationError:
            said = ""
        if self.token:
            said = said.replace(self.token, "***")
        return (
            "".join(c if c.isprintable() else " " for c in said)[:_MAX_WORDS] or "no reason given"
        )


@asynccontextmanager
async def asking() -> AsyncIterator[httpx2.AsyncClient]:
    """What requests go through: never on to another address, and trusting whom git trusts."""
    trusted = await asyncio.to_thread(ssl.create_default_context)
    async with httpx2.AsyncClient(
        verify=trusted, timeout=_SECONDS, follow_redirects=False
    ) as client:
        yield client


def carried(url: str, token: str | None) -> str | None:
    """The token, if it may travel there."""
    return token if token and travels_safely(url) else None


def segment(text: str) -> str:
    """A name as one part of a path: a branch has slashes of its own."""
    return quote(text, safe="")
