"""What `check` refuses of an app is held by publishing, and what it accepts is published."""

import asyncio

import pytest

from api.branch_check import BranchCheck
from api.domain.names import AppRef
from api.domain.repo_layout import ENTRIES
from tests.guarding.changes import (
    EXECUTABLE,
    FORBIDDEN,
    HELLO,
    LINK,
    SUBMODULE,
    app_files,
    folder,
    memory,
    overlay,
    push_odd,
)
from tests.history.people import Repository

IMAGE = '[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "x"}]'
#: By a name: what people make of an app, given by path in its folder; bytes, or a mode of git.
CHANGES: dict[str, tuple[str, bytes | None]] = {
    "fine": ("code/user_code.py", HELLO + b"# more\n"),
    "crlf": ("code/user_code.py", HELLO.replace(b"\n", b"\r\n")),
    "page": ("code/page.html", b"<p>x</p>\n"),
    "memory": ("overlay/kustomization.yaml", memory("200Mi")),
    "stray": ("README.md", b"left out\n"),
    "env": ("app.yaml", b"# by hand\n"),
    "forbidden": ("code/user_code.py", FORBIDDEN),
    "syntax": ("code/user_code.py", b"def\n"),
    "nothing": ("code/user_code.py", None),
    "nul": ("code/user_code.py", HELLO + b"\x00"),
    "twin": ("code/User_code.py", HELLO),
    "large": ("code/data.txt", b"x" * 300_000),
    "huge": ("code/data.txt", b"x" * 1_100_000),
    "kind": ("code/tool.sh", b""),
    "schema": ("app.yaml", b"replicas: 3\n"),
    "unreadable": ("app.yaml", b"\xff"),
    "no-settings": ("app.yaml", None),
    "image": ("overlay/kustomization.yaml", overlay(IMAGE)),
    "ceiling": ("overlay/kustomization.yaml", memory("4Gi")),
    "unused": ("overlay/role.yaml", b"kind: ClusterRole\n"),
    "no-overlay": ("overlay", None),
    "secret": ("secrets/KEY.sops.yaml", b"x: y\n"),
    "hidden": ("code/.env", b"x\n"),
    "entry": ("code", b"a file\n"),
}
ODD = {
    "link": ("code/x.py", LINK),
    "executable": ("code/x.py", EXECUTABLE),
    "submodule": ("code/x", SUBMODULE),
    "linked-code": ("code", LINK),
}


def ref_of(name: str) -> AppRef:
    return AppRef(f"u{name}", f"app-{name}")


@pytest.fixture
async def judged(stack) -> tuple[set[AppRef], set[AppRef], set[AppRef]]:
    """Apps that `check` refuses, that publishing holds, and that stand as they were changed."""
    names = [*CHANGES, *ODD]
    first: dict[str, bytes | None] = {}
    for name in names:
        first |= app_files(ref_of(name))
    await stack.by_hand(first)
    await stack.look()
    changes: dict[str, bytes | None] = {}
    for name, (path, data) in CHANGES.items():
        where = f"{folder(ref_of(name))}/{path}"
        added = path == "app.yaml" and data is not None and data.isascii()
        changes[where] = (first[where] or b"") + (data or b"") if added else data
    await stack.by_hand(changes)
    repository = Repository(stack.repo.path)
    for name, (path, mode) in ODD.items():
        raw = b"\x11" * 20 if mode == SUBMODULE else None
        where = f"{folder(ref_of(name))}/{path}"
        await asyncio.to_thread(push_odd, repository, where, mode, HELLO, raw=raw)
    await stack.look()
    report = await BranchCheck(stack.repo, stack.check, 2).run("main", None, None, lambda *_: None)
    errors = {found.path for found in report.findings if found.severity == "error"}
    refs = {name: ref_of(name) for name in names}
    refused = {
        ref for name, ref in refs.items()
        if any(f"{path}/".startswith(f"{folder(ref)}/") for path in errors) and name != "stray"
    }  # fmt: skip
    held = {ref for ref in refs.values() if stack.hold(ref)}
    published = set()
    for ref in refs.values():
        wanted = await stack.repo.children(await stack.repo.head("main"), folder(ref))
        stands = await stack.repo.children(await stack.tip(ref), f"{ref.user_id}/{ref.app_id}")
        if all(wanted.get(entry) == stands.get(entry) for entry in ENTRIES):
            published.add(ref)
    assert f"{folder(ref_of('stray'))}/README.md" in errors
    assert "README.md" not in await stack.published(ref_of("stray"))
    return refused, held, published


async def test_check_and_publishing_agree(judged):
    refused, held, published = judged
    assert refused == held
    assert published.isdisjoint(held)
    accepted = {ref_of(name) for name in ("fine", "crlf", "page", "memory", "stray", "env")}
    assert accepted <= published
    assert ref_of("forbidden") in held
    everybody = {ref_of(name) for name in (*CHANGES, *ODD)}
    assert published | held == everybody
