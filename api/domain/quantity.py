"""Kubernetes' resource quantities, as exact numbers.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from decimal import Decimal
from typing import Final

_QUANTITY: Final = re.compile(
    r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([munkMGTPE]|[KMGTPE]i|[eE][0-9]{1,2})?"
)
_SUFFIX: Final = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{name: Decimal(1000) ** power for power, name in enumerate("kMGTPE", start=1)},
    **{f"{name}i": Decimal(1024) ** power for power, name in enumerate("KMGTPE", start=1)},
}


def quantity(text: str) -> Decimal:
    """The number that `250m`, `128Mi` or `1e3` stands for; raise ValueError. Never negative."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a quantity such as 250m or 128Mi")
    number, suffix = match[1], match[2] or ""
    if suffix[1:].isdigit():
        return Decimal(number) * Decimal(10) ** int(suffix[1:])
    return Decimal(number) * _SUFFIX[suffix]
