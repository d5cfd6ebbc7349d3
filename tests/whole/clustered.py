"""Replicas of the platform as in a cluster, on this machine: `python -m api serve`, for real.

They keep accounts in a server that speaks MongoDB's protocol and commit to a remote over HTTP.
Only the cluster is a stand-in, in which nothing runs: nobody visits an app there.
"""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.observing.api_double import ApiDouble
from tests.observing.observed import kubeconfig
from tests.product import ROOT, Product, free_port
from tests.remote.git_server import GitServer, bare


@dataclass(frozen=True)
class Clustered:
    """Replicas, each with a clone of its own, and the host of their repository."""

    replicas: list[Product]
    git: GitServer


@asynccontextmanager
async def clustered(
    folder: Path, mongo_uri: str, *, replicas: int = 1, **settings: str
) -> AsyncIterator[Clustered]:
    """An empty installation that serves."""
    served = folder / "served"
    served.mkdir()
    bare(served, "apps.git")
    async with ApiDouble() as api, AsyncExitStack() as stack:
        api.bookmark_seconds = 1.0
        git = stack.enter_context(GitServer(served).running())
        shared = {
            "MODE": "cluster",
            "BASE_DOMAIN": "platform.example.org",
            "SECRET_KEY": secrets.token_hex(32),
            "MONGO_URI": mongo_uri,
            "KUBECONFIG": str(kubeconfig(folder, {"server": f"http://127.0.0.1:{api.port}"}, {})),
            "GIT_REMOTE": git.url("apps.git"),
            "ROUTER_URL": f"http://127.0.0.1:{free_port()}",
            # Each person has an address, as behind the router.
            "TRUSTED_PROXIES": "127.0.0.1,::1",
        }
        made = [Product(folder / f"data{n}", shared | settings) for n in range(replicas)]
        await asyncio.to_thread(_init_repo, made[0])
        for replica in made:
            await asyncio.to_thread(replica.start)
            stack.push_async_callback(asyncio.to_thread, replica.__exit__, None, None, None)
        yield Clustered(made, git)


def _init_repo(product: Product) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api", "init-repo"],
        cwd=ROOT,
        env=os.environ | product.environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
