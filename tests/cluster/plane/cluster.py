"""A cluster as tests and people use it: a throwaway plane of this machine, or one that is given."""

import json
import os
import subprocess
import sysconfig
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import psutil

from tests.cluster.plane.slot import PlaneFailed

RECORD: Final = "plane.json"
KUBECTL: Final = Path(sysconfig.get_path("scripts")) / "kubectl"
_KUBECTL_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Cluster:
    """How to reach everything in it."""

    kubeconfig: Path
    apps_url: str  # Traefik's entry point `web`
    receiver_url: str  # notification-controller's webhooks
    runner_image: str
    secure_url: str | None = None  # Traefik's entry point `websecure`
    traefik_metrics_url: str | None = None
    git_url: str | None = None  # serves the bare repositories in `folder/git`, to push and fetch
    node_address: str | None = None  # the only node's, which Traefik's requests come from
    folder: Path | None = None  # of a throwaway plane
    slot: int | None = None

    @classmethod
    def recorded(cls, folder: Path) -> Self:
        """The plane in that folder; raises PlaneFailed when there is none that is up."""
        try:
            content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise PlaneFailed(f"No control plane is up in {folder}.") from None
        kubeconfig, folder = Path(content.pop("kubeconfig")), Path(content.pop("folder"))
        return cls(kubeconfig=kubeconfig, folder=folder, **content)

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """What kubectl prints, as the administrator; raises PlaneFailed with its words."""
        try:
            done = subprocess.run(
                [KUBECTL, *arguments],
                env=os.environ | {"KUBECONFIG": str(self.kubeconfig)},
                input=given,
                stdin=subprocess.DEVNULL if given is None else None,
                capture_output=True,
                text=True,
                check=False,
                timeout=_KUBECTL_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise PlaneFailed(f"kubectl {' '.join(arguments)}: no answer in time.") from None
        if done.returncode:
            raise PlaneFailed(f"kubectl {' '.join(arguments)}:\n{done.stderr.strip()}")
        return done.stdout

    def apply(self, manifests: str) -> str:
        """Apply YAML text, server-side."""
        return self.kubectl("apply", "--server-side", "-f", "-", given=manifests)

    def process(self, name: str) -> psutil.Process:
        """The process of a throwaway plane's program, to stop, kill, or count its seconds.

        A program that was killed is started again after a second.
        """
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess):  # it ended meanwhile
                if process.name() == name and process.cwd() == str(self.folder):
                    return process
        raise PlaneFailed(f"{name} does not run in {self.folder}.")

    def log(self, name: str) -> str:
        """What a throwaway plane's program has printed."""
        if self.folder is None:
            raise PlaneFailed("Only a throwaway plane has logs in files.")
        return (self.folder / "logs" / f"{name}.log").read_text(encoding="utf-8", errors="replace")
