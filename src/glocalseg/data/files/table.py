"""Tables of volumes and subjects."""

from __future__ import annotations

import csv
import io
import unicodedata
from pathlib import Path

from glocalseg.data.files.names import stem_of


def read_table(path: Path) -> dict[str, str]:
    """Subjects by volume of a table with tabs, in UTF-8; lines with # are left out, file endings of volumes too.

    A heading that names the columns says which is which; without one the first is the volume.

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
    first, second = 0, 1
    if rows and (heading := [cell.casefold() for cell in rows[0]]) and "subject" in heading[:2]:
        second = heading.index("subject")
        first = 1 - second
        rows = rows[1:]
    table: dict[str, str] = {}
    for row in rows:
        if len(row) < 2:
            commas = " (commas, where tabs are needed)" if "," in row[0] or ";" in row[0] else ""
            raise ValueError(f"the row {row[0]!r}{commas}")
        if not row[first] or not row[second]:
            raise ValueError(f"the row {row[:2]}, a cell of which is empty")
        volume = stem_of(name := unicodedata.normalize("NFC", row[first])) or name
        if volume in table:
            raise ValueError(f"volume {volume!r} on two rows")
        table[volume] = unicodedata.normalize("NFC", row[second])
    return table
