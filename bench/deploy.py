"""From the Deploy request to the first 200 with the new content, through the router.

Peer, in turn with each deploy: plain `uvicorn user_code:app` on the same file with the same Python,
from process start to its first 200. Limits: p50 ≤ 1.5 s, p95 ≤ 3 s, p50 ≤ 2.5 times the peer's p50;
of 20 apps deployed at once all go live. Exits with 1 when a limit is broken.
"""

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

from tests.product import ROOT, Person, Product, free_port

DEPLOYS = 20
POLL_SECONDS = 0.01
GIVE_UP_SECONDS = 120.0
RUNNER_PYTHON = ROOT / "runner/.venv/bin/python"


def says(word: str) -> str:
    """A small, honest app whose answer names its version."""
    return (
        "from fastapi import FastAPI\nfrom pydantic import BaseModel\n\napp = FastAPI()\n\n\n"
        "class Greeting(BaseModel):\n    word: str\n\n\n"
        '@app.get("/")\ndef greet() -> Greeting:\n'
        f'    return Greeting(word="{word}")\n'
    )


def seconds_until(url: str, word: str, since: float) -> float:
    """Seconds from `since` until `url` answers 200 with `word`."""
    with httpx2.Client(timeout=5, trust_env=False) as http:
        while time.perf_counter() - since < GIVE_UP_SECONDS:
            with contextlib.suppress(httpx2.TransportError):
                answer = http.get(url)
                if answer.status_code == httpx2.codes.OK and answer.json()["word"] == word:
                    return time.perf_counter() - since
            time.sleep(POLL_SECONDS)
    raise TimeoutError(f"{url} does not say {word!r} after {GIVE_UP_SECONDS:.0f} s")


def deploy(person: Person, app_id: str, url: str, word: str) -> float:
    """Seconds from sending the update until strangers get it."""
    since = time.perf_counter()
    person.ok("PUT", f"/api/apps/{app_id}", json={"files": {"user_code.py": says(word)}})
    return seconds_until(url, word, since)


def create(person: Person, word: str) -> float:
    """The same for a new app."""
    since = time.perf_counter()
    app = person.create(word, {"user_code.py": says(word)})
    return seconds_until(app["url"], word, since)


def start_plain_uvicorn(folder: Path, word: str) -> float:
    """Seconds from starting uvicorn until its first 200."""
    (folder / "user_code.py").write_text(says(word), encoding="utf-8")
    port = free_port()
    since = time.perf_counter()
    command = [str(RUNNER_PYTHON), "-m", "uvicorn", "user_code:app", "--port", str(port)]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            return seconds_until(f"http://127.0.0.1:{port}/", word, since)
        finally:
            process.terminate()


def row(label: str, value: float, unit: str = "s", limit: float | None = None) -> bool:
    """Print one line of the table; False when `value` is above the promised `limit`."""
    kept = limit is None or value <= limit
    verdict = "" if limit is None else f"limit {limit} {unit}: {'kept' if kept else 'BROKEN'}"
    print(f"{label:<44} {value:8.2f} {unit:<6} {verdict}".rstrip())
    return kept


def quantile(times: list[float], percent: int) -> float:
    """The percentile, of the values themselves."""
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1]


def main() -> int:
    """Measure and print; 1 when a limit is broken."""
    with tempfile.TemporaryDirectory(prefix="bench-deploy-") as folder:
        plain = Path(folder) / "plain"
        plain.mkdir()
        with Product(Path(folder) / "data") as product:
            person = product.sign_up()
            app = person.create("bench", {"user_code.py": says("first")})
            first = seconds_until(app["url"], "first", time.perf_counter())
            deploys, peer = [], []
            for number in range(DEPLOYS):
                peer.append(start_plain_uvicorn(plain, f"plain{number}"))
                deploys.append(deploy(person, app["app_id"], app["url"], f"word{number}"))
            person.live(app["app_id"])
            group = [product.sign_up() for _ in range(DEPLOYS)]
            since = time.perf_counter()
            with ThreadPoolExecutor(DEPLOYS) as pool:
                at_once = list(pool.map(create, group, [f"group{n}" for n in range(DEPLOYS)]))
            all_live = time.perf_counter() - since
    p50, p95 = quantile(deploys, 50), quantile(deploys, 95)
    plain50 = quantile(peer, 50)
    row("the very first app, after its commit", first)
    row("plain uvicorn, start to first 200, p50", plain50)
    kept = [
        row(f"{DEPLOYS} deploys in a row, p50", p50, limit=1.5),
        row(f"{DEPLOYS} deploys in a row, p95", p95, limit=3),
        row("ratio of the p50s", p50 / plain50, "times", limit=2.5),
    ]
    row(f"{DEPLOYS} deployed at once, p50", quantile(at_once, 50))
    row(f"{DEPLOYS} deployed at once, all {len(at_once)} live after", all_live)
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
