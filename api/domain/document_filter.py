"""Whether a filter may be sent to a person's database: it compares values, and runs nothing.

Listed is what may stand in it, so that an operator which a newer server brings is refused at first.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from api.errors import InvalidRequest

MAX_FILTER_BYTES: Final = 8 * 1024
MAX_FILTER_DEPTH: Final = 12
_OPERATORS: Final = frozenset(
    [
        *("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin"),
        *("$and", "$or", "$nor", "$not", "$exists", "$type", "$mod", "$regex", "$options"),
        *("$all", "$elemMatch", "$size"),
    ]
)
#: Values that JSON has no words for: https://www.mongodb.com/docs/manual/reference/mongodb-extended-json/
_VALUES: Final = frozenset(
    [
        *("$oid", "$date", "$uuid", "$binary", "$timestamp"),
        *("$numberInt", "$numberLong", "$numberDouble", "$numberDecimal", "$minKey", "$maxKey"),
    ]
)
_HINT: Final = 'It looks like {"done": false} or {"_id": {"$oid": "65f0…"}}.'


def checked_filter(text: str) -> str:
    """The filter as JSON that means what was checked; an empty one finds everything.

    Raises InvalidRequest for what is no object, too large or too deep, and for every name with `$`
    but comparisons and the values of extended JSON.
    """
    if len(text.encode("utf-8", "replace")) > MAX_FILTER_BYTES:
        raise _refused(f"is larger than {MAX_FILTER_BYTES // 1024} KiB")
    try:
        content = json.loads(text) if text.strip() else {}
    except json.JSONDecodeError as error:
        raise _refused(f"is not JSON at line {error.lineno}, column {error.colno}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, or nested as deep
        raise _refused("is not JSON that can be read") from None
    if not isinstance(content, dict):
        raise _refused("is not an object")
    for depth, name in _names(content):
        if depth > MAX_FILTER_DEPTH:
            raise _refused(f"is nested more than {MAX_FILTER_DEPTH} deep")
        if name.startswith("$") and name not in _OPERATORS | _VALUES:
            allowed = ", ".join(sorted(_OPERATORS))
            raise InvalidRequest(
                f"The filter may not hold {name[:40]!r}.",
                code="filter_refused",
                hint=f"What compares values is allowed: {allowed}.",
            )
    return json.dumps(content)


def _names(content: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Every name with its depth, without recursion; lists count as a level."""
    left: list[tuple[int, Any]] = [(1, content)]
    while left:
        depth, value = left.pop()
        if isinstance(value, dict):
            yield from ((depth, name) for name in value)
            left += [(depth + 1, each) for each in value.values()]
        elif isinstance(value, list):
            yield depth, ""
            left += [(depth + 1, each) for each in value]


def _refused(why: str) -> InvalidRequest:
    return InvalidRequest(f"The filter {why}.", code="filter_refused", hint=_HINT)
