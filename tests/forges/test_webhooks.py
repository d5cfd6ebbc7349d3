"""Webhooks: proved, read, handed on; hostile ones change nothing and break nothing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.forge_events import (
    EVENT_HEADERS,
    ForgeName,
    HeadMoved,
    InvalidEvent,
    MainMoved,
    read_event,
)
from api.errors import InvalidRequest, NotAuthenticated, NotFound, Unavailable
from api.webhooks import Delivery, Webhooks, proved
from tests.forges.messages import EVENTS, HEAD, SECRET, TIP, asked, delivery, push, signed

FORGES: tuple[ForgeName, ...] = ("github", "gitea", "forgejo", "gitlab")
every = pytest.mark.parametrize("forge", FORGES)


class Told:
    """What the platform was told by webhooks."""

    def __init__(self, file: Path) -> None:
        file.write_text(f"{SECRET}\n")
        self.file = file
        self.tips: list[str] = []
        self.heads: list[HeadMoved] = []
        self.webhooks = Webhooks(lambda _: "Me/apps", file, self.tips.append, self.heads.append)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path / "secret")


@every
async def test_a_push_of_main_has_it_looked_at(told: Told, forge: ForgeName):
    sent = delivery(forge, EVENTS[forge][0], push(forge))
    assert await told.webhooks.receive(sent) == "publishing"
    assert (told.tips, told.heads) == ([TIP], [])


@every
async def test_a_pull_request_has_its_head_checked(told: Told, forge: ForgeName):
    sent = delivery(forge, EVENTS[forge][1], asked(forge))
    assert await told.webhooks.receive(sent) == "checking"
    assert told.heads == [HeadMoved(forge, "me/apps", 12, HEAD, "alice")]


@every
async def test_other_branches_and_other_events_concern_nobody(told: Told, forge: ForgeName):
    pushed, request = EVENTS[forge]
    for event, content in (
        (pushed, push(forge, "refs/heads/flux/00")),
        (pushed, push(forge, "refs/tags/main")),
        (request, asked(forge, to="release")),
        (request, asked(forge, "closed")),
        ("ping", {"zen": "Keep it logically awesome."}),
        ("", b"not even JSON"),
    ):
        assert await told.webhooks.receive(delivery(forge, event, content)) == "nothing"
    assert (told.tips, told.heads) == ([], [])


@every
async def test_whoever_does_not_know_the_secret_is_refused(told: Told, forge: ForgeName):
    body = json.dumps(push(forge)).encode()
    good = signed(forge, EVENTS[forge][0], body)
    [proof] = [name for name in good if name != EVENT_HEADERS[forge].lower()]
    for value in ("", "sha256=", "0" * 64, good[proof][:-1], good[proof] + "0", "\xe9\u0100"):
        with pytest.raises(NotAuthenticated):
            await told.webhooks.receive(Delivery(forge, {**good, proof: value}, body))
    with pytest.raises(NotAuthenticated):
        await told.webhooks.receive(delivery(forge, EVENTS[forge][0], push(forge), "other" * 9))
    assert told.tips == []


@pytest.mark.parametrize("forge", ["github", "gitea", "forgejo"])
async def test_a_body_that_was_changed_on_the_way_is_refused(told: Told, forge: ForgeName):
    sent = delivery(forge, EVENTS[forge][0], push(forge))
    with pytest.raises(NotAuthenticated):
        await told.webhooks.receive(replace(sent, body=sent.body + b" "))


async def test_a_proof_for_one_forge_is_none_for_another(told: Told):
    sent = delivery("gitea", "push", push("gitea"))
    with pytest.raises(NotAuthenticated):
        await told.webhooks.receive(replace(sent, forge="gitlab"))


async def test_while_a_secret_is_replaced_both_are_good(told: Told):
    told.file.write_text(f"{SECRET}\n{'n' * 32}\n")
    for secret in (SECRET, "n" * 32):
        await told.webhooks.receive(delivery("github", "push", push("github"), secret))
    assert len(told.tips) == 2


@pytest.mark.parametrize("content", ["", "short\n", f"{SECRET}\nshort\n"])
async def test_a_file_without_a_real_secret_opens_nothing(told: Told, content: str):
    told.file.write_text(content)
    with pytest.raises(Unavailable, match="FORGE_WEBHOOK_SECRET_FILE"):
        await told.webhooks.receive(delivery("gitlab", "Push Hook", push("gitlab"), "short"))


async def test_another_repository_is_no_business_of_ours(told: Told):
    with pytest.raises(NotFound):
        await told.webhooks.receive(delivery("github", "push", push("github", repository="a/b")))
    assert told.tips == []


@every
@pytest.mark.parametrize(
    "wrong",
    [
        {"number": 0},
        {"number": "12"},
        {"number": 2**40},
        {"number": True},
        {"head": "--upload-pack=touch /tmp/x"},
        {"head": "../../etc"},
        {"head": HEAD + "\n"},
        {"author": "../alice"},
        {"author": "alice\n"},
        {"author": "-alice"},
        {"author": "{{ 7 * 7 }}"},
        {"author": "a" * 200},
    ],
    ids=str,
)
async def test_what_does_not_look_like_a_name_is_refused(
    told: Told, forge: ForgeName, wrong: dict[str, Any]
):
    with pytest.raises(InvalidRequest) as refused:
        await told.webhooks.receive(delivery(forge, EVENTS[forge][1], asked(forge, **wrong)))
    [value] = wrong.values()
    assert str(value) not in refused.value.message or value in (0, True)
    assert told.heads == []


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


@given(
    st.sampled_from(FORGES),
    st.integers(0, 1),
    st.lists(st.integers(0, 5), max_size=4),
    _json | st.sampled_from(["main", HEAD, "refs/heads/main", "opened", "open"]),
)
def test_any_value_anywhere_is_read_or_refused(
    forge: ForgeName, which: int, path: list[int], value: Any
):
    content = push(forge) if which == 0 else asked(forge)
    at: Any = content
    for step in path:
        keys = sorted(at)
        key = keys[step % len(keys)]
        if not isinstance(at[key], dict) or step is path[-1]:
            at[key] = value
            break
        at = at[key]
    body = json.dumps(content, ensure_ascii=True).encode()
    _assert_read_or_refused(forge, EVENTS[forge][which], body)


@given(st.sampled_from(FORGES), st.integers(0, 1), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(forge: ForgeName, which: int, body: bytes):
    _assert_read_or_refused(forge, EVENTS[forge][which], body)


@given(st.sampled_from(FORGES), st.text(max_size=80), st.binary(max_size=40))
def test_no_header_but_the_right_one_proves_anything(forge: ForgeName, value: str, body: bytes):
    names = ("x-hub-signature-256", "x-gitea-signature", "x-gitlab-token")
    sent = Delivery(forge, dict.fromkeys(names, value), body)
    assert not proved(sent, [SECRET.encode()]) or value == SECRET


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"a":' * 100_000, b"\xff\xfe{}", b""])
def test_bodies_made_to_break_readers_are_refused(body: bytes):
    with pytest.raises(InvalidEvent):
        read_event("github", "push", body)


def _assert_read_or_refused(forge: ForgeName, event: str, body: bytes) -> None:
    try:
        found = read_event(forge, event, body)
    except InvalidEvent:
        return
    if isinstance(found, HeadMoved):
        assert isinstance(found.number, int)
        assert 0 < found.number < 2**31
        assert len(found.head) == 40
        assert set(found.head) <= set("0123456789abcdef")
        assert found.author.isascii()
        assert found.author.isprintable()
        assert not set(found.author) & set("/ \\\"'`{}<>$:*?")
    elif isinstance(found, MainMoved):
        assert len(found.tip) == 40
