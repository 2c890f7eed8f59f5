"""Which calls of Snakemake are at work in this folder, so that the lock of one that was killed can be taken away.

Snakemake's lock says nothing of whose it is. So every call holds a note of its own locked while it runs, by a lock that goes
with its process; Snakemake's lock is dead when there are notes and none of them is held. A file system must have locks for
that; on one that has none, nothing is taken away.
"""

from __future__ import annotations

import fcntl
import os
import platform
from pathlib import Path
from typing import IO

LOCKS = Path(".snakemake/locks")
NOTES = Path(".snakemake/glocalseg/calls")
_held: list[IO[str]] = []  # open as long as this process works here


def begin() -> None:
    """Note that this process is at work here; to be called once it holds Snakemake's lock."""
    NOTES.mkdir(parents=True, exist_ok=True)
    note = (NOTES / f"{platform.node()}-{os.getpid()}").open("w")
    try:
        fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # no locks here: without a note, no call takes another's lock for dead
        Path(note.name).unlink()
        note.close()
        return
    _held.append(note)


def end() -> None:
    """Take the note away."""
    while _held:
        note = _held.pop()
        Path(note.name).unlink(missing_ok=True)
        note.close()


def free_dead_lock() -> list[str]:
    """Remove Snakemake's lock if all calls that noted themselves are dead; which ones, or nothing if it was left."""
    if not NOTES.is_dir():
        return []
    with (NOTES.parent / "calls.lock").open("w") as one_at_a_time:
        try:
            fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        except OSError:
            return []
        dead = {path: _free(path) for path in NOTES.iterdir()}
        locks = list(LOCKS.glob("*.lock"))
        if not dead or not all(dead.values()):
            return []
        for path in [*dead, *locks]:
            path.unlink(missing_ok=True)
        return sorted(path.name for path in dead) if locks else []


def _free(note: Path) -> bool:
    """True if no process holds a note."""
    try:
        with note.open() as f:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
