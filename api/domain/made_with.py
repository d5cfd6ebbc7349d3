"""What an app's manifests were made with, as its `kustomization.yaml` says."""

import re
from dataclasses import dataclass
from typing import Final

from api.domain.manifests import RENDERER_VERSION, RenderSettings

#: As the template writes it: a file of a whole shard's apps is read in no time. No value can look
#: like it, for each stands quoted on a line of its own.
_ANNOTATION: Final = re.compile(
    rb'^    fastapi-platform/(renderer-version|runner-image|settings): "([!-~]{1,255})"$',
    re.MULTILINE,
)


@dataclass(frozen=True)
class MadeWith:
    """A renderer, the runner image and the digest of all other settings that it was given."""

    renderer: int
    runner_image: str
    settings: str | None  # None: made before manifests said it

    def differs_from(self, other: "MadeWith") -> str:
        """What has become of this one in the other, in words; "" when it is the same."""
        changes = []
        if self.renderer != other.renderer:
            changes.append(f"renderer {self.renderer} → {other.renderer}")
        if self.runner_image != other.runner_image:
            changes.append(f"runner image {self.runner_image} → {other.runner_image}")
        if self.settings != other.settings:
            changes.append("other settings" if self.settings else "with settings it does not name")
        return ", ".join(changes)


def today(settings: RenderSettings) -> MadeWith:
    """What this release makes manifests with."""
    return MadeWith(RENDERER_VERSION, settings.runner_image, settings.digest)


def made_with(kustomization: bytes) -> MadeWith | None:
    """What the file says; None when it does not say it as the platform would."""
    found = {name: value.decode() for name, value in _ANNOTATION.findall(kustomization)}
    version, image = found.get(b"renderer-version", ""), found.get(b"runner-image")
    if not version.isdecimal() or image is None:
        return None
    return MadeWith(int(version), image, found.get(b"settings"))
