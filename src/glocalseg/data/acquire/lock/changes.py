"""Whether a data set is still what it is known to be: asked before every call; what has not changed is not read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from glocalseg.data.acquire.lock.file import Contents, check_cases, check_contents
from glocalseg.data.cards.card import Card
from glocalseg.data.files.cases import scan_cases
from glocalseg.data.readers.base import Case, Problem, ReaderError

Stats = Mapping[str, list[int]]  # by path: what ``stat`` says of a file


@dataclass(frozen=True)
class Compared:
    """Problems, one for each volume that is new, gone or another one; ``stats`` of the files that are known to be right now."""

    problems: list[Problem]
    stats: dict[str, list[int]]


def compare(
    card: Card,
    root: Path,
    known: Contents,
    stats: Stats,
    what: str,
    *,
    told: Callable[[int], Callable[[], None]] | None = None,
) -> Compared:
    """Compare what lies there with what is known. A file is read only if its size or date is not the one given for it.

    Args:
        root: the folder that the reader gets; where there is none, the data is not on this machine, and nothing is wrong.
        known: subject, image and label by volume.
        stats: of files when they were last found to be right.
        what: names what knows the data, and says what to do.
        told: called with the number of files that are to be read, if there are any; what it returns is called after each.
    """
    if not root.is_dir():
        return Compared([], {})
    scan = scan_cases(card.reading, root)
    now = {str(path): stat(path) for case in scan.cases for path in (case.image, case.label) if path is not None}
    changed = {path for path, found in now.items() if not found or stats.get(path) != found}
    count = told(len(changed)) if told is not None and changed else None
    found = {case.volume: _contents(card, case, changed, count) for case in scan.cases}
    contents = check_contents(scan.cases, found, known, what)
    wrong = {problem.file for problem in contents}
    asked = {
        str(path)
        for case in scan.cases
        for path, digest in zip((case.image, case.label), known.get(case.volume, ("", None, None))[1:], strict=True)
        if digest is not None
    }
    right = {path: found for path, found in now.items() if path in asked - wrong}
    return Compared([*scan.problems, *check_cases(scan.cases, known, what), *contents], right)


def _contents(card: Card, case: Case, changed: set[str], count: Callable[[], None] | None) -> tuple[str | None, str | None]:
    """Digests of image and label, None for a file that has not changed; what was said of one that cannot be read."""
    found: list[str | None] = []
    for path, load in ((case.image, "load_image"), (case.label, "load_label")):
        if path is None or str(path) not in changed:
            found.append(None)
            continue
        from glocalseg.data.images import volumes  # slow to import, and rarely needed

        try:
            found.append(getattr(volumes, load)(card.reading, path).content)
        except ReaderError as error:
            found.append(str(error))
        if count is not None:
            count()
    return found[0], found[1]


def stat(path: Path) -> list[int]:
    """What tells cheaply that a file may have changed: size and date; empty for a file that is not there."""
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]
