"""Tables of volumes and subjects."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glocalseg.data.files.names import stem_of

VOLUME, SUBJECT = "volume", "subject"
SHOWN = 6  # cells of a row in a message


@dataclass(frozen=True)
class Table:
    """Subjects by volume; ``headed``: whether headings say which column is which."""

    subjects: dict[str, str]
    headed: bool


def read_table(path: Path) -> dict[str, str]:
    """Subjects by volume of a table (``look_at_table``). Raises OSError, ValueError."""
    return look_at_table(path).subjects


def look_at_table(path: Path) -> Table:
    """A table with tabs, in UTF-8; lines with # are left out, file endings of volumes too.

    A first row with the headings volume and subject, in any letter case, says which columns count. Two columns need none: the
    first is the volume then.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such table; says what was found.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline=""), delimiter="\t")]
    except UnicodeDecodeError as error:
        raise ValueError(f"text that is not UTF-8 (byte {error.start})") from None
    except csv.Error as error:
        raise ValueError(str(error)) from None
    rows = [row for row in rows if any(row) and not row[0].startswith("#")]
    first, second, headed = _columns(rows)
    table: dict[str, str] = {}
    for row in rows[1:] if headed else rows:
        if len(row) < 2:
            commas = " (commas, where tabs are needed)" if "," in row[0] or ";" in row[0] else ""
            raise ValueError(f"the row {row[0]!r}{commas}")
        if max(first, second) >= len(row) or not row[first] or not row[second]:
            raise ValueError(f"the row {row[:SHOWN]}, a cell of which is empty")
        volume = stem_of(name := unicodedata.normalize("NFC", row[first])) or name
        if volume in table:
            raise ValueError(f"volume {volume!r} on two rows")
        table[volume] = unicodedata.normalize("NFC", row[second])
    return Table(table, headed)


def _columns(rows: Sequence[Sequence[str]]) -> tuple[int, int, bool]:
    """Which column is the volume, which one the subject, and whether the first row says so. Raises ValueError."""
    if not rows:
        return 0, 1, False
    heading = [cell.casefold() for cell in rows[0]]
    widest = max(rows, key=_width)
    width = _width(widest)
    volumes, subjects = heading.count(VOLUME), heading.count(SUBJECT)
    if volumes == subjects == 1:
        return heading.index(VOLUME), heading.index(SUBJECT), True
    if subjects == 1 and len(heading) == width == 2:
        return 1 - heading.index(SUBJECT), heading.index(SUBJECT), True
    if volumes or subjects or _like_headings(rows):  # what the other column is, such as an age, must be said
        raise ValueError(f"the headings {_some(rows[0])}, where volume and subject are needed")
    if width > 2:
        raise ValueError(f"{width} columns without the headings volume and subject, such as {_some(widest)}")
    return 0, 1, False


def _like_headings(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first of several rows begins with a word, where all others begin with a name that has a number."""
    numbered = [any(c.isdecimal() for c in row[0]) for row in rows]
    return len(rows) > 2 and len(rows[0]) > 1 and not numbered[0] and all(numbered[1:])


def _some(row: Sequence[str]) -> str:
    return ", ".join(map(repr, row[:SHOWN])) + (", ..." if len(row) > SHOWN else "")


def _width(row: Sequence[str]) -> int:
    """How many cells a row has, empty ones at its end left out."""
    return max((n for n, cell in enumerate(row, 1) if cell), default=0)
