"""A fair share of what is costly."""

import pytest

from api.errors import TooManyRequests
from api.turns import Turns


def test_so_many_at_a_time_for_each_person_and_one_more_after_an_end():
    turns = Turns(2, "checks are under way", "Wait.")
    with turns.turn("ada"), turns.turn("ada"):
        with pytest.raises(TooManyRequests) as refused, turns.turn("ada"):
            pass
        assert refused.value.details == {"retry_after": 1}
        assert refused.value.message == "2 checks are under way for you already."
        assert refused.value.hint == "Wait."
        with turns.turn("bob"):
            pass
    with turns.turn("ada"):
        pass


def test_a_turn_ends_also_with_an_error():
    turns = Turns(1, "checks are under way", "Wait.")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), turns.turn("ada"):
            raise ZeroDivisionError
