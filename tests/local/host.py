"""A process that hosts an embedded cluster, to be killed: `host.py DATA_DIR APPS_PORT PYTHON`."""

import asyncio
import sys
from pathlib import Path

from api.clients.gitops_repo import GitopsRepo
from api.clients.kustomize import Kustomize
from api.local.cluster import LocalCluster
from api.settings import Settings


async def main() -> None:
    """Follow the repository until killed."""
    data_dir = Path(sys.argv[1])
    settings = Settings(
        data_dir=data_dir, apps_port=int(sys.argv[2]), runner_python=Path(sys.argv[3])
    )
    cluster = LocalCluster(settings, GitopsRepo(data_dir / "repo.git"), Kustomize())
    await cluster.start()
    await asyncio.Event().wait()


asyncio.run(main())
