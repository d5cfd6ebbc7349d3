"""What `bench.cluster` prints."""

import math
import os
from collections.abc import Mapping

from bench.cluster_deploys import COLUMNS, PROGRAMS, Timing


def heading(text: str) -> None:
    """What the next table is about."""
    print(f"\n## {text}   (load {load()})", flush=True)


def stages(label: str, timings: list[Timing]) -> None:
    """Two rows of the first table."""
    for percent in (50, 95):
        values = [quantile([getattr(t, name) for t in timings], percent) for name in COLUMNS]
        cells = "".join(f"{value:11.2f}" for value in values)
        print(f"{label:<36} p{percent}{cells}   load {load()}", flush=True)


def stages_heading() -> None:
    """Above such rows."""
    heading("Seconds from the request until …")
    print(" " * 39 + "".join(f"{name:>11}" for name in COLUMNS))


def print_costs(costs: Mapping[str, Mapping[str, float]]) -> None:
    """The table of CPU seconds."""
    heading("CPU seconds for each deploy, what idles beside it included")
    names = [*PROGRAMS, "platform"]
    print(f"{'':<38}{'all':>8}" + "".join(f"{_short(name):>12}" for name in names))
    for label, spent in costs.items():
        cells = "".join(f"{spent[name]:12.2f}" for name in names)
        print(f"{label:<38}{sum(spent.values()):8.2f}{cells}")


def _short(name: str) -> str:
    return name.replace("-controller", "-ctl").replace("kube-ctl-manager", "manager")


def load() -> str:
    """The machine's load averages, without which no figure means anything."""
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def quantile(values: list[float], percent: float) -> float:
    """The percentile by linear interpolation; infinite where it lies among what never came."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    low, high = ordered[math.floor(position)], ordered[math.ceil(position)]
    return high if math.isinf(high) else low + (high - low) * (position % 1)
