"""Variables of an app's environment: which names and values may be set, plain or secret."""

import re
from collections.abc import Mapping
from typing import Final

from api.domain.safe_text import unsafe_character

MAX_VARIABLES: Final = 50
MAX_VALUE: Final = 4096
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
#: Variables that would steer the runner, the interpreter or the loader.
_RESERVED: Final = re.compile(r"(?:PYTHON|LD_|FASTAPI_PLATFORM_|UVICORN_|DYLD_).*|PATH|HOME|TMPDIR")


def name_fault(name: str) -> str | None:
    """Why no variable may have this name; None when one may."""
    if not _NAME.fullmatch(name):
        return f"{name[:40]!r}: a variable's name has letters, digits and _ only"
    if _RESERVED.fullmatch(name.upper()):
        return f"{name}: this name is reserved for the platform"
    return None


def value_fault(value: str) -> str | None:
    """Why this cannot be a variable's value, without the value itself; None when it can."""
    if len(value) > MAX_VALUE:
        return f"a value has at most {MAX_VALUE} characters"
    if (at := unsafe_character(value)) is not None:
        return f"character {at + 1} (U+{ord(value[at]):04X}) cannot be kept"
    return None


def check_variables(variables: dict[str, str]) -> dict[str, str]:
    """Plain variables as they are; raises ValueError naming the first one that is wrong."""
    for name, value in variables.items():
        if fault := name_fault(name):
            raise ValueError(fault)
        if fault := value_fault(value):
            raise ValueError(f"{name}: {fault}")
    return variables


def secret_fault(secrets: Mapping[str, str | None], others: int) -> str | None:
    """Why these cannot be set (None: removed) beside `others` that stay; never with a value."""
    for name, value in secrets.items():
        if fault := name_fault(name):
            return fault
        if value is not None and (fault := value_fault(value)):
            return f"{name}: {fault}"
    if others + sum(value is not None for value in secrets.values()) > MAX_VARIABLES:
        return f"an app has at most {MAX_VARIABLES} secrets"
    return None
