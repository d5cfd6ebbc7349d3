"""What should not be is found: in commits of the platform, of people, and on shard branches."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.audit import Audit, Known, Report
from api.clients.commit_signing import Signer
from api.clients.git_trees import Same
from api.domain.commit_message import COMMITTER, intent_message, person
from api.domain.drafts import AppDraft
from api.domain.manifests import RenderSettings, Templates, intent_digest
from api.domain.names import shard_of
from api.domain.repo_layout import EMPTY_OVERLAY, dump
from api.domain.rollout import LiveVersion
from api.errors import InvalidRequest
from api.recomposition import Recomposition
from api.rollback import Rollbacks
from tests.history.people import EVE, MALLORY
from tests.publishing.stack import FORBIDDEN, HELLO, account, folder

BOB, SECOND = account("ubob"), account("ueve")
IMAGE = "registry.example.org/runner:1"
BRANCH = f"flux/{shard_of('ubob', 2)}"


@pytest.fixture
def verify(stack):
    """Look at everything again; `known` says what is known beside the image."""

    async def look(since=None, image: str = IMAGE, settings=None, **known) -> Report:
        rendering = RenderSettings(runner_image=image, **(settings or {}))
        templates = Templates.load()
        again = Recomposition(
            stack.repo, stack.intents, stack.history, stack.check, templates, rendering
        )
        known = {"runner_images": [image], **known}
        return await Audit(stack.repo, stack.intents, again, Known(**known)).verify(
            since, lambda *_: None
        )

    return look


def told(report: Report) -> list[tuple[str, str, str]]:
    return [(finding.branch, finding.commit, finding.rule) for finding in report.findings]


async def update(stack, ref, **draft):
    return await stack.deployments.update(BOB, ref, AppDraft(**draft), None, "r")


async def see_live(stack, ref) -> None:
    """The version on the shard branch is seen serving."""
    stored = await stack.intents.app(ref)
    names = await stack.repo.children(await stack.tip(ref), f"{ref.user_id}/{ref.app_id}")
    ids = {name: entry.id for name, entry in names.items()}
    digest = intent_digest(stored.file, ids.get("code"), ids.get("overlay"), ids.get("secrets"))
    stack.live[ref] = LiveVersion(digest, f"{ref.app_id}-code-abcdef")


async def test_what_the_platform_and_people_do_every_day_is_all_right(stack, people, verify):
    app = await stack.deploy(BOB)
    await see_live(stack, app.ref)
    await update(stack, app.ref, code=HELLO + "# two\n")
    await update(stack, app.ref, code=HELLO + "# three\n")
    await see_live(stack, app.ref)
    other = await stack.deployments.create(BOB, AppDraft(name="Other", code=HELLO), "r")
    await stack.lifecycle.restart(BOB, app.ref, "r")
    await Rollbacks(stack.repo, stack.intents, stack.history, stack.deployments).rollback(
        BOB, app.ref, app.commit, "r"
    )
    path = folder(other.ref)
    people.push({f"{path}/code/b.py": b"x = 1\n", f"{path}/overlay/kustomization.yaml": b"{}"})
    await stack.look()
    people.push({f"{path}/overlay/kustomization.yaml": EMPTY_OVERLAY})
    await stack.look()
    people.push({f"{path}/code/user_code.py": FORBIDDEN.encode()})
    await stack.look()
    await update(stack, app.ref, code=HELLO + "# past a hold\n")
    await stack.deploy(SECOND)
    await stack.deployments.delete(BOB, app.ref, "r")
    report = await verify()
    assert report.findings == []
    assert report.commits == len(people.git("rev-list", "main"))
    assert report.publish_commits >= 10
    assert (report.other_renderers, report.unchecked) == (0, [])


async def test_what_a_refused_commit_published_instead_is_all_right(stack, people, verify):
    app = await stack.deploy(BOB)
    code = f"{folder(app.ref)}/code/user_code.py"
    people.push({code: (HELLO + "# good\n").encode()})
    people.push({code: FORBIDDEN.encode()})
    await stack.look()
    people.push({code: (HELLO + "# mended\n").encode()})
    await stack.look()
    assert (await verify()).findings == []


async def test_a_platform_commit_that_reaches_beyond_its_trailers_is_found(stack, people, verify):
    app, other = await stack.deploy(BOB), await stack.deploy(SECOND)
    edits = {f"{folder(other.ref)}/code/user_code.py": b"# mine\n"}
    commit = people.platform(app.ref, edits)
    unnamed = people.push({"platform.yaml": b"x"}, "x\n", author=COMMITTER)
    people.push({"platform.yaml": await stack.repo.read(app.commit, "platform.yaml")}, author=EVE)
    report = await verify(operators=[EVE.email])
    assert [found for found in told(report) if found[0] == "main"] == [
        ("main", commit, "unnamed_folder"),
        ("main", unnamed, "unnamed_folder"),
    ]
    assert f"{other.ref.app_id}/code/user_code.py" in report.findings[0].message


async def test_a_platform_commit_may_touch_what_it_names(stack, people, verify):
    app, other = await stack.deploy(BOB), await stack.deploy(BOB, "Other")
    refs = [app.ref, other.ref]
    gone = {folder(ref): None for ref in refs}
    people.push(gone, intent_message("cleanup", refs, "idle"), author=COMMITTER)
    tenant = folder(app.ref).rpartition("/")[0]
    people.push({tenant: None}, "x\n\nUser-Id: ubob\nAction: delete-account\n", author=COMMITTER)
    assert (await verify()).findings == []


@pytest.mark.parametrize(
    "path",
    [
        "platform.yaml",
        "people.yaml",
        "clusters/prod/flux.yaml",
        "apps/README.md",
        "{tenant}/tenant.yaml",
        "{tenant}/secrets/LOGIN.sops.yaml",
        "{app}/secrets/TOKEN.sops.yaml",
        "{app}/notes.txt",
        "{app}/generated/evil.yaml",
        "apps/00/ubob/one/code/x.py",
    ],
)
async def test_a_person_who_touches_more_than_people_may_is_found(stack, people, verify, path):
    app = await stack.deploy(BOB)
    where = path.format(app=folder(app.ref), tenant=folder(app.ref).rpartition("/")[0])
    commit = people.push({where: b"x\n", f"{folder(app.ref)}/code/b.py": b""}, author=MALLORY)
    people.push({where: None}, author=EVE)
    report = await verify(operators=[EVE.email])
    assert told(report) == [("main", commit, "beyond_people")]
    assert report.findings[0].message == f"Mallory may not change {where}."
    assert (await verify(operators=[EVE.email, MALLORY.email])).findings == []


async def test_what_is_hidden_in_a_merge_is_found(stack, people, verify):
    app = await stack.deploy(BOB)
    main = people.head()
    side = people.commit([main], {f"{folder(app.ref)}/code/b.py": b""}, author=EVE)
    onward = people.push({f"{folder(app.ref)}/code/c.py": b""})
    merge = people.commit([onward, side], {"people.yaml": b"evil\n"}, author=MALLORY)
    people.move(merge)
    assert told(await verify()) == [("main", merge, "beyond_people")]


async def test_somebody_elses_committer_on_a_shard_branch_is_found(stack, people, verify):
    app = await stack.deploy(BOB)
    tip = people.head(BRANCH)
    stranger = people.commit([tip], {"ubob/evil.yaml": b"x"}, author=MALLORY)
    people.move(stranger, BRANCH)
    report = await verify()
    assert told(report) == [(BRANCH, stranger, "not_by_platform")]
    assert "Mallory" in report.findings[0].message
    assert app.ref


TAMPERED = {
    "another image": ("generated/deployment.yaml", lambda text: text.replace(b"runner", b"miner")),
    "another route": ("generated/ingressroute.yaml", lambda text: text.replace(b"bob", b"eve")),
    "other code": ("code/user_code.py", lambda text: text + b"# more\n"),
    "other settings": ("app.yaml", lambda text: text.replace(b"One", b"Two")),
    "an overlay": ("overlay/kustomization.yaml", lambda text: text + b"# more\n"),
    "old code that never was": ("serving/user_code.py", lambda _: b"evil\n"),
    "a stray file": ("generated/evil.yaml", lambda _: b"kind: ClusterRoleBinding\n"),
    "a resource": ("kustomization.yaml", lambda text: text.replace(b"service", b"evil")),
    "a tenant's quota": ("../quota.yaml", lambda text: text + b"# more\n"),
    "a file beside the tenants": ("../../kustomization.yaml", lambda _: b"resources: []\n"),
    "another shard's tenant": ("../../umallory/a/app.yaml", lambda _: b"x"),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_a_publish_commit_with_something_of_its_own_is_found(stack, people, verify, what):
    app = await stack.deploy(BOB)
    honest = await update(stack, app.ref, code=HELLO + "# two\n")
    tip = people.head(BRANCH)
    info = await stack.repo.info(tip)
    name, change = TAMPERED[what]
    path = f"ubob/{app.ref.app_id}/{name}"
    while "/../" in path:
        before, _, after = path.partition("/../")
        path = "/".join([*before.split("/")[:-1], after])
    before = await stack.repo.read(tip, path) or b""
    assert change(before) != before
    forged = people.commit(
        [info.parent], {path: change(before)}, info.message, author=COMMITTER, base=tip
    )
    people.move(forged, BRANCH)
    report = await verify()
    assert told(report) == [(BRANCH, forged, "composition")]
    assert path in report.findings[0].message
    assert honest.commit in info.message


async def test_published_code_that_the_check_refuses_is_found(stack, people, verify):
    app = await stack.deploy(BOB)
    bad = people.push({f"{folder(app.ref)}/code/user_code.py": FORBIDDEN.encode()})
    code = (await stack.repo.children(bad, folder(app.ref)))["code"]
    tip = people.head(BRANCH)
    message = (await stack.repo.info(tip)).message.replace(app.commit, bad)
    edits = {f"ubob/{app.ref.app_id}/code": Same(code.id, "folder")}
    forged = people.move(people.commit([tip], edits, message, author=COMMITTER), BRANCH)
    assert told(await verify()) == [(BRANCH, forged, "composition")]


@pytest.mark.parametrize("source", ["", "0" * 40, "main~0", "backwards", "unmerged"])
async def test_a_source_that_is_not_on_main_or_goes_back_is_found(stack, people, verify, source):
    app = await stack.deploy(BOB)
    root = people.git("rev-list", "--max-parents=0", "main")[0]
    aside = people.commit([root], {"x": b""})
    source = {"backwards": root, "unmerged": aside}.get(source, source)
    tip = people.head(BRANCH)
    message = f"publish x\n\nSource-Commit: {source}\nRenderer-Version: 1\n"
    people.move(people.commit([tip], {"README.md": b"x"}, message, author=COMMITTER), BRANCH)
    assert told(await verify()) == [(BRANCH, people.head(BRANCH), "source")]
    assert app.commit


async def test_manifests_of_another_renderer_are_not_compared_but_entries_are(
    stack, people, verify
):
    app = await stack.deploy(BOB)
    tip = people.head(BRANCH)
    info = await stack.repo.info(tip)
    older = info.message.replace("Renderer-Version: ", "Renderer-Version: 9")
    path = f"ubob/{app.ref.app_id}"
    edits = {f"{path}/generated/service.yaml": b"of another renderer\n"}
    people.move(people.commit([info.parent], edits, older, author=COMMITTER, base=tip), BRANCH)
    report = await verify()
    assert (told(report), report.other_renderers) == ([], 1)
    edits[f"{path}/code/user_code.py"] = b"# other\n"
    people.move(people.commit([info.parent], edits, older, author=COMMITTER, base=tip), BRANCH)
    assert [rule for *_, rule in told(await verify())] == ["composition"]


async def test_manifests_of_before_a_change_of_settings_are_not_compared_but_entries_are(
    stack, people, verify
):
    app = await stack.deploy(BOB)
    changed = {"blocked_cidrs": ("203.0.113.0/24",), "entry_points": ("other",)}
    report = await verify(settings=changed)
    assert (told(report), report.other_renderers) == ([], 1)
    tip = people.head(BRANCH)
    info = await stack.repo.info(tip)
    edits = {f"ubob/{app.ref.app_id}/code/user_code.py": b"# other\n"}
    forged = people.commit([info.parent], edits, info.message, author=COMMITTER, base=tip)
    people.move(forged, BRANCH)
    assert [rule for *_, rule in told(await verify(settings=changed))] == ["composition"]


async def test_runner_images_of_before_must_be_named(stack, verify):
    await stack.deploy(BOB)
    newer = "registry.example.org/runner:2"
    report = await verify(image=newer)
    assert [rule for *_, rule in told(report)] == ["runner_image"]
    assert IMAGE in report.findings[0].message
    assert (await verify(image=newer, runner_images=[IMAGE, newer])).findings == []


async def test_removals_that_a_brake_held_back_are_all_right(stack, people, verify):
    bob = account("ubob")
    stack.deployments._max_apps = 20
    refs = [(await stack.deploy(bob, f"App {n}")).ref for n in range(8)]
    people.push({folder(ref): None for ref in refs[:7]})
    await stack.look()
    assert await stack.published(refs[0])
    await update(stack, refs[7], code=HELLO + "# two\n")
    assert await stack.published(refs[0])
    assert (await verify()).findings == []


async def test_only_what_came_after_a_commit_or_a_time_is_looked_at(stack, people, verify):
    app = await stack.deploy(BOB)
    wrong = people.push({"people.yaml": b"x\n"}, author=MALLORY, at=1)
    later = await update(stack, app.ref, name="Two")
    assert told(await verify()) == [("main", wrong, "beyond_people")]
    assert told(await verify(since=app.commit)) == [("main", wrong, "beyond_people")]
    report = await verify(since=later.commit)
    assert (report.findings, report.commits, report.publish_commits) == ([], 0, 0)
    info = await stack.repo.info(app.commit)
    told_by_time = told(await verify(since=info.at))
    assert told_by_time == [("main", wrong, "beyond_people")]  # its own date is not believed
    for since in ("0" * 40, people.tree(app.commit), people.commit([app.commit], {"x": b""})):
        with pytest.raises(InvalidRequest, match="not a commit of main"):
            await verify(since=since)


async def test_commits_of_the_platform_must_be_signed_where_it_signs(stack, people, verify):
    app = await stack.deploy(BOB)
    signer, other = Signer(Ed25519PrivateKey.generate()), Signer(Ed25519PrivateKey.generate())
    unsigned = {f.commit: f.message for f in (await verify(keys=[signer.public])).findings}
    assert app.commit in unsigned
    assert people.head(BRANCH) in unsigned
    assert "not signed" in unsigned[app.commit]
    git2 = people.git2
    message = intent_message("deploy", [app.ref], "One", "r")
    edits = {f"{folder(app.ref)}/app.yaml": dump(app.file.model_copy(update={"name": "New"}))}
    author = person("name-ubob", "ubob")
    plain = people.commit([people.head()], edits, message, author=author, committer=COMMITTER)
    content = git2[plain].read_raw().decode()
    by_key = {
        str(git2.create_commit_with_signature(content, key.sign(content.encode()))): key
        for key in (signer, other)
    }
    for commit, key in by_key.items():
        people.move(commit)
        faults = [
            f.message
            for f in (await verify(keys=[signer.public], since=app.commit)).findings
            if f.commit == commit
        ]
        assert [("unknown key" in fault) for fault in faults] == [True] * (key is other)
