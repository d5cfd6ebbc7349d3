"""How hostile pull requests are made: of real objects, also such as git would not write."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from api.domain.names import AppRef, shard_of
from api.domain.repo_layout import EMPTY_OVERLAY
from tests.guarding.changes import (
    HELLO,
    SUBMODULE,
    app_files,
    folder,
    overlay,
    push_odd,
    tenant,
    tree_of,
)
from tests.history.people import Repository

TREE, FILE = b"40000", b"100644"
#: Somebody else, who did nothing.
VICTIM = AppRef("uvictim", "victim-app")
PATCH = "overlay/kustomization.yaml"
#: Stands in content for the address of a listener of the test's own.
HOST = "listener.example"

Make = Callable[[Repository, AppRef], None]
#: What publishing makes of it once it is merged all the same: the app is *held* as it was last
#: accepted; the file is *left out*; or it goes live as merged (*whose* change it is, git does not
#: know), or takes the app away as its author could in any case (*withdrawn*).
Merged = Literal["held", "left out", "goes live", "withdrawn"]


@dataclass(frozen=True)
class PullRequest:
    """A change, and what the check must say: where, which rule, and a word of message or hint."""

    make: Make
    path: str
    rule: str
    word: str
    merged: Merged = "held"


class Listener:
    """Where what stands for HOST leads."""

    address = HOST


def files(changes: Mapping[str, bytes]) -> Make:
    """Files by path in the author's app; a path that begins with a slash is the repository's."""

    def make(repository: Repository, ref: AppRef) -> None:
        edits: dict[str, bytes] = {}
        for path, data in changes.items():
            where = filled(path if path[0] == "/" else "{app}/" + path, ref)
            edits[where] = data.replace(HOST.encode(), Listener.address.encode())
        repository.push(edits)

    return make


def odd(path: str | bytes, mode: bytes = FILE, content: bytes = HELLO) -> Make:
    """One entry of any name and mode; path as in `files`, its last part given in bytes or not."""

    def make(repository: Repository, ref: AppRef) -> None:
        raw = path if isinstance(path, bytes) else path.encode()
        start = b"" if raw[:1] == b"/" else folder(ref).encode() + b"/"
        names = (start + filled_bytes(raw.lstrip(b"/"), ref)).split(b"/")
        push_odd(repository, [name.replace(b"%2F", b"/") for name in names], mode, content,
                 raw=b"\x11" * 20 if mode == SUBMODULE else None)  # fmt: skip

    return make


def twice(
    where: str, mode: bytes, one: Mapping[bytes, bytes], other: Mapping[bytes, bytes]
) -> Make:
    """A name of the app (or of what is around it) that stands there twice, of either content."""

    def make(repository: Repository, ref: AppRef) -> None:
        path = filled(where, ref)
        around, _, name = path.rpartition("/")
        git2 = repository.git2
        stands = git2[git2[repository.head()].tree[around].id]
        raws = [_folder(repository, side) if mode == TREE else git2.create_blob(side[b""]).raw
                for side in (one, other)]  # fmt: skip
        kept = [(b"%o" % e.filemode, e.raw_name, e.id.raw) for e in stands
                if e.raw_name != name.encode()]  # fmt: skip
        both = [(mode, name.encode(), raw) for raw in raws]
        push_odd(repository, around, TREE, raw=tree_of(git2, [*kept, *both]))

    return make


def disordered(repository: Repository, ref: AppRef) -> None:
    """A folder whose names are in no order: some programs find them all, and some do not."""
    blob = repository.git2.create_blob(HELLO).raw
    raw = b"".join(b"100644 %s\0%s" % (name, blob) for name in (b"user_code.py", b"a.py"))
    push_odd(repository, f"{folder(ref)}/code", TREE, raw=repository.git2.odb.write(2, raw).raw)


def padded(repository: Repository, ref: AppRef) -> None:
    """A mode that git has never written: two ids for one folder."""
    blob = repository.git2.create_blob(b"<p>x</p>\n").raw
    inner = tree_of(repository.git2, [(FILE, b"x.html", blob)])
    code = [(FILE, b"user_code.py", repository.git2.create_blob(HELLO).raw),
            (b"040000", b"pages", inner)]  # fmt: skip
    raw = b"".join(b"%s %s\0%s" % entry for entry in sorted(code, key=lambda e: e[1]))
    push_odd(repository, f"{folder(ref)}/code", TREE, raw=repository.git2.odb.write(2, raw).raw)


def endless(repository: Repository, ref: AppRef) -> None:
    """Eighteen small trees that name each other: 10^18 files."""
    raw, mode = repository.git2.create_blob(b"x").raw, FILE
    for _ in range(18):
        raw = tree_of(repository.git2, [(mode, b"n%d" % number, raw) for number in range(10)])
        mode = TREE
    push_odd(repository, f"{folder(ref)}/code/d", TREE, raw=raw)


def copied(repository: Repository, ref: AppRef) -> None:
    """Somebody else's app, with their id, in one's own folder."""
    there = tenant(ref.user_id) + "/" + VICTIM.app_id
    mine = AppRef(ref.user_id, VICTIM.app_id)
    whole = {path.replace(folder(mine), there): data for path, data in app_files(mine).items()}
    whole.pop(f"{tenant(ref.user_id)}/tenant.yaml")
    repository.push(whole)


def _folder(repository: Repository, content: Mapping[bytes, bytes]) -> bytes:
    entries = []
    for path, data in content.items():
        name, _, below = path.partition(b"/")
        if below:
            entries.append((TREE, name, _folder(repository, {below: data})))
        else:
            entries.append((FILE, name, repository.git2.create_blob(data).raw))
    return tree_of(repository.git2, entries)


def filled(path: str, ref: AppRef) -> str:
    """A path of the table in the repository."""
    shard = shard_of(ref.user_id, 2)
    path = path.removeprefix("/").replace("{app}", folder(ref)).replace("{shard}", f"apps/{shard}")
    path = path.replace("{tenant}", tenant(ref.user_id)).replace("{id}", ref.app_id)
    return path.replace("{victim}", folder(VICTIM)).replace("{theirs}", tenant(VICTIM.user_id))


def filled_bytes(path: bytes, ref: AppRef) -> bytes:
    return filled(path.decode("latin-1"), ref).encode("latin-1")


def in_overlay(more: str, **others: bytes) -> Make:
    """An overlay with more in it than patches; `__` in a name of a file is a dot."""
    beside = {f"overlay/{name.replace('__', '.')}": data for name, data in others.items()}
    return files({PATCH: EMPTY_OVERLAY + more.encode() + b"\n", **beside})


def patched(patch: str, target: str = "{kind: Deployment}") -> Make:
    return files({PATCH: overlay(patch, target=target)})


def on_pods(path: str, value: str) -> Make:
    return patched(f'[{{"op": "add", "path": "/spec/template/spec/{path}", "value": {value}}}]')


def settings(more: bytes) -> Make:
    def make(repository: Repository, ref: AppRef) -> None:
        path = f"{folder(ref)}/app.yaml"
        field = more.partition(b":")[0]
        lines = app_files(ref)[path].splitlines(keepends=True)
        rest = [line for line in lines if line.partition(b":")[0] != field]
        repository.push({path: b"".join(rest) + more})

    return make


def app_of(other: AppRef) -> Make:
    def make(repository: Repository, mine: AppRef) -> None:
        repository.push({f"{folder(mine)}/app.yaml": app_files(other)[f"{folder(other)}/app.yaml"]})

    return make
