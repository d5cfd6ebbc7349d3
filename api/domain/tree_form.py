"""Whether a tree object is one that git would write: what is not, programs read in different ways.

Of a name that stands twice, one program takes the first and another the last; of names in no order,
a search finds some and not others. So the check could look at one file, and Flux apply another.
"""

import re
from typing import Final

#: Mode, name, object id; the modes of git, and the one that git wrote in its first year.
_ENTRY: Final = re.compile(
    rb"(40000|100644|100755|100664|120000|160000) ([^\0]+)\0.{20}", re.DOTALL
)
_FOLDER: Final = b"40000"


def is_well_formed(raw: bytes) -> bool:
    """Whether these are the bytes of a tree with every name once, in git's order and modes."""
    end, before = 0, b""
    names: set[bytes] = set()
    for entry in _ENTRY.finditer(raw):
        name = entry[2] + b"/" if entry[1] == _FOLDER else entry[2]
        if entry.start() != end or name <= before or entry[2] in names:
            return False
        end, before = entry.end(), name
        names.add(entry[2])
    return end == len(raw)


def holds(raw: bytes, name: bytes) -> bool:
    """Whether a name stands in a tree, wherever."""
    if b" %s\0" % name not in raw:
        return False
    return any(entry[2] == name for entry in _ENTRY.finditer(raw))


def stands_once(raw: bytes, name: bytes) -> bool:
    """Whether a name stands in a tree no more than once; quick, however large the tree."""
    if raw.count(b" %s\0" % name) <= 1:  # ids of objects may look like it
        return True
    return [entry[2] for entry in _ENTRY.finditer(raw)].count(name) <= 1
