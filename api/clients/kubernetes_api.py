"""Requests to the API server: read only, as raw JSON, over the official client's transport.

The client's generated models are left aside: Flux' kinds have none, and a watch on 10,000 pods
would build a thousand objects for each of which a dozen fields are kept.
"""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import aiohttp
from kubernetes.aio import client, config

from api.errors import ClusterUnavailable

_LOG: Final = logging.getLogger(__name__)
#: https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
_TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io"
_UNAUTHORIZED: Final = 401
_OK: Final = 200
_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 5.0
_MAX_WORDS: Final = 500
#: An object in etcd has at most 1.5 MiB; as a line of a watch it stays far below this.
MAX_LINE: Final = 16 << 20
#: What a program prints is its own affair, and what is held of it is ours.
MAX_LOG_LINE: Final = 16 << 10
_CUT: Final = b" [cut here: the line is longer than 16 KiB]"


class ApiRefused(ClusterUnavailable):
    """The API server answered, but not with what was asked for; `answer` is the HTTP status."""

    def __init__(self, answer: int, words: str) -> None:
        super().__init__(f"The API server answered {answer}: {words[:_MAX_WORDS]}")
        self.answer = answer


class KubernetesApi:
    """One connection pool to one API server."""

    def __init__(self, configuration: client.Configuration, kubeconfig: str | None) -> None:
        # A watch, and a log that is followed, each hold a connection: their numbers are bounded
        # where they are opened.
        configuration.connection_pool_maxsize = 0
        self._configuration = configuration
        self._kubeconfig = kubeconfig
        self._client = client.ApiClient(configuration)

    @classmethod
    async def open(cls, kubeconfig: str | None) -> Self:
        """By this kubeconfig, or with the service account of this pod.

        Raises ClusterUnavailable when neither can be used.
        """
        configuration = client.Configuration()
        await _configure(configuration, kubeconfig)
        return cls(configuration, kubeconfig)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    async def get(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """One JSON object; raises ApiRefused or ClusterUnavailable."""
        return await self._object(path, query, "application/json")

    async def table(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """A list as kubectl shows it: each row with its object's metadata, and no content."""
        return await self._object(path, query, _TABLE)

    async def _object(self, path: str, query: Mapping[str, str], accept: str) -> dict[str, Any]:
        async with self._answer(path, query, accept, _SECONDS) as answer:
            found = json.loads(await answer.read())
        if not isinstance(found, dict):
            raise ClusterUnavailable(f"The API server's answer to {path} is no object.")
        return found

    @asynccontextmanager
    async def lines(
        self, path: str, query: Mapping[str, str], *, silence: float | None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of an answer as they come, which ends after `silence` seconds without any.

        Raises ApiRefused before the first line, ClusterUnavailable whenever it is cut off.
        """
        async with self._answer(path, query, "*/*", None, silence) as answer:
            yield _lines(answer)

    @asynccontextmanager
    async def log(
        self, path: str, query: Mapping[str, str], *, silence: float | None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The same for a log: a line longer than MAX_LOG_LINE bytes is cut, and says so."""
        async with self._answer(path, query, "*/*", None, silence) as answer:
            yield _cut_lines(answer)

    @asynccontextmanager
    async def _answer(
        self,
        path: str,
        query: Mapping[str, str],
        accept: str,
        seconds: float | None,
        silence: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        limits = aiohttp.ClientTimeout(
            total=seconds, sock_connect=_CONNECT_SECONDS, sock_read=silence
        )
        try:
            method, url, headers, *_ = await self._client.param_serialize(
                "GET",
                path,
                query_params=list(query.items()),
                header_params={"Accept": accept},
                auth_settings=["BearerToken"],
            )
            answer = await self._client.call_api(method, url, headers, _request_timeout=limits)
            response: aiohttp.ClientResponse = answer.response
            try:
                if response.status != _OK:
                    await self._refuse(response)
                yield response
            finally:
                response.close()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            words = str(error) or type(error).__name__
            raise ClusterUnavailable(f"The API server cannot be asked: {words}") from error

    async def _refuse(self, response: aiohttp.ClientResponse) -> None:
        text = (await response.content.read(64 << 10)).decode(errors="replace")
        if response.status == _UNAUTHORIZED:  # a token of a kubeconfig may have been renewed
            await _configure(self._configuration, self._kubeconfig)
        raise ApiRefused(response.status, _message(text) or response.reason or "no reason")


async def _configure(configuration: client.Configuration, kubeconfig: str | None) -> None:
    try:
        if kubeconfig:
            await config.load_kube_config(
                config_file=kubeconfig, client_configuration=configuration, persist_config=False
            )
        else:
            config.load_incluster_config(client_configuration=configuration)
    except (config.ConfigException, OSError, ValueError) as error:
        raise ClusterUnavailable(
            f"There is no way to the API server: {error}",
            hint="Run in a pod with a service account, or set KUBECONFIG to a file.",
        ) from error


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    rest = bytearray()
    async for chunk in response.content.iter_any():
        *lines, tail = chunk.split(b"\n")
        for line in lines:
            yield bytes(rest + line)
            rest.clear()
        rest += tail
        if len(rest) > MAX_LINE:
            raise ClusterUnavailable("The API server sent a line without an end.")
    if rest:
        yield bytes(rest)


async def _cut_lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """A line that is too long is told as soon as it is; what follows of it is read and dropped."""
    rest = bytearray()
    told = False
    async for chunk in response.content.iter_any():
        *ends, tail = chunk.split(b"\n")
        for end in ends:
            if not told:
                yield _cut(rest + end)
            rest.clear()
            told = False
        if not told:
            rest += tail
        if len(rest) > MAX_LOG_LINE:
            yield _cut(rest)
            rest.clear()
            told = True
    if rest:
        yield bytes(rest)


def _cut(line: bytearray) -> bytes:
    return bytes(line) if len(line) <= MAX_LOG_LINE else bytes(line[:MAX_LOG_LINE]) + _CUT


def _message(text: str) -> str:
    """The words of a `Status` object, or the text as it stands."""
    try:
        said = json.loads(text)
    except ValueError:
        return text
    return str(said.get("message", text)) if isinstance(said, dict) else text
