"""Whom a cluster's refusal is about: told by how Flux begins, whatever learners wrote after it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.names import AppRef, is_id, namespace_of
from api.domain.publication import Entries
from api.domain.quarantine import (
    Record,
    culprit,
    read_quarantine,
    shown_words,
    write_quarantine,
)

ADA, BOB = AppRef("uada", "shop"), AppRef("ubob", "shop")
OTHER, CODE = AppRef("uada", "shop2"), AppRef("uada", "shop-code")
APPS = [ADA, BOB, OTHER, CODE]
POLICY = "ValidatingAdmissionPolicy 'pods' with binding 'pods' denied request: no host network"
WEBHOOK = 'admission webhook "a.example" denied the request: x'
BUILD = (
    "kustomize build failed: accumulating resources: accumulation err='accumulating resources from "
)
IDS = st.from_regex(r"[a-z](?:[a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
REFS = st.builds(AppRef, IDS, IDS)


def named(kind: str, name: str, user: str = "uada", reason: str = "(Invalid)", said: str = POLICY):
    return f"{kind}/user-{user}/{name} dry-run failed {reason}: {said}".replace(" :", ":")


@pytest.mark.parametrize(
    ("words", "ref"),
    [
        (named("Deployment", "shop"), ADA),
        (named("Deployment", "shop", "ubob"), BOB),
        (named("Service", "shop2"), OTHER),
        (named("IngressRoute", "shop", reason="(Forbidden)"), ADA),
        (named("Middleware", "shop-strip"), ADA),
        (named("Middleware", "shop-code-slash", reason="(BadRequest)"), CODE),
        (named("ConfigMap", "shop-code-4tm2g9k7b5"), ADA),
        (named("ConfigMap", "shop-code-code-4tm2g9k7b5"), CODE),
        (named("ConfigMap", "shop-code-4tm2g9k7b5", reason="(RequestEntityTooLarge)"), ADA),
        ("Deployment/user-uada/shop apply failed (Invalid): no", ADA),
        (named("Deployment", "shop", reason="", said=WEBHOOK), ADA),
        (named("Deployment", "shop", reason="", said="failed to create typed patch object"), ADA),
        (named("Deployment", "shop") + "\nNamespace/user-uada unchanged", ADA),
        (BUILD + "'ubob/shop': read x: is a directory': no", BOB),
    ],
)  # fmt: skip
def test_the_app_whose_object_flux_names_is_found(words, ref):
    assert culprit(words, APPS) == ref


@pytest.mark.parametrize(
    "words",
    [
        "",
        "no matches for kind IngressRoute",
        POLICY,
        named("Deployment", "shop3"),  # nobody's
        named("Deployment", "shop", "uother"),
        named("Namespace", "shop"),
        named("Pod", "shop"),
        named("Middleware", "shop"),
        named("Deployment", "shop-strip"),
        named("ConfigMap", "shop-code"),
        "Namespace/user-uada dry-run failed (Invalid): no",
        "ResourceQuota/user-uada/compute dry-run failed (Invalid): no",
        # Not for what it is: time, rights and load are nobody's app.
        named("Deployment", "shop", reason="(InternalError)"),
        named("Deployment", "shop", reason="(Timeout)"),
        named("Deployment", "shop", reason="(TooManyRequests)"),
        named("Deployment", "shop", reason="(Conflict)"),
        named("Deployment", "shop", reason="", said="connection refused"),
        named("Deployment", "shop", reason="", said=POLICY),
        named("Deployment", "shop", reason="(Forbidden)",
              said='deployments.apps "shop" is forbidden: unable to create new content in '
                   "namespace user-uada because it is being terminated"),
        named("Deployment", "shop", reason="(Forbidden)",
              said='deployments.apps "shop" is forbidden: User "system:serviceaccount:a:b" cannot '
                   'patch resource "deployments"'),
        *(
            named("Deployment", "shop", reason="(Invalid)",
                  said="deployments.apps \"shop\" is forbidden: ValidatingAdmissionPolicy 'a' with "
                       f"binding 'a' denied request: {said}")
            for said in ("failed to configure binding: no params found", "rule pod-image: not x")
        ),
        "Deployment/user-uada/shop delete failed: no",
        " " + named("Deployment", "shop"),
        "x: " + named("Deployment", "shop"),
        "kustomize build failed: trouble in 'ubob/shop'",
    ],
)  # fmt: skip
def test_nobody_is_guessed(words):
    assert culprit(words, APPS) is None


NAMED = named("Deployment", "shop"), named("Deployment", "shop", "ubob"), named("Service", "shop2")


@given(text=st.text(), words=st.sampled_from(NAMED), ref=st.sampled_from(APPS))
def test_what_a_learner_wrote_changes_nobody_elses_fate(text, words, ref):
    told = culprit(words, APPS)
    hostile = f"{text} {named('Deployment', ref.app_id, ref.user_id)} {text}"
    assert culprit(f"{words}: Invalid value: {hostile!r}", APPS) == told
    assert culprit(f"{words} because it is being terminated {hostile}", APPS) == told
    assert culprit(f"{words}\n{hostile}", APPS) == told


@given(words=st.text(), apps=st.lists(REFS))
def test_only_an_app_of_the_shard_is_ever_found(words, apps):
    found = culprit(words, apps)
    assert found is None or found in apps


@given(
    apps=st.lists(REFS, unique=True, max_size=6),
    kind=st.sampled_from(["Deployment", "Service", "IngressRoute", "Middleware", "ConfigMap"]),
    index=st.integers(0, 5),
    hashed=st.from_regex(r"[a-z0-9]{10}", fullmatch=True),
)
def test_every_object_belongs_to_one_app(apps, kind, index, hashed):
    if not apps:
        return
    ref = apps[index % len(apps)]
    suffix = {"Middleware": "-strip", "ConfigMap": f"-code-{hashed}"}.get(kind, "")
    words = f"{kind}/{namespace_of(ref.user_id)}/{ref.app_id}{suffix} dry-run failed (Invalid): x"
    assert culprit(words, apps) == ref


HEX = st.from_regex(r"[0-9a-f]{40}", fullmatch=True)
ENTRIES = st.builds(Entries, st.none() | HEX, st.none() | HEX, st.none() | HEX, st.none() | HEX)
RECORDS = st.dictionaries(
    REFS, st.builds(Record, ENTRIES, st.none() | HEX, st.text().map(shown_words))
)


@given(records=RECORDS, salt=st.randoms())
def test_what_is_kept_is_read_again_and_its_bytes_depend_on_nothing_else(records, salt):
    data = write_quarantine(records)
    assert read_quarantine(data) == records
    shuffled = list(records.items())
    salt.shuffle(shuffled)
    assert write_quarantine(dict(shuffled)) == data
    assert (data is None) is (not records)
    assert data is None or data.isascii()


@given(st.binary() | st.text().map(str.encode))
def test_a_file_that_is_not_ours_keeps_nothing_and_breaks_nothing(data):
    assert read_quarantine(data) == {}


def test_ids_of_a_file_are_ids():
    data = write_quarantine({AppRef("../x", "y"): Record(Entries(), None, "")})
    assert read_quarantine(data) == {}
    assert not is_id("../x")
