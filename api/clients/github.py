"""GitHub: https://docs.github.com/en/rest/repos/rules and …/rest/branches/branch-protection.

Rules stand in rulesets, which every credential may read but for who passes them by, and in the
older protections of single branches, which are for those who administer the repository.
"""

from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter

from api.clients.forge_api import Answer, ForgeApi, ForgeRefused, segment
from api.domain.installation import ALL_DEPLOY_KEYS, BranchRules, DeployKey

_NOT_FOUND: Final = 404
#: Who passes a ruleset by, beside those that have a number.
_NAMES: Final = {
    "DeployKey": ALL_DEPLOY_KEYS,
    "OrganizationAdmin": "every owner of the organization",
}


class _Repository(Answer):
    default_branch: str


class _Parameters(Answer):
    strict_required_status_checks_policy: bool = False


class _Rule(Answer):
    type: str
    ruleset_id: int | None = None
    parameters: _Parameters | None = None


class _Actor(Answer):
    actor_id: int | None = None
    actor_type: str
    bypass_mode: str = "always"


class _Ruleset(Answer):
    #: Told only to those who may change the ruleset.
    bypass_actors: tuple[_Actor, ...] | None = None


class _Switch(Answer):
    enabled: bool = False


class _Checks(Answer):
    strict: bool = False


class _Named(Answer):
    login: str = ""
    slug: str = ""


class _Restrictions(Answer):
    users: tuple[_Named, ...] = ()
    teams: tuple[_Named, ...] = ()
    apps: tuple[_Named, ...] = ()


class _Protection(Answer):
    """Of one branch, in the older way."""

    required_status_checks: _Checks | None = None
    restrictions: _Restrictions | None = None
    required_signatures: _Switch = _Switch()
    allow_force_pushes: _Switch = _Switch()


class _Branch(Answer):
    class _Summary(Answer):
        enabled: bool = False

    protection: _Summary = _Summary()


class _Key(Answer):
    title: str
    key: str
    read_only: bool


@dataclass(frozen=True)
class Github:
    """One repository there."""

    api: ForgeApi
    owner: str
    name: str
    kind: str = "GitHub"

    async def default_branch(self) -> str:
        """See `Forge`."""
        return (await self.api.get(self._path, TypeAdapter(_Repository))).default_branch

    async def rules(self, branch: str) -> BranchRules:
        """See `Forge`: what the rulesets and the older protection say together."""
        rules = await self.api.all(f"{self._path}/rules/branches/{segment(branch)}", _Rule)
        types = {rule.type for rule in rules}
        old = await self._protection(branch)
        limits = [rule.ruleset_id for rule in rules if rule.type == "update"]
        pushers = await self._passing(limits) if limits else None
        if old and old.restrictions:
            named = _restricted(old.restrictions)
            pushers = tuple(p for p in named if p in pushers) if pushers is not None else named
        return BranchRules(
            up_to_date=any(
                r.parameters.strict_required_status_checks_policy for r in rules if r.parameters
            )
            or bool(old and old.required_status_checks and old.required_status_checks.strict),
            signatures="required_signatures" in types
            or bool(old and old.required_signatures.enabled),
            protected="update" in types or bool(old and old.restrictions),
            no_force="non_fast_forward" in types
            or bool(old and not old.allow_force_pushes.enabled),
            pushers=pushers,
        )

    async def deploy_keys(self) -> tuple[DeployKey, ...]:
        """See `Forge`."""
        keys = await self.api.all(f"{self._path}/keys", _Key)
        return tuple(DeployKey.of(key.title, key.key, may_push=not key.read_only) for key in keys)

    async def _protection(self, branch: str) -> _Protection | None:
        path = f"{self._path}/branches/{segment(branch)}"
        if not (await self.api.get(path, TypeAdapter(_Branch))).protection.enabled:
            return None
        try:
            return await self.api.get(f"{path}/protection", TypeAdapter(_Protection))
        except ForgeRefused as error:
            if error.answer == _NOT_FOUND:  # "Branch not protected": it is by rulesets alone
                return None
            raise

    async def _passing(self, rulesets: list[int | None]) -> tuple[str, ...] | None:
        """Who passes all of these rulesets by; None where the credential may not know."""
        passing: list[set[str]] = []
        for number in sorted({number for number in rulesets if number is not None}):
            path = f"{self._path}/rulesets/{number}"
            actors = (await self.api.get(path, TypeAdapter(_Ruleset))).bypass_actors
            if actors is None:
                return None
            passing.append({_name(a) for a in actors if a.bypass_mode != "pull_request"})
        return tuple(sorted(set.intersection(*passing))) if passing else None

    @property
    def _path(self) -> str:
        return f"/repos/{segment(self.owner)}/{segment(self.name)}"


def _name(actor: _Actor) -> str:
    if actor.actor_type in _NAMES:
        return _NAMES[actor.actor_type]
    kind = "app" if actor.actor_type == "Integration" else actor.actor_type.lower()
    return f"{kind} {actor.actor_id}"


def _restricted(to: _Restrictions) -> tuple[str, ...]:
    users = [user.login for user in to.users]
    teams = [f"team {team.slug}" for team in to.teams]
    return (*users, *teams, *(f"app {app.slug}" for app in to.apps))
