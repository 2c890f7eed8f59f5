"""Whether a data set that was verified is still what it was: asked before every call; what has not changed is not read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from glocalseg.data.acquire.lock.file import Contents, check_cases, check_contents
from glocalseg.data.cards.card import Card
from glocalseg.data.files.cases import scan_cases
from glocalseg.data.readers.base import Case, Problem, ReaderError


def changes(card: Card, root: Path, verified: Mapping[str, Any], what: str) -> list[Problem]:
    """A problem for every volume that is new, gone or otherwise than it was verified; none if the data is not on this machine.

    A file is read only if its size or date is not that of when it was verified.

    Args:
        root: the folder that the reader gets.
        verified: the record of the verification.
        what: names it, and says what to do.
    """
    if not root.is_dir():
        return []
    known: Contents = {volume: tuple(content) for volume, content in verified["contents"].items()}
    scan = scan_cases(card.reading, root)
    found = {case.volume: tuple(_contents(card, case, verified["stats"])) for case in scan.cases}
    return [*scan.problems, *check_cases(scan.cases, known, what), *check_contents(scan.cases, found, known, what)]  # type: ignore[arg-type]


def _contents(card: Card, case: Case, stats: Mapping[str, list[int]]) -> Iterator[str | None]:
    """Digests of image and label, None for a file that has not changed; what was said of one that cannot be read."""
    for path, load in ((case.image, "load_image"), (case.label, "load_label")):
        if path is None or stats.get(str(path)) == stat(path):
            yield None
            continue
        from glocalseg.data.images import volumes  # slow to import, and rarely needed

        try:
            yield getattr(volumes, load)(card.reading, path).content
        except ReaderError as error:
            yield str(error)


def stat(path: Path) -> list[int]:
    """What tells cheaply that a file may have changed: size and date; empty for a file that is not there."""
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]
