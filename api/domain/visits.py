"""Requests to apps that no route leads to: whose address it is, and whether somebody is there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from api.domain.names import AppRef, is_id

_ADDRESS: Final = re.compile(rb"/user/([a-z0-9-]{1,40})/app/([a-z0-9-]{1,40})(?:/[^?]*)?")
#: Segments that a router or client may tidy away, so that another app is meant than is named.
_DOTS: Final = re.compile(rb"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)

#: Crawlers, link previews and monitors, by what they say of themselves: a word of its own that ends
#: in one of these, or a product. Programs of people (curl, python-httpx, node) are not among them.
_ROBOTS: Final = re.compile(
    r"(?:bot|crawler|spider|slurp|archiver|transcoder|preview|validator|scanner|checker)\b"
    r"|facebookexternalhit|facebookcatalog|meta-external|whatsapp|skypeuripreview|embedly|iframely"
    r"|google-(?:inspectiontool|read-aloud|safety|extended)|googleother|feedfetcher|mediapartners"
    r"|bingpreview|yandex|baidu|duckduckgo-favicons|qwantify|ia_archiver|heritrix|nutch|scrapy"
    r"|uptime|pingdom|statuscake|monitor|newrelicpinger|zgrab|masscan|nmap|censys|nuclei|wpscan"
    r"|snap url|vkshare|pinterest/|tumblr/|flipboard|mastodon/|misskey|lemmy|pleroma|matrix-media",
    re.IGNORECASE,
)
_PREFETCH: Final = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_AHEAD: Final = ("prefetch", "prerender", "preview")
#: The runner answers this one itself, and the platform and the waiting page ask with it.
PROBE: Final = "fastapi-platform-probe"


@dataclass(frozen=True)
class Visit:
    """A request as far as it matters here; names of headers are in lower case."""

    method: str
    headers: Mapping[str, str]

    @property
    def probes(self) -> bool:
        """Whether it only asks what answers here."""
        return PROBE in self.headers

    @property
    def wakes(self) -> bool:
        """Whether somebody wants an answer of the app: no robot, link preview or look ahead."""
        if self.probes or self.method == "HEAD":
            return False
        if _ROBOTS.search(self.headers.get("user-agent", "")):
            return False
        return not any(
            word in self.headers.get(name, "").lower() for name in _PREFETCH for word in _AHEAD
        )

    @property
    def wants_page(self) -> bool:
        """Whether a person looks at the answer; programs get JSON."""
        return "text/html" in self.headers.get("accept", "").lower()

    @property
    def upgrades(self) -> bool:
        """Whether it wants to become a WebSocket."""
        return "upgrade" in self.headers


def app_at(raw_path: bytes) -> AppRef | None:
    """The app that an address (percent-encoded, without the query) names; None for any other."""
    match = _ADDRESS.fullmatch(raw_path)
    if match is None or _DOTS.search(raw_path):
        return None
    user_id, app_id = (part.decode() for part in match.groups())
    return AppRef(user_id, app_id) if is_id(user_id) and is_id(app_id) else None
