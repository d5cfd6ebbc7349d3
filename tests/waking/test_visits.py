"""Whose address it is, and whether somebody is there who waits for the app."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.clients.app_requests import passed_on
from api.domain.names import AppRef, is_id
from api.domain.visits import Visit, app_at
from api.routes.waiting_page import HEADERS, page
from api.waker import Told

PEOPLE = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Mobile",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:130.0) Gecko/20100101 Firefox/130.0",
    "curl/8.5.0",
    "python-httpx/0.28.1",
    "python-requests/2.32.3",
    "node",
    "Go-http-client/2.0",
    "PostmanRuntime/7.43.0",
    "",
]
ROBOTS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "WhatsApp/2.23.20.0 A",
    "Twitterbot/1.0",
    "TelegramBot (like TwitterBot)",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
    "Mozilla/5.0 (Macintosh) SkypeUriPreview Preview/0.5",
    "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)",
    "ia_archiver (+http://www.alexa.com/site/help/webmasters)",
    "Iframely/1.3.1 (+https://iframely.com/docs/about)",
]


@pytest.mark.parametrize("agent", PEOPLE)
def test_browsers_and_programs_wake(agent):
    assert Visit("GET", {"user-agent": agent}).wakes
    assert Visit("POST", {"user-agent": agent}).wakes
    assert Visit("OPTIONS", {"user-agent": agent}).wakes  # a browser asks so before it posts


@pytest.mark.parametrize("agent", ROBOTS)
def test_robots_and_link_previews_do_not(agent):
    assert not Visit("GET", {"user-agent": agent}).wakes


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-purpose": "prefetch;prerender"},
        {"purpose": "prefetch"},
        {"x-moz": "prefetch"},
        {"fastapi-platform-probe": "1"},
    ],
)
def test_who_only_looks_ahead_does_not(headers):
    assert not Visit("GET", {"user-agent": PEOPLE[0], **headers}).wakes


def test_head_does_not_wake():
    assert not Visit("HEAD", {"user-agent": "curl/8"}).wakes


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (b"/user/u1/app/shop", AppRef("u1", "shop")),
        (b"/user/u1/app/shop/", AppRef("u1", "shop")),
        (b"/user/u1/app/shop/a/..b/%2e%2ec", AppRef("u1", "shop")),
        (b"/user/u1/app/shop/caf%C3%A9//x", AppRef("u1", "shop")),
        (b"/user/u1/app/shop/../other/", None),
        (b"/user/u1/app/shop/%2e%2E/other", None),
        (b"/user/u1/app/shop/.", None),
        (b"/user/u1/app/", None),
        (b"/user/u1/app/-shop/", None),
        (b"/user/u1/app/shop-/", None),
        (b"/user/U1/app/shop/", None),
        (b"/user/u1/app/shop%2fx", None),
        (b"/user/u1/app/" + b"s" * 41, None),
        (b"/user/u1/app/shop\n", None),
        (b"/user/u1/apps/shop", None),
        (b"//user/u1/app/shop", None),
        (b"/", None),
        (b"", None),
    ],
)
def test_an_address_names_one_app_or_none(path, found):
    assert app_at(path) == found


@given(st.binary(max_size=80))
def test_no_bytes_after_an_address_name_another_app(rest):
    found = app_at(b"/user/u1/app/shop/" + rest)
    assert found in (None, AppRef("u1", "shop"))
    other = app_at(b"/user/" + rest)
    assert other is None or (is_id(other.user_id) and is_id(other.app_id))


def test_headers_of_one_connection_are_not_passed_on():
    headers = [
        (b"host", b"apps.example.org"),
        (b"Connection", b"keep-alive, X-Mine"),
        (b"x-mine", b"1"),
        (b"transfer-encoding", b"chunked"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
    ]
    assert passed_on(headers) == [headers[0], headers[4], headers[5]]


def test_the_page_is_held_by_its_policy_and_says_what_goes_on():
    told = Told("waking", 60, "applied", 2)
    text = page(told, "<script>alert(1)</script>", refreshes=True)
    assert "<script>alert" not in text
    assert 'value="60"' in text
    assert 'aria-live="polite"' in text
    assert text.count("<script>") == text.count("<style>") == 1
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    still = page(told, "shop", refreshes=False)
    assert "<script" not in still
    assert "refresh" not in still
    assert "<script" not in page(Told("deleted"), "shop", refreshes=True)
