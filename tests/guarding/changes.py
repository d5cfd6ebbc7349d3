"""Changes as people might push them, some of them by no git that anybody has."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pygit2

from api.domain.names import AppRef
from api.domain.repo_layout import (
    EMPTY_OVERLAY,
    AppFile,
    TenantFile,
    app_folder,
    dump,
    tenant_folder,
)
from tests.history.people import Repository

HELLO = b"from fastapi import FastAPI\n\napp = FastAPI()\n"
FORBIDDEN = b"import subprocess\n" + HELLO
BOB = AppRef("ubob", "one")
ANN = AppRef("uann", "ann-one")
FILE, EXECUTABLE, LINK, SUBMODULE = b"100644", b"100755", b"120000", b"160000"


def folder(ref: AppRef) -> str:
    return app_folder(ref, 2)


def tenant(user_id: str) -> str:
    return tenant_folder(user_id, 2)


def app_files(ref: AppRef, **settings) -> dict[str, bytes]:
    """A whole app, and its tenant's file, as a first deploy leaves them."""
    owner = TenantFile(
        user=ref.user_id, username="somebody", created=datetime(2026, 1, 1, tzinfo=UTC)
    )
    return {
        f"{tenant(ref.user_id)}/tenant.yaml": dump(owner),
        f"{folder(ref)}/app.yaml": dump(
            AppFile(id=ref.app_id, user=ref.user_id, name="One", **settings)
        ),
        f"{folder(ref)}/code/user_code.py": HELLO,
        f"{folder(ref)}/overlay/kustomization.yaml": EMPTY_OVERLAY,
    }


def overlay(patch: str, *, target: str = "{kind: Deployment}", more: str = "") -> bytes:
    return (
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n"
        f"  - target: {target}\n    patch: '{patch}'\n{more}"
    ).encode()


def memory(amount: str) -> bytes:
    """An overlay that sets a memory limit."""
    path = "/spec/template/spec/containers/0/resources/limits/memory"
    return overlay(f'[{{"op": "replace", "path": "{path}", "value": "{amount}"}}]')


def graft(
    git2: pygit2.Repository,
    tree: pygit2.Tree | None,
    path: Sequence[bytes],
    mode: bytes,
    raw: bytes,
) -> bytes:
    """The id of a tree with one more entry: any name, any mode, whatever git would say to it."""
    name, *below = path
    entries = [
        (b"%o" % entry.filemode, entry.raw_name, entry.id.raw)
        for entry in (tree if tree is not None else ())
        if entry.raw_name != name
    ]
    if below:
        there = next((e for e in tree or () if e.raw_name == name), None)
        inner = there if isinstance(there, pygit2.Tree) else None
        entries.append((b"40000", name, graft(git2, inner, below, mode, raw)))
    else:
        entries.append((mode, name, raw))
    return tree_of(git2, entries)


def tree_of(git2: pygit2.Repository, entries: Sequence[tuple[bytes, bytes, bytes]]) -> bytes:
    """A tree of entries (mode, name, id) in git's order, without any look at them."""
    ordered = sorted(entries, key=lambda e: e[1] + (b"/" if e[0] == b"40000" else b""))
    return git2.odb.write(2, b"".join(b"%s %s\0%s" % entry for entry in ordered)).raw


def push_odd(
    repository: Repository,
    path: str | Sequence[bytes],
    mode: bytes = FILE,
    content: bytes = b"x\n",
    *,
    raw: bytes | None = None,
) -> str:
    """A commit on `main` with one entry of any name and mode; `raw` is another object's id."""
    git2 = repository.git2
    object_id = raw if raw is not None else git2.create_blob(content).raw
    names = path.encode().split(b"/") if isinstance(path, str) else path
    tip = git2.references["refs/heads/main"].target
    tree = graft(git2, git2[tip].tree, names, mode, object_id)
    eve = pygit2.Signature("Eve", "eve@example.org", 1_800_000_000, 0, "utf-8")
    made = git2.create_commit(None, eve, eve, "By hand\n", pygit2.Oid(raw=tree), [tip])
    return repository.move(str(made))
