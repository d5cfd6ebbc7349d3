"""What an app's manifests were made with, as its `kustomization.yaml` says."""

import re
from dataclasses import dataclass
from typing import Final

from api.domain.manifests import RENDERER_VERSION

#: As the template writes it: a file of a whole shard's apps is read in no time. No value can look
#: like it, for each stands quoted on a line of its own.
_ANNOTATION: Final = re.compile(
    rb'^    fastapi-platform/(renderer-version|runner-image): "([!-~]{1,255})"$', re.MULTILINE
)


@dataclass(frozen=True)
class MadeWith:
    """A renderer and the runner image that it was given."""

    renderer: int
    runner_image: str

    def differs_from(self, other: "MadeWith") -> str:
        """What has become of this one in the other, in words; "" when it is the same."""
        changes = []
        if self.renderer != other.renderer:
            changes.append(f"renderer {self.renderer} → {other.renderer}")
        if self.runner_image != other.runner_image:
            changes.append(f"runner image {self.runner_image} → {other.runner_image}")
        return ", ".join(changes)


def today(runner_image: str) -> MadeWith:
    """What this release makes manifests with."""
    return MadeWith(RENDERER_VERSION, runner_image)


def made_with(kustomization: bytes) -> MadeWith | None:
    """What the file says; None when it does not say it as the platform would."""
    found = {name: value.decode() for name, value in _ANNOTATION.findall(kustomization)}
    version, image = found.get(b"renderer-version", ""), found.get(b"runner-image")
    if not version.isdecimal() or image is None:
        return None
    return MadeWith(int(version), image)
