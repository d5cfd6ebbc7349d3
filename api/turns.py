"""A fair share: so many of one kind of work at a time for each person, and no queue behind it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from api.errors import TooManyRequests


class Turns:
    """Counts what is under way, by person; `what` and `hint` are for whoever has enough of it."""

    def __init__(self, most: int, what: str, hint: str) -> None:
        self._most = most
        self._what = what
        self._hint = hint
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def turn(self, user_id: str) -> Iterator[None]:
        """Work while the context lasts; raises TooManyRequests when all turns are taken."""
        if self._under_way[user_id] >= self._most:
            raise TooManyRequests(
                f"{self._most} {self._what} for you already.",
                hint=self._hint,
                details={"retry_after": 1},
            )
        self._under_way[user_id] += 1
        try:
            yield
        finally:
            self._under_way[user_id] -= 1
            if not self._under_way[user_id]:
                del self._under_way[user_id]
