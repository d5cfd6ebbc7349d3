import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from api.clients import passwords
from api.clients.passwords import Passwords
from api.clients.rate_limits import client_network
from api.errors import Unavailable
from api.settings import Settings
from tests.application import PASSWORD, Application, application


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes that were verified, in order."""
    seen: list[str] = []
    original = Passwords._run

    async def spy(self: Passwords, function, *arguments):
        if function == self._context.verify:
            seen.append(arguments[1])
        return await original(self, function, *arguments)

    monkeypatch.setattr(Passwords, "_run", spy)
    return seen


async def test_unknown_people_and_wrong_passwords_get_the_same_answer_for_the_same_work(
    platform: Application, verified: list[str]
):
    await platform.sign_up("ada")
    wrong = await platform.log_in("ada", "wrong password")
    unknown = await platform.log_in("nobody", "wrong password")
    unusable = await platform.log_in("ada", "x" * 5000)
    impossible = await platform.log_in("no such name can be \0", PASSWORD)
    answers = [wrong, unknown, unusable, impossible]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {"Bearer"}
    # One hash each, of one cost: nothing else in a log-in takes a time worth measuring.
    assert len(verified) == 4
    costs = {tuple(hashed.split("$")[1:4]) for hashed in verified}
    assert len(costs) == 1
    assert len(set(verified)) == 2


async def test_ten_wrong_passwords_from_one_address_are_enough(platform: Application):
    await platform.sign_up("ada")
    await platform.sign_up("bob")
    answers = await asyncio.gather(*(platform.log_in("ada", f"wrong {n}") for n in range(50)))
    assert Counter(answer.status_code for answer in answers) == {401: 10, 429: 40}
    refused = await platform.log_in("ADA")
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 600
    # Neither the neighbours nor the owner elsewhere suffer.
    assert (await platform.log_in("bob")).status_code == 200
    assert (await platform.log_in("ada", address="198.51.100.7")).status_code == 200


async def test_the_same_limit_holds_for_names_that_do_not_exist(platform: Application):
    answers = [await platform.log_in("nobody", "wrong") for _ in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]


async def test_guesses_from_many_addresses_meet_the_limit_of_the_account(platform: Application):
    await platform.sign_up("ada")
    answers = [
        await platform.log_in("ada", "wrong", address=f"203.0.113.{n % 15}") for n in range(110)
    ]
    assert Counter(answer.status_code for answer in answers) == {401: 100, 429: 10}


async def test_right_passwords_count_towards_no_failure(platform: Application):
    await platform.sign_up("ada")
    answers = [await platform.log_in("ada") for _ in range(25)]
    assert {answer.status_code for answer in answers} == {200}


async def test_one_address_cannot_try_without_end(platform: Application):
    answers = await asyncio.gather(*(platform.log_in(f"name{n}", "wrong") for n in range(310)))
    assert Counter(answer.status_code for answer in answers) == {401: 300, 429: 10}


async def test_forwarded_addresses_are_believed_from_the_router_only(
    settings_for: Callable[..., Settings],
):
    async with application(settings_for(trusted_proxies="10.0.0.0/8, 2001:db8::1")) as platform:

        async def wrong(peer: str, forwarded: str) -> int:
            async with platform.client(peer) as client:
                body = {"username": "ada", "password": "wrong"}
                headers = {"X-Forwarded-For": forwarded}
                answer = await client.post("/api/auth/login", json=body, headers=headers)
                return answer.status_code

        # Through the router each learner has their own count, whatever they pretend to be.
        through = [await wrong("10.1.2.3", f"6.6.6.{n}, 192.0.2.77") for n in range(11)]
        assert through == [401] * 10 + [429]
        assert await wrong("10.1.2.3", "192.0.2.78") == 401
        # Without the router the header is only a claim.
        direct = [await wrong("192.0.2.99", f"192.0.2.{n}") for n in range(11)]
        assert direct == [401] * 10 + [429]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("testclient", "testclient", True),
    ],
)
def test_an_ipv6_subscriber_counts_once(one: str, other: str, *, same: bool):
    assert (client_network(one) == client_network(other)) is same


def test_passwords_are_hashed_with_argon2id_at_the_documented_cost(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.undo()  # the real cost
    hasher = Passwords()
    try:
        hashed = asyncio.run(hasher.hash(PASSWORD))
        assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert asyncio.run(hasher.verify(PASSWORD, hashed))
        assert not asyncio.run(hasher.verify(PASSWORD, None))
    finally:
        hasher.close()


async def test_hashing_never_blocks_the_loop_and_refuses_what_it_cannot_finish_in_time(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(passwords, "MAX_WAITING", 5)
    hasher = Passwords()
    try:
        results = await asyncio.gather(
            *(hasher.hash(PASSWORD) for _ in range(8)), return_exceptions=True
        )
        refused = [result for result in results if isinstance(result, Unavailable)]
        assert len(refused) == 3
        assert {error.code for error in refused} == {"busy"}
        assert await hasher.hash(PASSWORD)
    finally:
        hasher.close()
