"""GitHub's side of the forge client, against answers of the shape that GitHub documents.

No GitHub was asked: these are contracts written from docs.github.com/en/rest/repos/rules,
…/rest/branches/branch-protection and …/rest/deploy-keys. Gitea's side is tried on a real server, in
tests/cluster/test_forge.py.
"""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import pytest

from api.clients.forge_api import ForgeApi, ForgeRefused
from api.clients.github import Github
from api.domain.installation import ALL_DEPLOY_KEYS, DeployKey
from api.errors import ForgeUnavailable

TOKEN = "ghs_secret"
HERE = "/repos/me/apps"
#: An answer of "Get rules for a branch", with the fields that are not read too.
FLUX_RULES = [
    {
        "type": kind,
        "ruleset_source_type": "Repository",
        "ruleset_source": "me/apps",
        "ruleset_id": 42,
    }
    for kind in ("creation", "update", "deletion", "non_fast_forward", "required_linear_history")
]
RULESET = {
    "id": 42,
    "name": "flux/* is written by the platform alone",
    "target": "branch",
    "source_type": "Repository",
    "source": "me/apps",
    "enforcement": "active",
    "bypass_actors": [
        {"actor_id": 7, "actor_type": "Integration", "bypass_mode": "always"},
        {"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "pull_request"},
    ],
}
STRICT = {
    "type": "required_status_checks",
    "ruleset_id": 43,
    "parameters": {
        "strict_required_status_checks_policy": True,
        "required_status_checks": [{"context": "check"}],
    },
}


class Answers:
    """What is at each path; everything else is 404. Keeps what was asked."""

    def __init__(self) -> None:
        self.at: dict[str, Any] = {}
        self.asked: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        answer = self.at.get(request.url.raw_path.decode().partition("?")[0])
        if isinstance(answer, httpx2.Response):
            return answer
        if answer is None:
            return httpx2.Response(404, json={"message": "Not Found"})
        return httpx2.Response(200, content=json.dumps(answer).encode())

    def branch(self, name: str, rules: object, *, protection: Mapping[str, Any] | None = None):
        name = name.replace("/", "%2F")
        self.at[f"{HERE}/rules/branches/{name}"] = rules
        enabled = protection is not None
        self.at[f"{HERE}/branches/{name}"] = {
            "name": name,
            "protected": True,
            "protection": {"enabled": enabled},
        }
        self.at[f"{HERE}/branches/{name}/protection"] = protection


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
async def github(answers: Answers) -> AsyncIterator[Github]:
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answers)) as client:
        yield Github(ForgeApi("https://api.github.com", client, TOKEN), "me", "apps")


async def test_a_branch_without_rules_is_open_to_everybody(answers: Answers, github: Github):
    answers.branch("main", [])
    rules = await github.rules("main")
    assert (rules.protected, rules.no_force, rules.up_to_date, rules.pushers) == (
        *(False, False, False, None),
    )


async def test_the_templates_ruleset_is_read_with_who_passes_it_by(
    answers: Answers, github: Github
):
    answers.branch("flux/00", FLUX_RULES)
    answers.at[f"{HERE}/rulesets/42"] = RULESET
    rules = await github.rules("flux/00")
    assert (rules.protected, rules.no_force, rules.signatures) == (True, True, False)
    assert rules.pushers == ("app 7",)
    assert {request.headers["Authorization"] for request in answers.asked} == {f"Bearer {TOKEN}"}


async def test_who_passes_by_is_not_told_to_everybody(answers: Answers, github: Github):
    answers.branch("flux/00", FLUX_RULES)
    answers.at[f"{HERE}/rulesets/42"] = {k: v for k, v in RULESET.items() if k != "bypass_actors"}
    assert (await github.rules("flux/00")).pushers is None


async def test_deploy_keys_on_a_bypass_list_are_all_of_them(answers: Answers, github: Github):
    answers.branch("flux/00", FLUX_RULES)
    actors = [{"actor_id": None, "actor_type": "DeployKey", "bypass_mode": "always"}]
    answers.at[f"{HERE}/rulesets/42"] = RULESET | {"bypass_actors": actors}
    assert (await github.rules("flux/00")).pushers == (ALL_DEPLOY_KEYS,)


async def test_branches_that_must_be_up_to_date_are_seen_in_both_kinds_of_rules(
    answers: Answers, github: Github
):
    answers.branch("main", [STRICT])
    assert (await github.rules("main")).up_to_date
    old = {
        "required_status_checks": {"strict": True, "contexts": ["check"]},
        "required_signatures": {"enabled": True},
        "allow_force_pushes": {"enabled": False},
        "restrictions": {"users": [{"login": "me"}], "teams": [{"slug": "ops"}], "apps": []},
    }
    answers.branch("main", [], protection=old)
    rules = await github.rules("main")
    assert (rules.up_to_date, rules.signatures, rules.no_force) == (True, True, True)
    assert (rules.protected, rules.pushers) == (True, ("me", "team ops"))


async def test_an_old_protection_that_is_hidden_is_not_taken_for_none(
    answers: Answers, github: Github
):
    answers.branch("main", [], protection={})
    answers.at[f"{HERE}/branches/main/protection"] = httpx2.Response(
        403, json={"message": "Resource not accessible by integration"}
    )
    with pytest.raises(ForgeRefused, match="Resource not accessible") as refused:
        await github.rules("main")
    assert refused.value.answer == 403


async def test_lists_are_read_to_their_end(answers: Answers, github: Github):
    keys = [
        {"title": f"k{n}", "key": f"ssh-ed25519 AAAA{n}", "read_only": n > 0} for n in range(51)
    ]

    def page(request: httpx2.Request) -> httpx2.Response:
        start = (int(request.url.params["page"]) - 1) * 50
        return httpx2.Response(200, json=keys[start : start + 50])

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(page)) as client:
        found = await Github(ForgeApi("https://api.github.com", client), "me", "apps").deploy_keys()
    assert len(found) == 51
    assert found[0] == DeployKey("k0", "ssh-ed25519 AAAA0", may_push=True)
    assert not found[50].may_push


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx2.Response(500, text="<html>"), "answered 500: no reason given"),
        (httpx2.Response(401, json={"message": f"bad {TOKEN}\n"}), r"401: bad \*\*\* "),
        (httpx2.Response(200, text="<html>"), "something else"),
        (httpx2.Response(200, json={"default_branch": 1}), "something else"),
        (httpx2.Response(301, headers={"Location": "https://elsewhere.example"}), "answered 301"),
        (httpx2.Response(200, content=b"[" * 5_000_000), "too much"),
        (httpx2.ConnectError("nobody listens"), "nobody listens"),
        (httpx2.ReadTimeout("slow"), "slow"),
    ],
)
async def test_any_other_answer_is_an_error_without_the_token(answer: object, words: str):
    def respond(request: httpx2.Request) -> httpx2.Response:
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, httpx2.Response)
        return answer

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(respond)) as client:
        github = Github(ForgeApi("https://api.github.com", client, TOKEN), "me", "apps")
        with pytest.raises(ForgeUnavailable, match=words) as raised:
            await github.default_branch()
    assert TOKEN not in f"{raised.value.message}{raised.value.hint}{github!r}"
