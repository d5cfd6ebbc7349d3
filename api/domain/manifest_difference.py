"""Where an object of a cluster is not what it should be."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from api.domain.diagnosis import require
from api.domain.installation import ClusterSeen, Manifest

#: How an operator puts objects of the template right.
APPLY: Final = (
    "kubectl apply --server-side --force-conflicts -R -f <cluster> (of a checkout of flux/clusters)"
)


def objects(seen: ClusterSeen, kind: str) -> tuple[Manifest, ...]:
    """The cluster's objects of a kind; raises NotSeen."""
    return require(seen.objects.get(kind, ()))


def wanted(seen: ClusterSeen, kind: str) -> list[Manifest]:
    """Those of the template; raises NotSeen."""
    return [manifest for manifest in require(seen.wanted) if manifest.kind == kind]


def pairs(seen: ClusterSeen, kind: str) -> Iterator[tuple[Manifest, Manifest | None]]:
    """Every object of the template, and the cluster's; raises NotSeen."""
    there = {(m.namespace, m.name): m for m in objects(seen, kind)}
    for manifest in wanted(seen, kind):
        yield manifest, there.get((manifest.namespace, manifest.name))


def differences(should: Any, stands: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Paths at which `stands` lacks what `should` has, with both values.

    What `should` does not speak of may be anything: the API server fills in defaults.
    """
    if isinstance(should, Mapping):
        if not isinstance(stands, Mapping):
            yield path, should, stands
            return
        for key, value in should.items():
            yield from differences(value, stands.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(should, list):
        if not isinstance(stands, list) or len(stands) != len(should):
            yield path, should, stands
            return
        for number, (one, other) in enumerate(zip(should, stands, strict=True)):
            yield from differences(one, other, f"{path}[{number}]")
    elif _plain(should) != _plain(stands) and not (should is False and stands is None):
        yield path, should, stands


def _plain(value: Any) -> Any:
    """Readers of YAML disagree on how many line ends a folded text has: one is as good as two."""
    return _LINE_END.sub("\n", value) if isinstance(value, str) else value


def shown(value: Any) -> str:
    """A value within one line."""
    text = " ".join(str(value).split())
    return text if len(text) <= _MAX else f"{text[:_MAX]} …"


_MAX: Final = 80
_LINE_END: Final = re.compile(r"\s*\n\s*")
