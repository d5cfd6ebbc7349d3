"""python -m tests.cluster.plane: build, start, list and stop throwaway control planes by hand."""

import argparse
import sys

from tests.cluster.build import CannotBuild
from tests.cluster.plane import starting
from tests.cluster.plane.cluster import Cluster
from tests.cluster.plane.slot import SLOTS, PlaneFailed, Slot, held


def main() -> int:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.plane", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare", help="build what it is made of, where that is missing")
    commands.add_parser("start", help="start one that stays until it is stopped")
    commands.add_parser("list", help="those that are up")
    stop = commands.add_parser("stop", help="end one, or all")
    stop.add_argument("place", nargs="?", type=int, choices=range(SLOTS))
    arguments = parser.parse_args()
    try:
        if arguments.command == "prepare":
            starting.prepare()
        elif arguments.command == "start":
            describe(starting.start(lasting=True).cluster)
        elif arguments.command == "list":
            for cluster in starting.up():
                describe(cluster)
        else:
            return _stop(arguments.place)
    except (PlaneFailed, CannotBuild) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def describe(cluster: Cluster) -> None:
    """How to use a plane by hand."""
    folder = cluster.folder
    print(
        f"\nexport KUBECONFIG={cluster.kubeconfig}\n"
        f"  apps (Traefik)  {cluster.apps_url}   metrics {cluster.traefik_metrics_url}\n"
        f"  git             {cluster.git_url}/NAME.git   (git init --bare {folder}/git/NAME.git;"
        " git config http.receivepack true)\n"
        f"  Flux receiver   {cluster.receiver_url}\n"
        f"  runner image    {cluster.runner_image}\n"
        f"  logs            {folder}/logs\n"
        f"Stop it: python -m tests.cluster.plane stop {cluster.slot}",
        flush=True,
    )


def _stop(place: int | None) -> int:
    places = [number for number in range(SLOTS) if held(Slot(number))]
    left = [
        what
        for number in ([place] if place is not None else places)
        for what in starting.stop(number)
    ]
    for what in left:
        print(f"Left behind: {what}", file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    raise SystemExit(main())
