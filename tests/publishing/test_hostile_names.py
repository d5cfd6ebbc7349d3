"""No name carries a character that steers a terminal, a line or the direction of text."""

import sys
import unicodedata

import pytest

from api.domain.drafts import app_file
from api.domain.names import is_id
from api.domain.repo_layout import is_plain_path
from api.domain.safe_text import plain_line
from api.errors import InvalidRequest

_BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
#: Every control character, every line end and every one with Unicode's property Bidi_Control.
STEERING = [
    character
    for character in map(chr, range(sys.maxunicode + 1))
    if unicodedata.category(character) in {"Cc", "Zl", "Zp"}
    or unicodedata.bidirectional(character) in _BIDI
    or character in "\u061c\u200e\u200f"
]
VALUES = {"id": "a1", "user": "ubob", "name": "Shop"}


def test_the_list_is_not_empty_by_mistake():
    assert len(STEERING) == 65 + 2 + 12


@pytest.mark.parametrize("place", ["a{}b", "{}ab", "ab{}"])
def test_every_steering_character_is_refused_in_every_name(place):
    app_file(VALUES | {"name": place.format("é")})
    for character in STEERING:
        name = place.format(character)
        with pytest.raises(InvalidRequest, match="name: may not"):
            app_file(VALUES | {"name": name})
        with pytest.raises(InvalidRequest, match="entrypoint"):
            app_file(VALUES | {"entrypoint": f"{name}.py"})
        with pytest.raises(InvalidRequest, match="env"):
            app_file(VALUES | {"env": {name: "1"}})
        assert not is_plain_path(f"{name}.py"), ascii(name)
        assert not is_id(name), ascii(name)


def test_every_steering_character_is_replaced_where_other_hands_wrote_it():
    for character in STEERING:
        assert plain_line(f"a{character}b") == "a\N{REPLACEMENT CHARACTER}b", ascii(character)
