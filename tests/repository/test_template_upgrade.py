"""`init-repo` on a repository that people work in: theirs stays theirs, the rest follows."""

import asyncio
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from api.clients.commit_signing import Signer
from api.clients.git_upstream import LocalUpstream
from api.clients.gitops_repo import Change, GitopsRepo
from api.domain.audit_rules import beyond_trailers
from api.domain.commit_message import person
from api.domain.manifests import RenderSettings
from api.domain.repo_layout import CLUSTERS_BRANCH
from api.domain.template_record import RECORD, compare, digest
from api.errors import InvalidRequest, Unavailable
from api.init_repo import TEMPLATE, init_repo
from api.template_upgrade import Upgrade, Wanted

EVE = person("eve", "u2")
WANTED = Wanted("prod", "https://git.example/apps.git", "git-auth", None, RenderSettings("r:1"))


@pytest.fixture
async def repo(tmp_path):
    path = tmp_path / "repo.git"
    await asyncio.to_thread(init_repo, path)
    opened = GitopsRepo(path)
    yield opened
    await opened.close()
    fsck = ["git", "-C", path, "fsck", "--strict", "--no-dangling"]
    assert (await asyncio.to_thread(subprocess.check_output, fsck)) == b""


@pytest.fixture
def newer(tmp_path) -> Path:
    """The template as a later version of the platform might bring it along."""
    folder = tmp_path / "template"
    subprocess.run(["cp", "-r", TEMPLATE, folder], check=True)
    for name in ("main/README.md", "main/CODEOWNERS", "cluster/receiver.yaml"):
        path = folder / name
        path.write_text(path.read_text() + "# newer\n")
    return folder


def upgrade(repo: GitopsRepo, template: Path = TEMPLATE) -> Upgrade:
    return Upgrade(repo, LocalUpstream(repo.path), template)


async def by_hand(repo: GitopsRepo, edits: dict[str, bytes | None], branch: str = "main") -> None:
    tip = await repo.head(branch)
    [commit] = await repo.build(tip, [Change(edits, "By hand\n", EVE)])
    update = ["git", "-C", repo.path, "update-ref", f"refs/heads/{branch}", commit, tip]
    await asyncio.to_thread(subprocess.run, update, check=True)


async def read(repo: GitopsRepo, path: str, branch: str = "main") -> bytes | None:
    return await repo.read(await repo.head(branch), path)


async def test_a_new_repository_is_complete(repo):
    before = await repo.heads()
    done = await upgrade(repo).run()
    assert (done.written, done.kept, done.waiting) == ((), (), ())
    assert await repo.heads() == before
    assert CLUSTERS_BRANCH not in before
    names = await repo.children(before["main"])
    assert {"CODEOWNERS", "platform.yaml", "protection", ".github", RECORD} <= names.keys()
    assert "clusters" not in names


async def test_what_nobody_changed_follows_the_template_and_the_rest_is_named(repo, newer):
    await by_hand(repo, {"CODEOWNERS": b"/clusters/ @us\n", "protection/README.md": None})
    done = await upgrade(repo, newer).run()
    assert done.written == ("README.md", "protection/README.md")
    assert done.kept == ("CODEOWNERS",)
    assert (await read(repo, "README.md")).endswith(b"# newer\n")
    assert await read(repo, "CODEOWNERS") == b"/clusters/ @us\n"
    again = await upgrade(repo, newer).run()
    assert (again.written, again.kept) == ((), ("CODEOWNERS",))


async def test_what_people_changed_is_not_named_while_the_template_stays_the_same(repo):
    await by_hand(repo, {"platform.yaml": b"apiVersion: fastapi-platform/v1\nkind: Platform\n"})
    done = await upgrade(repo).run()
    assert (done.written, done.kept) == ((), ())


async def test_a_file_that_the_template_gave_up_goes_unless_somebody_changed_it(repo, newer):
    for name in ("main/CODEOWNERS", "main/protection/README.md"):
        (newer / name).unlink()
    await by_hand(repo, {"CODEOWNERS": b"/clusters/ @us\n"})
    done = await upgrade(repo, newer).run()
    assert "protection/README.md" in done.written
    assert await read(repo, "protection/README.md") is None
    assert await read(repo, "CODEOWNERS") == b"/clusters/ @us\n"
    assert done.kept == ("CODEOWNERS",)


async def test_the_commit_is_one_that_the_audit_knows(repo, newer):
    await upgrade(repo, newer).run()
    message = (await repo.info(await repo.head("main"))).message
    assert list(beyond_trailers(message, ["README.md", "clusters/prod/access.yaml"])) == []
    for path in ("apps/3f/u1/tenant.yaml", "apps/3f/u1/a1/app.yaml", "apps/x"):
        assert list(beyond_trailers(message, [path])) == [path]


async def test_a_cluster_is_written_and_the_branch_that_flux_reads_is_made(repo):
    done = await upgrade(repo).run(WANTED)
    assert "clusters/prod/access.yaml" in done.written
    assert "clusters/prod/publish-keys.yaml" not in done.written, "nothing is signed here"
    sources = list(yaml.safe_load_all(await read(repo, "clusters/prod/git-repositories.yaml")))
    assert len(sources) == 257
    main, flux = await repo.head("main"), await repo.head(CLUSTERS_BRANCH)
    assert await repo.children(flux) == await repo.children(main, "clusters")
    assert main in (await repo.info(flux)).message
    again = await upgrade(repo).run(WANTED)
    assert (again.written, await repo.head("main")) == ((), main)


async def test_what_was_said_of_a_cluster_is_remembered(repo):
    await upgrade(repo).run(WANTED)
    later = Wanted("prod", None, None, ("viewer:1",), RenderSettings("r:2"))
    done = await upgrade(repo).run(later)
    assert done.written == ("clusters/prod/admission/settings.yaml",)
    settings = yaml.safe_load(await read(repo, "clusters/prod/admission/settings.yaml"))
    assert settings["data"]["images"].split() == ["r:2", "viewer:1"]


async def test_what_may_run_still_may_until_the_images_are_named_anew(repo):
    await upgrade(repo).run(Wanted(**{**vars(WANTED), "images": ("viewer:1",)}))
    later = Wanted("prod", None, None, None, RenderSettings("r:2"))
    done = await upgrade(repo).run(later)
    assert done.waiting == ()
    settings = yaml.safe_load(await read(repo, "prod/admission/settings.yaml", CLUSTERS_BRANCH))
    assert settings["data"]["images"].split() == ["r:2", "r:1", "viewer:1"]
    sources = next(yaml.safe_load_all(await read(repo, "clusters/prod/git-repositories.yaml")))
    assert sources["spec"]["secretRef"] == {"name": "git-auth"}


async def test_nothing_that_people_may_write_adds_an_image(repo):
    await upgrade(repo).run(WANTED)
    record = json.loads(await read(repo, RECORD))
    record["clusters"] = {
        "prod": {"url": "https://evil.example/x.git", "git_secret": "x", "images": ["evil:1"]}
    }
    await by_hand(repo, {RECORD: json.dumps(record).encode()})
    later = Wanted("prod", None, None, None, RenderSettings("r:2"))
    await upgrade(repo).run(later)
    for branch, folder in (("main", "clusters/prod"), (CLUSTERS_BRANCH, "prod")):
        for name in ("admission/settings.yaml", "git-repositories.yaml"):
            assert b"evil" not in await read(repo, f"{folder}/{name}", branch)


async def test_ceilings_that_somebody_raised_wait_until_an_operator_looked(repo):
    await upgrade(repo).run(WANTED)
    flux = await repo.head(CLUSTERS_BRANCH)
    platform = await read(repo, "platform.yaml")
    await by_hand(repo, {"platform.yaml": platform.replace(b"cpu: 500m", b"cpu: '64'")})
    done = await upgrade(repo).run(WANTED)
    assert done.waiting == ("clusters/prod", "platform.yaml")
    assert await repo.head(CLUSTERS_BRANCH) == flux
    again = await upgrade(repo).run(WANTED)
    assert again.waiting == done.waiting, "it waits however often it is asked for"
    done = await upgrade(repo).run(WANTED, accept=again.head)
    assert done.waiting == ()
    assert b'"64"' in await read(repo, "prod/admission/settings.yaml", CLUSTERS_BRANCH)
    assert (await upgrade(repo).run(WANTED)).waiting == ()


async def test_what_stands_in_clusters_before_there_is_a_branch_waits_too(repo):
    await by_hand(repo, {"clusters/prod/mine.yaml": b"kind: ConfigMap\n"})
    done = await upgrade(repo).run(WANTED)
    assert done.waiting == ("clusters/prod",)
    assert await repo.head(CLUSTERS_BRANCH) is None
    assert (await upgrade(repo).run(WANTED, accept=done.head)).waiting == ()
    assert await read(repo, "prod/mine.yaml", CLUSTERS_BRANCH) == b"kind: ConfigMap\n"


async def test_a_standing_file_that_cannot_be_read_is_named(repo):
    await upgrade(repo).run(WANTED)
    await by_hand(repo, {"prod/admission/settings.yaml": b"- x\n"}, CLUSTERS_BRANCH)
    with pytest.raises(Unavailable, match=r"admission/settings\.yaml"):
        await upgrade(repo).run(WANTED)


async def test_one_cluster_is_upgraded_without_touching_another(repo, newer):
    await upgrade(repo).run(WANTED)
    other = Wanted("test", "https://git.example/test.git", None, None, RenderSettings("r:1"))
    done = await upgrade(repo, newer).run(other)
    assert {path.split("/")[1] for path in done.written if path.startswith("clusters/")} == {"test"}
    done = await upgrade(repo, newer).run(WANTED)
    assert done.written == ("clusters/prod/receiver.yaml",), "it is still known as the template's"


async def test_the_first_time_needs_an_address(repo):
    with pytest.raises(InvalidRequest, match="fetches") as told:
        await upgrade(repo).run(Wanted("prod", None, None, None, RenderSettings("r:1")))
    assert "--source-url" in told.value.hint


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../main"}, {"name": "Prod"}, {"url": "file:///etc"}, {"url": "https://x/ y"},
        {"git_secret": "a b"}, {"url": "https://user:pass@x/y"},
    ],
)  # fmt: skip
async def test_an_option_that_cannot_stand_in_a_manifest_is_refused(repo, change):
    before = await repo.heads()
    wanted = Wanted(**{**vars(WANTED), **change})
    with pytest.raises(InvalidRequest, match="cannot stand"):
        await upgrade(repo).run(wanted)
    assert await repo.heads() == before


async def test_what_others_change_in_clusters_waits_until_an_operator_looked(repo, newer):
    await upgrade(repo).run(WANTED)
    flux = await repo.head(CLUSTERS_BRANCH)
    await by_hand(repo, {"clusters/prod/mine.yaml": b"kind: ConfigMap\n"})
    done = await upgrade(repo, newer).run(WANTED)
    assert "clusters/prod/receiver.yaml" in done.written
    assert done.waiting == ("clusters/prod",)
    assert await repo.head(CLUSTERS_BRANCH) == flux, "nothing went over with the upgrade"

    with pytest.raises(InvalidRequest, match="not a commit"):
        await upgrade(repo).run(accept="f" * 40)
    before_it = (await repo.info(done.head)).parent
    stale = await upgrade(repo, newer).run(accept=before_it)
    assert stale.waiting == ("clusters/prod",), "clusters/ was changed after that commit"

    accepted = await upgrade(repo, newer).run(accept=done.head)
    assert accepted.waiting == ()
    tip = await repo.head(CLUSTERS_BRANCH)
    assert await read(repo, "prod/mine.yaml", CLUSTERS_BRANCH) == b"kind: ConfigMap\n"
    assert (await repo.info(tip)).parent == flux, "linear"


async def test_a_removal_in_clusters_reaches_the_branch_once_it_is_accepted(repo):
    await upgrade(repo).run(WANTED)
    await by_hand(repo, {"clusters/prod": None, "clusters/other/x.yaml": b"kind: A\n"})
    done = await upgrade(repo).run()
    assert done.waiting == ("clusters/other", "clusters/prod")
    await upgrade(repo).run(accept=done.head)
    assert (await repo.children(await repo.head(CLUSTERS_BRANCH))).keys() == {"other"}


async def test_the_number_of_shards_is_fixed(tmp_path, repo):
    with pytest.raises(Unavailable, match="256 shards, not 4096"):
        await asyncio.to_thread(init_repo, repo.path, shards=4096)
    path = tmp_path / "many.git"
    await asyncio.to_thread(init_repo, path, shards=4096)
    many = GitopsRepo(path)
    heads = await many.heads()
    assert len(heads) == 4097
    assert {"flux/000", "flux/fff"} <= heads.keys()
    done = await upgrade(many).run()
    assert (done.written, done.kept) == ((), ())
    await many.close()


async def test_every_root_is_signed_where_the_platform_signs(tmp_path):
    key = tmp_path / "key"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]
    await asyncio.to_thread(subprocess.run, make, check=True)
    signer = Signer.load(key)
    path = tmp_path / "signed.git"
    await asyncio.to_thread(init_repo, path, signer=signer)
    repo = GitopsRepo(path, signer)
    await upgrade(repo).run(WANTED, signer.public_key)
    for branch in ("main", "flux/00", CLUSTERS_BRANCH):
        assert await repo.signature_fault(await repo.head(branch), {signer.public}) is None
    written = key.with_suffix(".pub").read_text()
    assert [written.rpartition(" ")[0]] == await allowed_to_sign(repo)
    sources = yaml.safe_load_all(await read(repo, "clusters/prod/git-repositories.yaml"))
    verified = {s["metadata"]["name"]: s["spec"].get("verify") for s in sources}
    assert verified.pop("clusters") is None, "its commits are an operator's"
    assert set(map(str, verified.values())) == {
        "{'mode': 'HEAD', 'secretRef': {'name': 'publish-keys'}}"
    }
    await repo.close()


async def allowed_to_sign(repo: GitopsRepo) -> list[str]:
    """The keys of which Flux is told."""
    keys = yaml.safe_load(await read(repo, "prod/publish-keys.yaml", CLUSTERS_BRANCH))
    assert keys["stringData"].keys() == {"platform.sshpub"}, "one that is taken out is gone"
    return keys["stringData"]["platform.sshpub"].splitlines()


async def test_two_keys_may_sign_while_one_takes_the_place_of_the_other(repo):
    old, new = (f"ssh-ed25519 {name}" for name in ("AAAAold", "AAAAnew"))
    await upgrade(repo).run(WANTED, old)
    both = replace(WANTED, publish_keys=(new,))
    await upgrade(repo).run(both, old)
    assert await allowed_to_sign(repo) == [old, new]
    await upgrade(repo).run(WANTED, new)
    assert await allowed_to_sign(repo) == [new, old], "what stood stays, the one in use first"
    await upgrade(repo).run(WANTED)
    assert await allowed_to_sign(repo) == [new, old], "also for who forgot to name the key in use"
    await upgrade(repo).run(both, new)
    assert await allowed_to_sign(repo) == [new]


async def test_what_is_no_public_key_is_refused_and_changes_nothing(repo):
    await upgrade(repo).run(WANTED, "ssh-ed25519 AAAA")
    wrong = replace(WANTED, publish_keys=("-----BEGIN OPENSSH",))
    with pytest.raises(InvalidRequest, match="public key"):
        await upgrade(repo).run(wrong, "ssh-ed25519 AAAA")
    assert await allowed_to_sign(repo) == ["ssh-ed25519 AAAA"]


def test_a_file_of_unknown_origin_is_never_overwritten():
    done = compare({}, {"a": b"theirs", "b": None, "c": b"same"}, dict.fromkeys("abc", b"same"))
    assert (dict(done.write), done.keep) == ({"b": b"same"}, ("a",))
    assert done.files == {"a": "", "b": digest(b"same"), "c": digest(b"same")}
