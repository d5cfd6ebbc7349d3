"""Whoever reads an error learns what is wrong, and not where the platform's parts are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.addresses import without_addresses


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            (
                "Cannot connect to host 10.96.0.1:443 ssl:default [Connect call failed "
                "('10.96.0.1', 443)]"
            ),
            "Cannot connect to host [address] ssl:default [Connect call failed ('[address]', 443)]",
        ),
        (
            "Cannot connect to host kubernetes.default:443 ssl:default",
            "Cannot connect to host [address] ssl:default",
        ),
        (
            (
                "fatal: unable to access 'https://git.example.org/org/apps.git/': "
                "Could not resolve host: git.example.org"
            ),
            "fatal: unable to access '[address]': Could not resolve host: [address]",
        ),
        (
            "ssh: Could not resolve hostname forge: Name or service not known",
            "ssh: Could not resolve hostname [address]: Name or service not known",
        ),
        (
            "git@git.example.org: Permission denied (publickey).",
            "[address]: Permission denied (publickey).",
        ),
        (
            (
                'Get "http://10.244.0.17:8001/ready": dial tcp 10.244.0.17:8001: '
                "connect: connection refused"
            ),
            'Get "[address]": dial tcp [address]: connect: connection refused',
        ),
        (
            "dial tcp: lookup source-controller on 10.96.0.10:53: no such host",
            "dial tcp: lookup [address] on [address]: no such host",
        ),
        (
            "webhook-receiver.flux-system.svc.cluster.local:80 is away",
            "[address] is away",
        ),
        ("dial tcp [fd00:10:96::1]:443: i/o timeout", "dial tcp [address]: i/o timeout"),
        ("peer fe80::1 left", "peer [address] left"),
    ],
)
def test_addresses_of_every_kind_are_left_out(said, shown):
    assert without_addresses(said) == shown


@pytest.mark.parametrize(
    "said",
    [
        "Deployment/user-ann/shop1 dry-run failed (Forbidden): rule pod-image: not allowed",
        "flux/ab@sha1:0123456789012345678901234567890123456789 was not found",
        "ghcr.io/org/runner@sha256:0123 and runner:3.12 are images",
        "File \"user_code.py\", line 12: NameError: name 'a' is not defined",
        "user_code.py:12 failed at 12:00:01 on 2026-01-01T12:00:01Z",
        "spec.rules[0].host: Invalid value: std::vector",
        "quota: used limits.cpu=500m, limited: limits.cpu=1",
    ],
)
def test_what_is_no_address_stays(said):
    assert without_addresses(said) == said


@given(st.ip_addresses(v=4) | st.ip_addresses(network="fd00::/8"), st.text())
def test_no_ip_address_survives_in_the_middle_of_words(address, words):
    assert f" {address} " not in without_addresses(f"{words} {address} {words}")


@given(st.text())
def test_no_text_is_too_much_for_it(text):
    assert without_addresses(without_addresses(text)) == without_addresses(text)
