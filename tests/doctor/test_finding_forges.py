"""Which forge holds a repository, by its address and by what answers there."""

import pytest

from api.clients.forge import Place, open_forge
from api.clients.forge_survey import survey
from api.clients.git_program import Credentials
from api.clients.github import Github
from api.domain.installation import ByHand, Unseen
from api.errors import ForgeUnavailable
from api.settings import Settings
from tests.product import free_port
from tests.remote.conftest import Remote, connect, remote, server

__all__ = ["connect", "remote", "server"]


@pytest.mark.parametrize(
    ("address", "web", "host"),
    [
        ("https://github.com/me/apps.git", "https://github.com", "github.com"),
        ("https://git.example.org:8443/me/apps", "https://git.example.org:8443", "git.example.org"),
        ("https://example.org/git/me/apps.git", "https://example.org/git", "example.org"),
        ("git@github.com:me/apps.git", "https://github.com", "github.com"),
        (
            "ssh://git@git.example.org:2222/me/apps.git",
            "https://git.example.org",
            "git.example.org",
        ),
        ("http://127.0.0.1:3000/me/apps.git", "http://127.0.0.1:3000", "127.0.0.1"),
    ],
)
def test_an_address_names_owner_repository_and_pages(address: str, web: str, host: str):
    assert Place.of(address) == Place(web, host, "me", "apps")


@pytest.mark.parametrize(
    "address",
    [
        *("/srv/git/apps.git", "file:///srv/git/me/apps.git", "https://git.example.org/apps.git"),
        *(
            "https://[git/me/apps.git",
            "https://",
            "",
            "git.example.org",
            "https://git.example.org/",
        ),
    ],
)
def test_an_address_without_owner_and_repository_is_of_no_forge(address: str):
    assert Place.of(address) is None


def test_the_pages_may_be_elsewhere_than_git():
    place = Place.of("ssh://git@10.0.0.1:2222/me/apps.git", "https://git.example.org/")
    assert place is not None
    assert place.web == "https://git.example.org"


async def no_token(url: str) -> str | None:
    return None


@pytest.mark.parametrize(
    ("address", "api"),
    [
        ("https://github.com/me/apps.git", "https://api.github.com"),
        ("git@github.com:me/apps.git", "https://api.github.com"),
        ("https://git.example.org/me/apps.git", "https://git.example.org/api/v3"),
    ],
)
async def test_github_is_known_by_its_address_without_being_asked(address: str, api: str):
    place = Place.of(address)
    assert place is not None
    async with open_forge(place, no_token, api) as forge:
        assert isinstance(forge, Github)
        assert forge.api.url == api


async def test_a_plain_git_server_is_for_people_to_look_at(remote: Remote):
    settings = Settings(git_remote=remote.server.url(f"me/{remote.path.name}"))
    seen = await survey(settings, Credentials(), None)
    assert isinstance(seen, ByHand)
    assert "protection/README.md" in seen.what


async def test_a_forge_that_is_away_is_told():
    port = free_port()
    settings = Settings(git_remote=f"http://127.0.0.1:{port}/me/apps.git")
    seen = await survey(settings, Credentials(), None)
    assert isinstance(seen, Unseen)
    assert f"127.0.0.1:{port}" in seen.why
    place = Place.of(settings.git_remote or "")
    assert place is not None
    with pytest.raises(ForgeUnavailable):
        async with open_forge(place, no_token):
            pass


async def test_a_token_does_not_travel_in_the_clear(monkeypatch: pytest.MonkeyPatch):
    place = Place.of("http://git.example.org/me/apps.git")
    assert place is not None
    asked: list[str | None] = []

    async def look(api: object) -> str:
        asked.append(getattr(api, "token", ""))
        return "1.26.0"

    async def token(url: str) -> str | None:
        return "secret"

    monkeypatch.setattr("api.clients.forge._gitea_version", look)
    async with open_forge(place, token) as forge:
        assert forge is not None
    assert asked == [None]
