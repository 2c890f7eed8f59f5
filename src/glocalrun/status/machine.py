"""Who is at work in a checkout, found out without taking a lock: jobs that ask for it in that moment would have to wait."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from glocalrun.calls import NOTES

LOCKS = Path("/proc/locks")  # what is locked on this machine, by number of the file


@dataclass(frozen=True)
class Calls:
    """Calls of Snakemake that run on this machine, those that noted themselves on others, and files locked on this machine.

    ``sure``: a file that is not in ``locked`` is not locked here (some file systems number their files otherwise for it).
    """

    running: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    locked: frozenset[int] = frozenset()
    sure: bool = False

    @property
    def at_work(self) -> bool:
        """Whether a call is at work, as far as one can tell from here."""
        return bool(self.running or self.elsewhere)


def calls_at_work(root: Path) -> Calls:
    """The calls that noted themselves in a checkout (``calls.begin``)."""
    locked = _locked()
    running, elsewhere, sure = [], [], False
    for note in entries(root / NOTES):
        node, _, number = note.name.rpartition("-")
        if node != platform.node():
            elsewhere.append(note.name)
        elif note.inode() in locked or _alive(number):
            running.append(note.name)
            sure = sure or note.inode() in locked
    return Calls(tuple(sorted(running)), tuple(sorted(elsewhere)), locked, sure)


def entries(folder: Path | str) -> list[os.DirEntry[str]]:
    """What is in a folder; nothing if it is gone, or cannot be read."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def date(path: Path | str) -> float:
    """When a file was written, in seconds of the epoch; 0 if there is none."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def _locked() -> frozenset[int]:
    try:
        rows = [line.split() for line in LOCKS.read_text(encoding="ascii", errors="replace").splitlines()]
    except OSError:  # no Linux
        return frozenset()
    files = (row[5] for row in rows if len(row) > 5 and row[5].count(":") == 2)  # -> marks those that wait: one field more
    return frozenset(int(file.rpartition(":")[2]) for file in files if file.rpartition(":")[2].isdigit())


def _alive(number: str) -> bool:
    try:
        os.kill(int(number), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return True
