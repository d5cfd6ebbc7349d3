"""Commits by hand that nobody would expect: each is its own app's matter, and nobody else's."""

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from api.domain.drafts import AppDraft
from api.errors import InvalidRequest, SourceRefused
from tests.publishing.stack import HELLO, account, folder

BOB = account("ubob")
EVIL = b"""\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
  - target: {kind: Deployment}
    patch: '[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "x"}]'
"""


async def push(stack, tmp_path: Path, change: Callable[[Path], None], **environment: str) -> None:
    """What a person's own git would leave."""
    clone = tmp_path / "clone"

    def work() -> None:
        def git(*arguments: str) -> None:
            command = ["git", "-c", "user.name=Eve", "-c", "user.email=eve@example.org", *arguments]
            subprocess.run(command, check=True, capture_output=True, env=os.environ | environment)

        git("clone", "-q", str(stack.repo.path), str(clone))
        change(clone)
        git("-C", str(clone), "add", "-A")
        git("-C", str(clone), "commit", "-qm", "By hand")
        git("-C", str(clone), "push", "-q", "origin", "HEAD:main")

    await asyncio.to_thread(work)


async def others_go_on(stack) -> None:
    """Somebody else of the same shard deploys, and is published."""
    other = await stack.deploy(BOB, "Two")
    await stack.look()
    assert await stack.published(other.ref)
    assert stack.hold(other.ref) is None


async def test_what_lands_during_a_check_is_not_taken_for_checked(stack, monkeypatch):
    app = await stack.deploy(BOB)
    overlay = f"{folder(app.ref)}/overlay/kustomization.yaml"
    code = "# new\n" + HELLO
    real, landed = stack.check.check, []

    async def slow(*arguments):
        answer = await real(*arguments)
        if not landed:
            landed.append(await stack.by_hand({overlay: EVIL}))
        return answer

    monkeypatch.setattr(stack.check, "check", slow)
    with pytest.raises(SourceRefused):
        await stack.deployments.update(BOB, app.ref, AppDraft(code=code), None, "r")
    await stack.by_hand({f"{folder(app.ref)}/code/user_code.py": code.encode()})
    await stack.look()
    assert stack.hold(app.ref)
    assert b"patches: []" in (await stack.published(app.ref))["overlay/kustomization.yaml"]


async def test_a_deploy_takes_links_out_of_the_code(stack, tmp_path):
    app = await stack.deploy(BOB)
    await push(
        stack, tmp_path, lambda clone: (clone / folder(app.ref) / "code" / "l.py").symlink_to("x")
    )
    await stack.look()
    assert stack.hold(app.ref)
    await stack.deployments.update(BOB, app.ref, AppDraft(name="Renamed"), None, "r")
    main = await stack.repo.head("main")
    assert (await stack.repo.open_folder(main, folder(app.ref))).odd == []
    assert stack.hold(app.ref) is None


async def test_settings_in_an_executable_file_stay_known_and_a_deploy_puts_it_right(
    stack, tmp_path
):
    app = await stack.deploy(BOB, "Tea shop")
    await push(stack, tmp_path, lambda clone: (clone / folder(app.ref) / "app.yaml").chmod(0o755))
    assert (await stack.intents.app(app.ref)).name == "Tea shop"
    await stack.deployments.update(BOB, app.ref, AppDraft(code=HELLO + "# 2\n"), None, "r")
    stored = await stack.intents.app(app.ref)
    assert (stored.name, stored.folder.odd) == ("Tea shop", [])


async def test_what_lies_beside_an_apps_entries_hides_none_of_its_code(stack, tmp_path):
    app = await stack.deploy(BOB)

    def litter(clone: Path) -> None:
        for name in ("aaa", "data"):
            (clone / folder(app.ref) / name).mkdir()
            for number in range(5):
                file = clone / folder(app.ref) / name / f"{number}.csv"
                file.write_bytes(b"%d" % number * 1_000_000)
        (clone / folder(app.ref) / "code" / "more.py").write_text("x = 1\n")

    await push(stack, tmp_path, litter)
    await stack.look()
    assert stack.hold(app.ref) is None
    assert set((await stack.intents.app(app.ref)).files) == {"user_code.py", "more.py"}
    await stack.deployments.update(BOB, app.ref, AppDraft(name="Renamed"), None, "r")
    assert "code/more.py" in await stack.published(app.ref)


async def test_a_deploy_does_not_hide_an_executable_overlay(stack, tmp_path):
    app = await stack.deploy(BOB)

    def change(clone: Path) -> None:
        file = clone / folder(app.ref) / "overlay" / "Kustomization"
        file.write_text("x")
        file.chmod(0o755)

    await push(stack, tmp_path, change)
    with pytest.raises(SourceRefused):
        await stack.deployments.update(BOB, app.ref, AppDraft(name="Renamed"), None, "r")
    assert "overlay/Kustomization" not in await stack.published(app.ref)


async def test_a_thousand_nested_folders_are_held(stack, tmp_path):
    app = await stack.deploy(BOB)

    def change(clone: Path) -> None:
        deep = clone / folder(app.ref) / "code" / Path(*["d"] * 400)
        deep.mkdir(parents=True)
        (deep / "x.py").write_text("")

    await push(stack, tmp_path, change)
    await stack.look()
    assert stack.hold(app.ref)
    await others_go_on(stack)


async def test_a_huge_file_is_held_unread(stack, tmp_path):
    app = await stack.deploy(BOB)
    path = Path(folder(app.ref)) / "code" / "huge.txt"
    await push(stack, tmp_path, lambda clone: (clone / path).write_bytes(b"x" * 3_000_000))
    await stack.look()
    assert stack.hold(app.ref)
    assert (await stack.intents.app(app.ref)).files.keys() == {"user_code.py"}
    await others_go_on(stack)


async def test_names_that_are_no_text_are_held_and_shown(stack, tmp_path):
    app = await stack.deploy(BOB)

    def change(clone: Path) -> None:
        code = os.fsencode(clone / folder(app.ref) / "code")
        Path(os.fsdecode(code + b"/a\xff.py")).write_text("")
        strange = os.fsencode((clone / folder(app.ref)).parent) + b"/\xff\xfe"
        Path(os.fsdecode(strange)).mkdir()
        Path(os.fsdecode(strange + b"/app.yaml")).write_text("")

    await push(stack, tmp_path, change)
    await stack.look()
    stack.hold(app.ref).first.path.encode()
    assert len(await stack.intents.apps("ubob")) == 1
    await others_go_on(stack)


async def test_settings_that_are_a_folder_are_held_and_can_be_read(stack, tmp_path):
    app = await stack.deploy(BOB)

    def change(clone: Path) -> None:
        settings = clone / folder(app.ref) / "app.yaml"
        settings.unlink()
        settings.mkdir()
        (settings / "x").write_text("")

    await push(stack, tmp_path, change)
    await stack.look()
    assert stack.hold(app.ref)
    assert (await stack.intents.app(app.ref)).file is None
    await others_go_on(stack)
    repaired = await stack.deployments.update(BOB, app.ref, AppDraft(name="Back"), None, "r")
    assert repaired.name == "Back"


async def test_a_date_beyond_every_calendar_stops_nobody(stack, tmp_path):
    app = await stack.deploy(BOB)
    path = Path(folder(app.ref)) / "code" / "user_code.py"
    await push(
        stack, tmp_path, lambda clone: (clone / path).write_text(f"# far\n{HELLO}"),
        GIT_COMMITTER_DATE="@999999999999 +0000",
    )  # fmt: skip
    await stack.look()
    assert (await stack.published(app.ref))["code/user_code.py"].startswith(b"# far")
    await others_go_on(stack)


async def test_a_wrong_tenant_file_refuses_deploys_and_a_missing_one_is_written_anew(stack):
    app = await stack.deploy(BOB)
    path = f"{folder(app.ref).rpartition('/')[0]}/tenant.yaml"
    await stack.by_hand({path: b"kind: Nonsense\n"})
    with pytest.raises(InvalidRequest, match=r"tenant\.yaml"):
        await stack.deployments.update(BOB, app.ref, AppDraft(name="x"), None, "r")
    await stack.by_hand({path: None})
    await stack.deployments.update(BOB, app.ref, AppDraft(code="# 2\n" + HELLO), None, "r")
    assert (await stack.published(app.ref))["code/user_code.py"].startswith(b"# 2")


async def test_wrong_settings_of_the_repository_are_told_and_the_last_good_ones_hold(stack):
    app = await stack.deploy(BOB)
    await stack.by_hand({"platform.yaml": b"foo: 1\n"})
    changed = await stack.deployments.update(BOB, app.ref, AppDraft(name="Still"), None, "r")
    assert changed.name == "Still"
    assert "platform.yaml" in stack.intents.problem
