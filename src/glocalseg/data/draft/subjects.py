"""Who is who: a rule that tells subjects from the names of volumes, guessed from the names, or a table beside the data.

Splits are by person. To take two people for one costs a little data; to take one person for two makes test scores too good.
So the guess goes for the larger groups where names allow both.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glocalseg.data.files.table import look_at_table

FEWEST = 3  # subjects that a rule must tell apart
SEPARATOR = r"[_.\- ]"
KNOWN = (
    (r"^(sub-[^_]+)", "'sub-' begins the names, as in BIDS"),
    (rf"^(.+?)(?:{SEPARATOR}?(?:ED|ES))?$", "names end in ED and ES, two phases of a heart"),
    (
        rf"^(.+?)(?:{SEPARATOR}(?:[LRlr]|[LRlr][Hh]|[Ll]eft|[Rr]ight|LEFT|RIGHT))?$",
        "names end in a side of the body",
    ),
    (rf"^(?:[LRlr]|[LRlr][Hh]|[Ll]eft|[Rr]ight|LEFT|RIGHT){SEPARATOR}(.+)$", "names begin with a side of the body"),
    (
        rf"^(.+?)(?:{SEPARATOR}(?i:t|tp|time|timepoint|ses|session|visit|v|scan|run|frame|phase|day|week|month|year|fu)[-_]?\d+)?$",
        "names end in a number of a scan or visit",
    ),
    (rf"^(.+?)(?:{SEPARATOR}(?i:baseline|bl|followup|follow-up|fu|pre|post))?$", "names end in a word for a visit"),
    (rf"^(.+?)(?:{SEPARATOR}(?:(?:19|20)\d{{6}}|(?:19|20)\d\d-\d\d-\d\d))?$", "names end in a date"),
    (
        rf"^(.+?)(?:{SEPARATOR}(?i:t1|t1w|t1c|t1ce|t1gd|t2|t2w|flair|dwi|adc|pd|swi|cine|lge))?$",
        "names end in a sequence",
    ),
)
ENDS = rf"^(.*?\d.*?)(?:{SEPARATOR}(?:\d{{1,3}}|[A-Za-z]))?$"
LETTER = r"^(.*\d)[a-z]$"
YEAR = r"(?:199\d|20[0-2]\d|203[0-5])"
DAY = rf"{YEAR}(?:0[1-9]|1[0-2])(?:\d\d)?"
MONTH = rf"{YEAR}{SEPARATOR}(?:0[1-9]|1[0-2])(?:{SEPARATOR}\d\d)?"  # or number 7 of a year
PLACE = (
    r"(?i:sites?|cent(?:er|re)|hospital|clinic|institut(?:e|ion)?|lab|scanner|vendor|machine|device|batch|group|grp|arm|cohort"
    rf"|fold|split|part|chunk|shard|train(?:ing)?|test(?:ing)?|val(?:id|idation)?|dev|set|dataset|task|year|month)"
    rf"(?:{SEPARATOR}?(?:\d+|[A-Za-z]))?"
)
WHEN_OR_WHERE = rf"(?:{YEAR}|{DAY}|{PLACE})"
NOBODY = re.compile(rf"{WHEN_OR_WHERE}(?:{SEPARATOR}{WHEN_OR_WHERE})*")
MAYBE = re.compile(rf"(?:{MONTH}|{WHEN_OR_WHERE})(?:{SEPARATOR}(?:{MONTH}|{WHEN_OR_WHERE}))*")


@dataclass(frozen=True)
class Subjects:
    """``rule`` as the card has it, subject by volume, and ``why``. ``told``: whether names or a table say anything of people."""

    rule: dict[str, Any]
    of: dict[str, str]
    why: str
    told: bool

    @property
    def count(self) -> int:
        return len(set(self.of.values()))

    def sizes(self) -> dict[int, int]:
        """How many subjects have so many volumes, by that number."""
        return dict(sorted(Counter(Counter(self.of.values()).values()).items()))


def guess_subjects(volumes: list[str], root: Path) -> Subjects:
    """The subjects of volumes by a table below the data's folder, or by their names."""
    for path in sorted(root.glob("*.tsv")):
        try:
            table = look_at_table(path)
        except (OSError, ValueError):
            continue
        rows = table.subjects
        stranger = not table.headed and rows and next(iter(rows)) not in volumes  # a heading that says something else
        if set(volumes) <= set(rows) and not stranger:
            of = {volume: rows[volume] for volume in volumes}
            return Subjects({"table": path.name}, of, f"{path.name} lists them all", told=True)
    for pattern, why in KNOWN:
        if (of := _groups(pattern, volumes)) and _merges(of) and _somebody(of):
            return Subjects({"pattern": pattern}, of, why, told=True)
    for pattern in (*_leading(volumes), ENDS, LETTER):
        if (of := _groups(pattern, volumes)) and _merges(of) and _like_people(of):
            one = Counter(of.values()).most_common(1)[0][0]
            why = f"names differ in their ends only, and those come again: {one!r} is taken for one person"
            return Subjects({"pattern": pattern}, of, why, told=True)
    themselves = {volume: volume for volume in volumes}  # one with a line end in its name, too, which no pattern finds
    return Subjects({"pattern": _plain(volumes)}, themselves, "each volume is taken for a subject of its own", told=False)


def _groups(pattern: str, volumes: list[str]) -> dict[str, str]:
    """Subject by volume; empty if a name does not match."""
    found = {volume: re.search(pattern, volume) for volume in volumes}
    if not all(match and match.group(1) for match in found.values()):
        return {}
    return {volume: match.group(1) for volume, match in found.items() if match}


def _merges(of: dict[str, str]) -> bool:
    return FEWEST <= len(set(of.values())) < len(of)


def _somebody(of: dict[str, str]) -> bool:
    """Whether groups are not called after years, places or lists, in which there are many people."""
    names = set(of.values())
    return sum(bool(NOBODY.fullmatch(name)) for name in names) * 2 < len(names) and not all(map(MAYBE.fullmatch, names))


def _like_people(of: dict[str, str]) -> bool:
    """Whether groups are more likely people than places or series: numbered names, more groups than volumes in one of them,
    and ends that come again from group to group."""
    sizes = Counter(of.values())
    ends = Counter(volume[len(subject) :] for volume, subject in of.items())
    several = [volume[len(subject) :] for volume, subject in of.items() if sizes[subject] > 1]
    return (
        _somebody(of)
        and all(re.search(r"\d", subject) for subject in sizes)
        and max(sizes.values()) <= len(sizes)
        and sum(ends[end] > 1 for end in several) * 2 >= len(several)
    )


def _leading(volumes: list[str]) -> list[str]:
    """Patterns of the first part of the names, the first two, ... where all have as many parts."""
    counts = {len(re.split(SEPARATOR, volume)) for volume in volumes}
    if len(counts) != 1:
        return []
    part = rf"[^_.\- ]+{SEPARATOR}"
    return [rf"^({part * n}[^_.\- ]+){SEPARATOR}" for n in range(counts.pop() - 1)]


def _plain(volumes: list[str]) -> str:
    """A pattern of which the whole name is the subject; it says what names look like where they are a word and a number."""
    words = {re.sub(r"\d+$", "", volume) for volume in volumes}
    if len(words) == 1 and all(re.search(r"\d$", volume) for volume in volumes):
        return rf"^({re.escape(words.pop())}\d+)$"
    return "^(.+)$"
