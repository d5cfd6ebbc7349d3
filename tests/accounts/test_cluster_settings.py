"""What an operator has to say before the platform runs on a cluster."""

import pytest
from pydantic import ValidationError

from api.opening import rendering_settings
from api.settings import Settings

CLUSTER = {
    "mode": "cluster",
    "secret_key": "k" * 32,
    "base_domain": "platform.example.org",
    "mongo_uri": "mongodb://mongo.example",
}


@pytest.mark.parametrize(
    "image",
    [
        "registry.example/runner:1.2",
        "registry.example:5000/runner:1",
        "registry.example/runner@sha256:" + "0" * 64,
        "registry.example/runner:latest@sha256:" + "0" * 64,
    ],
)
def test_an_image_by_tag_or_digest_is_taken(image):
    assert Settings(**CLUSTER, runner_image=image).runner_image == image


@pytest.mark.parametrize(
    "image", ["runner", "registry.example:5000/runner", "runner:latest", "runner:"]
)
def test_an_image_that_may_change_unseen_is_refused_in_a_cluster(image):
    with pytest.raises(ValidationError, match="RUNNER_IMAGE needs a digest"):
        Settings(**CLUSTER, runner_image=image)


@pytest.mark.parametrize("missing", ["secret_key", "base_domain", "mongo_uri"])
def test_key_domain_and_database_are_required_in_a_cluster(missing):
    with pytest.raises(ValidationError, match=f"{missing.upper()} is required"):
        Settings(**{key: value for key, value in CLUSTER.items() if key != missing})


@pytest.mark.parametrize("name", ["router_url", "flux_receiver_url"])
def test_addresses_are_those_of_http(name):
    with pytest.raises(ValidationError, match=f"{name.upper()} must begin with"):
        Settings(**{name: "traefik.traefik:80"})


def test_the_database_is_one_of_mongodb_and_its_address_is_never_shown():
    with pytest.raises(ValidationError, match="MONGO_URI must begin with") as refused:
        Settings(mongo_uri="postgresql://ada:tiny-secret@db.example")
    assert "tiny-secret" not in str(refused.value)
    assert "tiny-secret" not in repr(Settings(mongo_uri="mongodb://ada:tiny-secret@db.example"))


def test_in_a_cluster_routes_answer_on_the_apps_host_only():
    settings = rendering_settings(Settings(**CLUSTER))
    assert settings.apps_host == "apps.example.org"
    assert settings.trusted_proxies == "*"  # a network policy lets nobody but the router in
