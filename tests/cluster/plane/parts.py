"""What a plane is made of: built before it starts, and handed to the processes that start it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.cluster import build
from tests.cluster.plane import images


@dataclass(frozen=True)
class Parts:
    """Programs by name, and archives of images."""

    programs: dict[str, Path]
    images: list[Path]

    @classmethod
    def made(cls) -> Self:
        """All of them, built where they are missing: half an hour the first time.

        Raises build.CannotBuild, or PlaneFailed.
        """
        return cls(build.programs(), [images.pause_image(), images.packed(images.RUNNER)])

    def to_argument(self) -> str:
        """All paths as one argument of a command line."""
        return json.dumps([self.programs, self.images], default=str)

    @classmethod
    def from_argument(cls, argument: str) -> Self:
        """The opposite of `to_argument`."""
        programs, archives = json.loads(argument)
        return cls(
            {name: Path(path) for name, path in programs.items()},
            [Path(path) for path in archives],
        )
