"""When something was first seen here, for deadlines.

Git's dates say when a commit was made, by whatever clock: it may have been pushed an hour later,
and may lie in the future. A process that just started has not waited for anything yet.
"""

from collections import OrderedDict
from collections.abc import Hashable
from datetime import datetime
from typing import Final

_KEPT: Final = 10_000


class Sightings:
    """The moments of the last things that were seen; the oldest are forgotten."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._at: OrderedDict[Hashable, datetime] = OrderedDict()
        self._kept = kept

    def first(self, thing: Hashable, now: datetime) -> datetime:
        """When it was first seen, which is now if it never was."""
        if thing not in self._at:
            return self.again(thing, now)
        return self._at[thing]

    def again(self, thing: Hashable, now: datetime) -> datetime:
        """The same, but what was waited for until now does not count."""
        self._at[thing] = now
        self._at.move_to_end(thing)
        while len(self._at) > self._kept:
            self._at.popitem(last=False)
        return now
