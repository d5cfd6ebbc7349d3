"""The page that stands at an app's address while the app does not answer.

It is on the apps' origin, beside learners' pages: it knows no token and sends no cookie, and nobody
but its own script, named by its hash, may run in it.
"""

import base64
import hashlib
import html
from dataclasses import dataclass
from typing import Final

from api.waker import State, Told


@dataclass(frozen=True)
class Words:
    """What a visitor reads."""

    title: str
    message: str
    hint: str


_WORDS: Final[dict[State, Words]] = {
    "unknown": Words(
        "There is no app here",
        "This address belongs to no app.",
        "Check the address, or ask whoever gave it to you.",
    ),
    "deleted": Words(
        "This app is gone",
        "Its owner deleted it, or it was removed long ago.",
        "Its owner can bring it back with its history.",
    ),
    "suspended": Words(
        "This app is suspended",
        "An administrator stopped it.",
        "Its owner sees the reason in the editor.",
    ),
    "asleep": Words(
        "This app is asleep",
        "Nobody used it for a while, so it was stopped.",
        "It wakes up when a person or a program sends it a request.",
    ),
    "waking": Words(
        "This app is waking up",
        "Nobody used it for a while; it starts now.",
        "Send the request again in a moment.",
    ),
    "failed": Words(
        "This app cannot start",
        "Its newest version does not start.",
        "Its owner sees the reason in the editor.",
    ),
    "busy": Words(
        "Too many wake-ups",
        "This app, or others from your address, were woken too often.",
        "Wait a little and try again.",
    ),
}
_STAGES: Final = {
    "validated": "Its wake-up is being saved.",
    "committed": "Its wake-up is being published.",
    "fetched": "The cluster hears of it.",
    "applied": "It is being set up.",
    "starting": "It is starting.",
    "live": "It is ready; its address follows.",
}
AWAY: Final = Words(
    "This app cannot be reached now",
    "A part of the platform is away.",
    "Nothing is lost. Try again in a moment.",
)

_STYLE: Final = """\
:root{color-scheme:light dark;--ground:light-dark(#f5f7f6,#0d1211);--card:light-dark(#fff,#141a19);
--ink:light-dark(#14201d,#e4ecea);--soft:light-dark(#53635e,#98a8a4);
--line:light-dark(#dde4e1,#26302e);--mark:light-dark(#0b6f65,#38bfab)}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;
background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
main{width:100%;max-width:30rem;padding:2rem;background:var(--card);
border:1px solid var(--line);border-radius:.75rem}
h1{margin:0 0 .75rem;font-size:1.375rem;line-height:1.25}
p{margin:.5rem 0;overflow-wrap:anywhere}
.soft{color:var(--soft);font-size:.9375rem}
progress{width:100%;height:.5rem;margin:1rem 0 .25rem;accent-color:var(--mark)}
code{font-family:ui-monospace,monospace}
"""
#: Asks with the header that the runner answers itself, so that no route of the app is called.
_SCRIPT: Final = """\
"use strict";
const bar = document.querySelector("progress");
const words = document.getElementById("words");
const title = document.querySelector("h1");
async function look() {
  try {
    const answer = await fetch(location.href, {
      headers: { Accept: "application/json", "fastapi-platform-probe": "1" },
      cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(5000),
    });
    if (answer.headers.has("fastapi-platform-intent")) return location.reload();
    if (answer.headers.has("fastapi-platform-app")) {
      const { message, details } = (await answer.json()).error;
      if (details.state === "asleep") return again(); // asked of a replica that has not heard
      if (words.textContent !== message) words.textContent = message;
      if (details.progress !== null) bar.value = details.progress;
      if (details.title !== title.textContent) title.textContent = document.title = details.title;
      if (details.state !== "waking") { bar.remove(); return; }
    }
  } catch { /* away for a moment: asked again */ }
  again();
}
function again() { setTimeout(look, 700); }
again();
"""
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
{refresh}</head>
<body>
<main>
<h1>{title}</h1>
{progress}<p id="words" role="status" aria-live="polite">{message}</p>
<p class="soft">{hint}</p>
<p class="soft">App <code>{app_id}</code></p>
</main>
{script}</body>
</html>
"""
_REFRESH: Final = '<noscript><meta http-equiv="refresh" content="3"></noscript>\n'
_OPENS: Final = "The page opens by itself as soon as the app answers."


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


#: On every answer of the platform's own at an app's address.
HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'sha256-{_hash(_SCRIPT)}'; "
        f"style-src 'sha256-{_hash(_STYLE)}'; img-src data:; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    # Tells the platform's own answers from the app's.
    "fastapi-platform-app": "waiting",
}


def words_for(told: Told) -> Words:
    """What a visitor reads about it."""
    words = _WORDS[told.state]
    if told.state == "waking" and told.stage in _STAGES:
        return Words(words.title, _STAGES[told.stage], words.hint)
    return words


def page(told: Told | None, app_id: str, *, refreshes: bool) -> str:
    """The page; `refreshes`: it may ask again by itself, for its request was no change."""
    words = words_for(told) if told else AWAY
    waits = refreshes and told is not None and told.state == "waking"
    bar = f'<progress max="100" value="{(told and told.progress) or 0}" aria-label="Progress">'
    return _PAGE.format(
        title=html.escape(words.title),
        message=html.escape(words.message),
        hint=html.escape(_OPENS if waits else words.hint),
        app_id=html.escape(app_id),
        style=_STYLE,
        refresh=_REFRESH if waits else "",
        progress=f"{bar}</progress>\n" if waits else "",
        script=f"<script>{_SCRIPT}</script>\n" if waits else "",
    )
