"""What `git push --porcelain` prints, understood: the fate of every branch."""

import re
from typing import Final, Literal

#: moved: it stands where it should · stale: somebody else was faster · refused: the other side
#: does not want it · dropped: another branch of the push was the reason, or it is not known.
Fate = Literal["moved", "stale", "refused", "dropped"]

_PORCELAIN: Final = re.compile(
    r"(?P<flag>[ +\-*!=])\t[^:\t]*:refs/heads/(?P<branch>[^\t]+)\t(?P<summary>.*)"
)
_REASON: Final = re.compile(
    r"\[(?P<who>remote rejected|rejected|remote failure)\](?: \((?P<why>.*)\))?"
)
#: Reasons that say that somebody else was faster, in the words of git and of other servers.
_STALE: Final = re.compile(
    r"fetch first|non-fast-forward|stale info|cannot lock ref|incorrect old value"
    r"|failed to update ref|reference already exists|is at [0-9a-f]+ but expected"
)


def read_porcelain(output: str) -> dict[str, Fate]:
    """The fate of every branch of which `git push --porcelain` knows it."""
    fates: dict[str, Fate] = {}
    for line in output.splitlines():
        match = _PORCELAIN.fullmatch(line)
        if match and match["flag"] != "!":
            fates[match["branch"]] = "moved"
        elif match and (fate := _fate(match["summary"])):
            fates[match["branch"]] = fate
    return fates


def _fate(summary: str) -> Fate | None:
    match = _REASON.search(summary)
    who, why = (match["who"], match["why"] or "") if match else ("", summary)
    if who == "remote failure":  # it did not say: nobody knows
        return None
    if "atomic" in why:
        return "dropped"
    return "stale" if who == "rejected" or _STALE.search(why) else "refused"
