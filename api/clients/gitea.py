"""Gitea and Forgejo: https://docs.gitea.com/api/ (and each server's own /api/swagger)."""

from dataclasses import dataclass

from pydantic import TypeAdapter

from api.clients.forge_api import Answer, ForgeApi, segment
from api.domain.installation import ALL_DEPLOY_KEYS, BranchRules, DeployKey


class _Repository(Answer):
    default_branch: str


class _Branch(Answer):
    protected: bool
    #: Which of the rules is in force; told to those who administer the repository.
    effective_branch_protection_name: str = ""


class _Rule(Answer):
    rule_name: str
    enable_push: bool
    enable_push_whitelist: bool
    push_whitelist_usernames: tuple[str, ...] | None = None
    push_whitelist_teams: tuple[str, ...] | None = None
    push_whitelist_deploy_keys: bool = False
    enable_force_push: bool = False  # older servers never let anybody force
    block_on_outdated_branch: bool = False
    require_signed_commits: bool = False


class _Key(Answer):
    title: str
    key: str
    read_only: bool


@dataclass(frozen=True)
class Gitea:
    """One repository there; its rules are for those to read who administer it."""

    api: ForgeApi
    owner: str
    name: str
    version: str

    @property
    def kind(self) -> str:
        """Forgejo says which Gitea it is compatible with."""
        return "Forgejo" if "gitea" in self.version.lower() else "Gitea"

    async def default_branch(self) -> str:
        """See `Forge`."""
        return (await self.api.get(self._path, TypeAdapter(_Repository))).default_branch

    async def rules(self, branch: str) -> BranchRules:
        """See `Forge`; of several rules that match, the server says which is in force."""
        rules = await self.api.all(f"{self._path}/branch_protections", _Rule)
        path = f"{self._path}/branches/{segment(branch)}"
        there = await self.api.get(path, TypeAdapter(_Branch))
        named = there.effective_branch_protection_name
        in_force = [rule for rule in rules if there.protected and rule.rule_name == named]
        if not in_force:
            return BranchRules()
        rule = in_force[0]
        return BranchRules(
            up_to_date=rule.block_on_outdated_branch,
            signatures=rule.require_signed_commits,
            protected=rule.enable_push_whitelist or not rule.enable_push,
            no_force=not (rule.enable_push and rule.enable_force_push),
            pushers=_pushers(rule),
        )

    async def deploy_keys(self) -> tuple[DeployKey, ...]:
        """See `Forge`."""
        keys = await self.api.all(f"{self._path}/keys", _Key)
        return tuple(DeployKey.of(key.title, key.key, may_push=not key.read_only) for key in keys)

    @property
    def _path(self) -> str:
        return f"/repos/{segment(self.owner)}/{segment(self.name)}"


def _pushers(rule: _Rule) -> tuple[str, ...] | None:
    """Whom the rule names; None: everybody with write access."""
    if not rule.enable_push:
        return ()
    if not rule.enable_push_whitelist:
        return None
    teams = [f"team {name}" for name in rule.push_whitelist_teams or ()]
    keys = [ALL_DEPLOY_KEYS] if rule.push_whitelist_deploy_keys else []
    return (*(rule.push_whitelist_usernames or ()), *teams, *keys)
