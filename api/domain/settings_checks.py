"""Checks of the settings, beyond what is refused at every start."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from api.domain.diagnosis import Check, Part, Problem
from api.domain.installation import SettingsSeen
from api.settings import Settings

_part: Final = Part[SettingsSeen](lambda seen: seen.settings)
_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
)


def _in_cluster(settings: Settings) -> bool:
    return settings.mode == "cluster"


@_part.check(
    "settings.base-domain",
    "`BASE_DOMAIN` is a host name with a zone above it.",
    "The hosts of apps and editor are derived from it: apps live on `apps.` beside it.",
)
def base_domain(seen: SettingsSeen) -> Iterator[Problem]:
    """A plain host, one label below its zone."""
    domain = seen.values.base_domain
    if domain is None:
        return
    if not _HOST.fullmatch(domain):
        yield Problem(
            f"BASE_DOMAIN={domain!r} is no host name.",
            "Set it to the platform's host alone, in lower case, without https:// or a port: "
            "BASE_DOMAIN=platform.example.org",
        )
    elif urlsplit(seen.values.apps_origin).hostname == domain:
        yield Problem(
            f"BASE_DOMAIN={domain} is the host of the apps themselves.",
            "Give the platform another first label: BASE_DOMAIN=platform.example.org",
        )


@_part.check(
    "settings.hosts",
    "The platform's and the apps' hosts resolve where doctor runs.",
    "Without a record in DNS nobody reaches the editor, or any app.",
)
def hosts(seen: SettingsSeen) -> Iterator[Problem]:
    """Both derived hosts lead somewhere."""
    for host, words in seen.unresolved.items():
        yield Problem(
            f"{host} does not resolve: {words}",
            f"Add a DNS record of {host} (or a wildcard of its zone) for the router's address.",
        )


@_part.check(
    "settings.signing-key",
    "In a cluster every commit of the platform is signed.",
    "Flux applies what stands on flux/*: without signatures, whoever can push there decides.",
)
def signing_key(seen: SettingsSeen) -> Iterator[Problem]:
    """A key is named."""
    if _in_cluster(seen.values) and seen.values.git_signing_key_file is None:
        yield Problem(
            "GIT_SIGNING_KEY_FILE is not set.",
            "ssh-keygen -t ed25519 -N '' -C platform -f signing; set GIT_SIGNING_KEY_FILE, then "
            "python -m api init-repo --cluster NAME, which has Flux verify",
        )


@_part.check(
    "settings.files",
    "Every file that a setting names can be read, and is what it should be.",
    "The platform does not start, or cannot reach what the file opens.",
)
def files(seen: SettingsSeen) -> Iterator[Problem]:
    """Keys and tokens are there."""
    for name, words in seen.unreadable.items():
        yield Problem(f"{name}: {words}", f"Put the file there, or correct {name}.")


@_part.check(
    "settings.git-remote",
    "In a cluster the repository is on a host that Flux and people reach.",
    "A repository in the data folder is reached by this process alone, and lost with its volume.",
)
def git_remote(seen: SettingsSeen) -> Iterator[Problem]:
    """A remote is named."""
    if _in_cluster(seen.values) and seen.values.git_remote is None:
        yield Problem("GIT_REMOTE is not set.", "Set GIT_REMOTE to the https or ssh address.")


@_part.check(
    "settings.passwords-in-addresses",
    "No address of a repository holds a password.",
    "Addresses are written into logs and error messages; credentials belong in files.",
)
def passwords(seen: SettingsSeen) -> Iterator[Problem]:
    """User and password stand elsewhere."""
    for name in ("git_remote", "publish_url"):
        url: str | None = getattr(seen.values, name)
        if url and url.startswith(("http://", "https://")) and urlsplit(url).password:
            yield Problem(
                f"{name.upper()} holds a password.",
                "Take it out, and name a file with it in GIT_TOKEN_FILE.",
            )


@_part.check(
    "settings.receiver",
    "Flux is told at once which branch moved.",
    "Otherwise Flux looks every ten minutes only, and a deploy waits for so long.",
)
def receiver(seen: SettingsSeen) -> Iterator[Problem]:
    """The Receiver's token is named."""
    if _in_cluster(seen.values) and seen.values.flux_receiver_token_file is None:
        yield Problem(
            "FLUX_RECEIVER_TOKEN_FILE is not set.",
            "Mount the token of the Secret receiver-token and set FLUX_RECEIVER_TOKEN_FILE.",
        )


@_part.check(
    "settings.proxies",
    "In a cluster the router's addresses are trusted, and no others.",
    "Without them everybody seems to come from the router: one person's failed log-ins lock all "
    "others out.",
)
def proxies(seen: SettingsSeen) -> Iterator[Problem]:
    """The router's range is named, and it is not everybody's."""
    trusted = seen.values.trusted_proxies
    if _in_cluster(seen.values) and not trusted.strip():
        yield Problem("TRUSTED_PROXIES is empty.", "Set it to the network of the router's pods.")
    if any(part.strip() in ("*", "0.0.0.0/0", "::/0") for part in trusted.split(",")):
        yield Problem(
            "TRUSTED_PROXIES trusts everybody: anyone can claim any address.",
            "Set it to the network of the router's pods.",
        )


@_part.check(
    "settings.runner-image",
    "In a cluster `RUNNER_IMAGE` is set.",
    "The default is an image of a development build; what runs learners' code is yours to choose.",
)
def runner_image(seen: SettingsSeen) -> Iterator[Problem]:
    """It is not left at its default."""
    if _in_cluster(seen.values) and "RUNNER_IMAGE" not in seen.given:
        yield Problem(
            f"RUNNER_IMAGE is not set; the default is {seen.values.runner_image}.",
            "Set RUNNER_IMAGE to the release's image, by its tag ts-… or by digest.",
        )


CHECKS: Final[tuple[Check, ...]] = (
    *(base_domain, hosts, signing_key, files, git_remote, passwords, receiver, proxies),
    runner_image,
)
