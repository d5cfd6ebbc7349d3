"""Repositories of any size for benchmarks, written by `git fast-import` in seconds.

Every app has the same code and, on its shard branch, the same rendered files; its `app.yaml`,
which is what a look compares, is its own.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from api.clients.git_clone import quieten_path
from api.domain.commit_message import publish_message
from api.domain.manifests import RENDERER_VERSION
from api.domain.names import AppRef, shard_of
from api.domain.repo_layout import (
    EMPTY_OVERLAY,
    AppFile,
    PlatformFile,
    TenantFile,
    app_folder,
    dump,
    tenant_folder,
)

HELLO = b"from fastapi import FastAPI\n\napp = FastAPI()\n"
_AT = 1_700_000_000
_PERSON = f"FastAPI Platform <platform@users.noreply.invalid> {_AT} +0000"
_RENDERED = ("deployment", "service", "middleware", "ingressroute")


@dataclass(frozen=True)
class Size:
    """So many apps, of as many people, in so many shards."""

    apps: int
    digits: int

    @property
    def shards(self) -> list[str]:
        """Names of all shards."""
        return [f"{n:0{self.digits}x}" for n in range(16**self.digits)]

    def refs(self) -> list[AppRef]:
        """The apps."""
        return [AppRef(f"u{n}", f"app{n}") for n in range(self.apps)]


def make(path: Path, size: Size) -> None:
    """Make a bare repository: all apps in the one commit of `main`, and published."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], check=True)
    quieten_path(path)
    first = _fast_import(path, _main(size))
    _fast_import(path, _shards(size, first))
    subprocess.run(["git", "-C", path, "pack-refs", "--all"], check=True)


def _fast_import(path: Path, chunks: Iterator[bytes]) -> str:
    with subprocess.Popen(
        ["git", "-C", path, "fast-import", "--quiet", "--force"], stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None  # noqa: S101  (it is a pipe)
        for chunk in chunks:
            process.stdin.write(chunk)
        process.stdin.close()
    if process.returncode:
        raise RuntimeError("git fast-import failed")
    found = subprocess.run(
        ["git", "-C", path, "rev-parse", "main"], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _blob(mark: int, content: bytes) -> bytes:
    return b"blob\nmark :%d\n%s" % (mark, _data(content))


def _commit(branch: str, message: str) -> bytes:
    head = f"commit refs/heads/{branch}\ncommitter {_PERSON}\n".encode()
    return head + _data(message.encode())


def _file(path: str, mark: int) -> bytes:
    return f"M 100644 :{mark} {path}\n".encode()


_CODE, _OVERLAY, _PLATFORM, _FIRST = 1, 2, 3, 100


#: As `dump` writes it: 100,000 dumps would take minutes.
_APP_TEXT = dump(AppFile(id="the-app", user="the-user", name="the-app"))


def _app(ref: AppRef) -> bytes:
    text = _APP_TEXT.replace(b"the-app", ref.app_id.encode())
    return text.replace(b"the-user", ref.user_id.encode())


def _main(size: Size) -> Iterator[bytes]:
    created = datetime.fromtimestamp(_AT, UTC)
    tenant = dump(TenantFile(user="the-user", username="the-user", created=created))
    yield _blob(_CODE, HELLO)
    yield _blob(_OVERLAY, EMPTY_OVERLAY)
    yield _blob(_PLATFORM, dump(PlatformFile(shards=16**size.digits)))
    refs = size.refs()
    for number, ref in enumerate(refs):
        yield _blob(_FIRST + 2 * number, _app(ref))
        yield _blob(_FIRST + 2 * number + 1, tenant.replace(b"the-user", ref.user_id.encode()))
    yield _commit("main", "Import\n")
    yield _file("platform.yaml", _PLATFORM)
    for number, ref in enumerate(refs):
        folder = app_folder(ref, size.digits)
        yield _file(
            f"{tenant_folder(ref.user_id, size.digits)}/tenant.yaml", _FIRST + 2 * number + 1
        )
        yield _file(f"{folder}/app.yaml", _FIRST + 2 * number)
        yield _file(f"{folder}/code/user_code.py", _CODE)
        yield _file(f"{folder}/overlay/kustomization.yaml", _OVERLAY)


def _shards(size: Size, source: str) -> Iterator[bytes]:
    yield _blob(_CODE, HELLO)
    yield _blob(_OVERLAY, EMPTY_OVERLAY)
    yield _blob(_PLATFORM, b"# rendered\n" * 40)
    by_shard: dict[str, list[AppRef]] = {shard: [] for shard in size.shards}
    for ref in size.refs():
        by_shard[shard_of(ref.user_id, size.digits)].append(ref)
    mark = _FIRST
    for shard, refs in by_shard.items():
        for number, ref in enumerate(refs):
            yield _blob(mark + number, _app(ref))
        yield _commit(f"flux/{shard}", publish_message("publish", source, RENDERER_VERSION))
        yield _file("README.md", _PLATFORM)
        for number, ref in enumerate(refs):
            folder = f"{ref.user_id}/{ref.app_id}"
            for name in ("namespace", "quota", "limit-range", "network", "service-account"):
                yield _file(f"{ref.user_id}/{name}.yaml", _PLATFORM)
            yield _file(f"{folder}/app.yaml", mark + number)
            yield _file(f"{folder}/code/user_code.py", _CODE)
            yield _file(f"{folder}/overlay/kustomization.yaml", _OVERLAY)
            yield _file(f"{folder}/kustomization.yaml", _PLATFORM)
            for name in _RENDERED:
                yield _file(f"{folder}/generated/{name}.yaml", _PLATFORM)
        mark += len(refs)
