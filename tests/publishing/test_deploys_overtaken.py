"""A deploy, and what other hands do to the same folders in the same moment."""

import pytest

from api.clients.gitops_repo import Change
from api.domain.drafts import AppDraft
from api.domain.names import AppRef
from api.errors import Conflict
from tests.publishing.stack import HELLO, account, folder

BOB = account("ubob")
TENANT = folder(AppRef("ubob", "x")).rpartition("/")[0]


async def test_an_app_that_was_removed_as_soon_as_it_was_saved_is_not_saved_once_more(
    stack, monkeypatch
):
    write, removed = stack.writer.write, []

    async def overtaken(change: Change, shard: str | None = None) -> str:
        commit = await write(change, shard)
        if shard:
            (gone,) = [path.removesuffix("/app.yaml") for path in change.edits if "app.y" in path]
            removed.append(await stack.by_hand({gone: None}))
        return commit

    monkeypatch.setattr(stack.writer, "write", overtaken)
    with pytest.raises(Conflict, match="saved, and is gone"):
        await stack.deploy(BOB)
    assert [await stack.repo.head("main")] == removed


async def test_a_tenant_file_that_somebody_put_back_meanwhile_is_not_overwritten(
    stack, monkeypatch
):
    app = await stack.deploy(BOB)
    file = await stack.repo.read(await stack.repo.head("main"), f"{TENANT}/tenant.yaml")
    await stack.by_hand({f"{TENANT}/tenant.yaml": None})
    suspended = file + b"suspended: {by: root, reason: mining}\n"
    check, landed = stack.check.check, []

    async def slow(*arguments):
        if not landed:
            landed.append(await stack.by_hand({f"{TENANT}/tenant.yaml": suspended}))
        return await check(*arguments)

    monkeypatch.setattr(stack.check, "check", slow)
    await stack.deployments.update(BOB, app.ref, AppDraft(code="# 2\n" + HELLO), None, "r")
    now = await stack.repo.head("main")
    assert await stack.repo.read(now, f"{TENANT}/tenant.yaml") == suspended
    assert (await stack.intents.app(app.ref)).files["user_code.py"].startswith(b"# 2")
