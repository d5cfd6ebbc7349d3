"""Signatures of commits, with real git and real ssh-keygen as the judges."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from api.clients import gitops_repo
from api.clients.commit_signing import Signer, allowed_signers, signature_fault
from api.clients.git_upstream import LocalUpstream, Move
from api.clients.gitops_repo import Change, GitopsRepo
from api.domain.commit_message import intent_message, person, publish_message
from api.domain.names import AppRef
from api.errors import Unavailable
from api.writer import Writer


def run(*arguments: str | Path, **kwargs) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, **kwargs)
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def key(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("key") / "platform"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "platform", "-f", path)
    return path


@pytest.fixture
def signers(key, tmp_path) -> Path:
    """An allowed-signers file as git and OpenSSH read it."""
    path = tmp_path / "allowed_signers"
    public = key.with_suffix(".pub").read_text()
    path.write_text(f'# known\nplatform@example.org namespaces="git" {public}')
    return path


@pytest.fixture
async def repo(tmp_path, key):
    path, signer = tmp_path / "repo.git", Signer.load(key)
    gitops_repo.create(path, {"x": b"1"}, {"flux/3f": {"README.md": b"hi\n"}}, signer)
    opened = GitopsRepo(path, signer)
    yield opened
    await opened.close()
    assert run("git", "-C", path, "fsck", "--full", "--strict", "--no-dangling") == ""


async def both_kinds(repo: GitopsRepo) -> tuple[str, str]:
    """A deploy on main and its publish commit."""
    writer = Writer(repo, LocalUpstream(repo.path))
    message = intent_message("deploy", [AppRef("u1", "a1")], "Crème brûlée \N{ROCKET}", "r-1")
    async with writer.running():
        change = Change({"apps/3f/u1/a1/app.yaml": b"y"}, message, person("bób", "u1"))
        intent = await writer.write(change)
    tip = await repo.head("flux/3f")
    published = await repo.compose(tip, {"u1/x": b"y"}, publish_message("publish a1", intent, 1))
    assert (await LocalUpstream(repo.path).push([Move("flux/3f", tip, published)])).moved
    return intent, published


async def test_git_accepts_the_signatures_on_both_kinds_of_branches(repo, signers):
    await both_kinds(repo)
    for branch in ("main", "flux/3f"):
        git = ("git", "-C", repo.path, "-c", f"gpg.ssh.allowedSignersFile={signers}")
        shown = await asyncio.to_thread(run, *git, "log", "--show-signature", branch)
        assert shown.count('Good "git" signature for platform@example.org with ED25519') == 2
        commits = (await asyncio.to_thread(run, *git, "rev-list", branch)).split()
        await asyncio.to_thread(run, *git, "verify-commit", *commits)


async def test_a_signed_publish_commit_is_still_a_pure_function(repo, key, tmp_path):
    _, published = await both_kinds(repo)
    info = await repo.info(published)
    twin = tmp_path / "twin.git"
    await asyncio.to_thread(run, "git", "clone", "-q", "--mirror", repo.path, twin)
    replica = GitopsRepo(twin, Signer.load(key))
    assert await replica.compose(info.parent, {"u1/x": b"y"}, info.message) == published
    await replica.close()


async def test_the_platform_checks_what_it_signed(repo, signers, tmp_path):
    known = allowed_signers(signers.read_text())
    for commit in await both_kinds(repo):
        assert await repo.signature_fault(commit, known) is None
        assert "unknown key" in await repo.signature_fault(commit, frozenset())
    unsigned = GitopsRepo(repo.path)
    tip = await repo.head("main")
    [commit] = await unsigned.build(tip, [Change({"z": b"1"}, "By hand\n", person("eve", "e"))])
    assert await repo.signature_fault(commit, known) == "it is not signed"
    await unsigned.close()


async def test_the_platform_accepts_what_git_signed(repo, key, signers, tmp_path):
    clone = tmp_path / "clone"

    def by_hand() -> str:
        run("git", "clone", "-q", repo.path, clone)
        options = ("-c", "user.name=E", "-c", "user.email=e@x", "-c", "gpg.format=ssh",
                   "-c", f"user.signingkey={key}")  # fmt: skip
        run("git", "-C", clone, *options, "commit", "-q", "--allow-empty", "-S", "-m", "by git")
        run("git", "-C", clone, "push", "-q", "origin", "HEAD:refs/heads/hand")
        return run("git", "-C", clone, "rev-parse", "HEAD").strip()

    commit = await asyncio.to_thread(by_hand)
    assert await repo.signature_fault(commit, allowed_signers(signers.read_text())) is None


def test_a_signature_fits_one_content_only(key):
    signer = Signer.load(key)
    signature = signer.sign(b"tree 1\n")
    assert signer.sign(b"tree 1\n") == signature, "the same key signs alike"
    assert signature_fault(b"tree 1\n", signature, {signer.public}) is None
    assert "fit its content" in (signature_fault(b"tree 2\n", signature, {signer.public}) or "")


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "\n",
        "-----BEGIN PGP SIGNATURE-----\nabc\n-----END PGP SIGNATURE-----",
        "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----",
        "-----BEGIN SSH SIGNATURE-----\n!!\n-----END SSH SIGNATURE-----",
        "-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAf////8=\n-----END SSH SIGNATURE-----",
    ],
)
def test_what_is_no_signature_is_said_to_be_none(key, signature):
    assert signature_fault(b"x", signature, {Signer.load(key).public})


@pytest.mark.parametrize("kind", ["rsa", "missing", "locked", "text"])
def test_a_key_that_cannot_be_used_is_named(tmp_path, kind):
    path = tmp_path / "key"
    if kind in ("rsa", "locked"):
        options = ("rsa", "") if kind == "rsa" else ("ed25519", "secret")
        run("ssh-keygen", "-q", "-t", options[0], "-N", options[1], "-f", path)
    elif kind == "text":
        path.write_text("hello")
    with pytest.raises(Unavailable, match=str(path)) as told:
        Signer.load(path)
    assert "ssh-keygen" in told.value.hint


def test_other_lines_of_an_allowed_signers_file_are_left_out(key):
    public = key.with_suffix(".pub").read_text().strip()
    text = f"# {public}\n\na@b ssh-rsa AAAA\nc@d ssh-ed25519 ???\nssh-ed25519\n{public}\n"
    assert allowed_signers(text) == {Signer.load(key).public}
