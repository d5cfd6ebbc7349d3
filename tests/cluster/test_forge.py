"""The doctor and a real forge: a Gitea whose rules are set as the template's page says."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from api.opening import open_records
from api.settings import Settings
from tests.cluster.consulting import Told, consult
from tests.gitea import Gitea
from tests.product import ROOT

_SECONDS = 240


@dataclass
class Protected:
    """The repository of the apps on a forge, and what doctor is given to look at it."""

    gitea: Gitea
    repository: str
    settings: dict[str, str]

    def doctor(self, **settings: str) -> Told:
        return consult(self.settings | settings)

    def change(self, method: str, path: str, **values: object) -> object:
        return self.gitea.call(method, f"/repos/{self.repository}{path}", values)


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Protected]:
    folder = tmp_path_factory.mktemp("forge")
    with Gitea(folder / "gitea").running() as gitea:
        for name in ("platform", "operator", "alice"):
            gitea.user(name)
            (folder / name).write_text(gitea.tokens[name])
        repository = gitea.repository("operator", "apps", platform="write", alice="write")
        key = folder / "signing"
        subprocess.run(("ssh-keygen", "-qt", "ed25519", "-N", "", "-f", key), check=True)
        settings = {
            "BASE_DOMAIN": "platform.localhost",
            "RUNNER_IMAGE": "runner:test",
            "GIT_SIGNING_KEY_FILE": str(key),
            "DATA_DIR": str(folder / "data"),
            "GIT_REMOTE": gitea.remote(repository),
            "GIT_TOKEN_FILE": str(folder / "platform"),
            "DOCTOR_FORGE_TOKEN_FILE": str(folder / "operator"),
            "DOCTOR_PERSON_TOKEN_FILE": str(folder / "alice"),
        }
        made = init_repo(settings, "--git-secret", "git")
        assert made.returncode == 0, made.stdout + made.stderr
        gitea.protect(repository, "flux/clusters", ["operator"])
        gitea.protect(repository, "flux/**", ["platform"])
        gitea.protect(repository, "main", ["platform", "operator"], required_approvals=1)
        asyncio.run(_records(folder / "data"))
        yield Protected(gitea, repository, settings)


def init_repo(settings: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "api", "init-repo", "--cluster", "one", *words),
        cwd=ROOT, env={"PATH": "/usr/bin:/bin", **settings},
        capture_output=True, text=True, check=False, timeout=_SECONDS,
    )  # fmt: skip


async def _records(folder: Path) -> None:
    async with open_records(Settings(data_dir=folder)):
        pass


def test_nothing_is_found_on_a_forge_whose_rules_are_the_templates(protected: Protected):
    told = protected.doctor()
    assert (told.findings, told.unlooked, told.by_hand, told.status) == ((), (), (), 0)
    assert "forge.flux-pushers" in told.passed


Change = Callable[[Protected], object]


def rule(name: str, **values: object) -> Change:
    return lambda there: there.gitea.change_rule(there.repository, name, **values)


#: Gitea looks at a whitelist only beside `enable_push`.
ALONE = rule(
    "flux/**", enable_push=True, enable_push_whitelist=True, push_whitelist_usernames=["platform"]
)
#: What is broken on the forge, how it is mended, and the checks that name it.
FAULTS: dict[str, tuple[Change, Change, set[str]]] = {
    "main requires branches to be up to date": (
        rule("main", block_on_outdated_branch=True),
        rule("main", block_on_outdated_branch=False),
        {"forge.main-up-to-date"},
    ),
    "main may be forced": (
        rule("main", enable_force_push=True),
        rule("main", enable_force_push=False),
        {"forge.main-history"},
    ),
    "flux/* may be forced": (
        rule("flux/**", enable_force_push=True),
        rule("flux/**", enable_force_push=False),
        {"forge.flux-rules"},
    ),
    "a person may push to flux/*": (
        rule("flux/**", push_whitelist_usernames=["platform", "alice"]),
        rule("flux/**", push_whitelist_usernames=["platform"]),
        {"forge.flux-pushers", "repository.shards-protected"},
    ),
    "everybody may push to flux/*": (
        rule("flux/**", enable_push=True, enable_push_whitelist=False),
        ALONE,
        {"forge.flux-rules", "repository.shards-protected"},
    ),
    "the platform may push to flux/clusters": (
        rule("flux/clusters", push_whitelist_usernames=["operator", "platform"]),
        rule("flux/clusters", push_whitelist_usernames=["operator"]),
        {"forge.flux-pushers", "repository.clusters-protected"},
    ),
    "nobody may push to flux/*": (
        rule("flux/**", enable_push=False),
        ALONE,
        {"repository.credential"},
    ),
    "another branch is the default": (
        lambda there: there.change("PATCH", "", default_branch="flux/00"),
        lambda there: there.change("PATCH", "", default_branch="main"),
        {"forge.default-branch"},
    ),
    "the platform's credential may only read": (
        lambda there: there.change("PUT", "/collaborators/platform", permission="read"),
        lambda there: there.change("PUT", "/collaborators/platform", permission="write"),
        {"repository.credential"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_forge_is_named(protected: Protected, fault: str):
    broken, mended, checks = FAULTS[fault]
    broken(protected)
    try:
        told = protected.doctor()
    finally:
        mended(protected)
    assert told.named == checks, told
    assert told.status == 1


def test_a_credential_that_may_not_see_the_rules_is_told_which_one_may(protected: Protected):
    told = protected.doctor(DOCTOR_FORGE_TOKEN_FILE=protected.settings["GIT_TOKEN_FILE"])
    assert (told.findings, told.status) == ((), 2)
    assert {each["check"] for each in told.unlooked} == {
        *("forge.main-up-to-date", "forge.main-signatures", "forge.main-history"),
        *("forge.flux-rules", "forge.flux-pushers", "forge.deploy-keys"),
    }
    assert all("DOCTOR_FORGE_TOKEN_FILE" in each["why"] for each in told.unlooked)


def test_a_persons_credential_that_opens_nothing_is_not_taken_for_refused(
    protected: Protected, tmp_path: Path
):
    (tmp_path / "old").write_text("0" * 40)
    told = protected.doctor(DOCTOR_PERSON_TOKEN_FILE=str(tmp_path / "old"))
    assert (told.findings, told.status) == ((), 2)
    [unlooked] = told.unlooked
    assert unlooked["check"] == "repository.shards-protected"
    assert "401" in unlooked["why"]


def test_a_deploy_key_is_known_by_its_file(protected: Protected, tmp_path: Path):
    key = tmp_path / "deploy"
    subprocess.run(("ssh-keygen", "-qt", "ed25519", "-N", "", "-f", key), check=True)
    public = key.with_suffix(".pub").read_text()
    added = protected.change("POST", "/keys", title="platform", key=public, read_only=True)
    told = protected.doctor(GIT_SSH_KEY_FILE=str(key))
    assert told.named == {"forge.deploy-keys"}
    assert "'platform'" in told.findings[0]["missing"]
    assert isinstance(added, dict)
    protected.change("DELETE", f"/keys/{added['id']}")
    protected.change("POST", "/keys", title="platform", key=public, read_only=False)
    assert protected.doctor(GIT_SSH_KEY_FILE=str(key)).status == 0


def test_behind_the_rules_an_operators_credential_changes_what_flux_applies(protected: Protected):
    changed = {**protected.settings, "RUNNER_IMAGE": "runner:next"}
    refused = init_repo(changed)
    assert refused.returncode == 1
    assert "flux/clusters" in refused.stderr
    operators = protected.settings["DOCTOR_FORGE_TOKEN_FILE"]
    done = init_repo({**changed, "GIT_TOKEN_FILE": operators})
    assert done.returncode == 0, done.stdout + done.stderr
    assert protected.doctor(RUNNER_IMAGE="runner:next").status == 0
