"""What a call of Snakemake leaves for others: that it is at work here, and which finished jobs it wants made again.

**At work.** Snakemake's lock says nothing of whose it is. So every call holds a note of its own locked while it runs, by a lock
that goes with its process; Snakemake's lock is dead when there are notes and none of them is held. A file system must have locks
for that; on one that has none, nothing is taken away.

**Again.** A program that is called for a finished job brings the record back from its twin, because Snakemake removes records for
many reasons. So a call that forces jobs (``--forcerun``, ``--forceall``, ``--force``) marks each of them; the job's program takes
the mark away and makes the record anew. Nothing is removed before the job itself begins.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock

from glocalrun.locks import alone, take
from glocalseg.records.digest import digest

LOCKS = Path(".snakemake/locks")
STATE = Path(".snakemake/glocalseg")  # what calls and their programs share
NOTES = STATE / "calls"
_held: list[FileLock] = []  # as long as this process works here


def begin() -> None:
    """Note that this process is at work here; to be called once it holds Snakemake's lock."""
    note = NOTES / f"{platform.node()}-{os.getpid()}"
    try:
        held = take(note)
    except OSError:  # no locks here: without a note, no call takes another's lock for dead
        note.unlink(missing_ok=True)
        return
    if held is not None:
        _held.append(held)


def end() -> None:
    """Take the note away."""
    while _held:
        note = _held.pop()
        Path(note.lock_file).unlink(missing_ok=True)
        note.release()


def free_dead_lock() -> list[str]:
    """Remove Snakemake's lock if all calls that noted themselves are dead; which ones, or nothing if it was left."""
    if not NOTES.is_dir():
        return []
    with alone(STATE / "calls.lock") as one_at_a_time:
        if not one_at_a_time:
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
        held = take(note)
    except OSError:
        return False
    if held is None:
        return False
    held.release()
    return True


def before(workflow: Any, name: str, check: Callable[..., None]) -> None:
    """Have ``check`` called, with the same arguments, before a method of Snakemake's ``workflow``: no hook comes before its lock.

    Not in a rules' file: Snakemake would name that file in every error of the method.
    """
    method = getattr(workflow, name)

    def checked(*positional: Any, **named: Any) -> Any:
        check(*positional, **named)
        return method(*positional, **named)

    setattr(workflow, name, checked)


# ---------------------------------------------------------------- again


def mark(state: Path, records: Iterable[Path]) -> None:
    """Mark records that are to be made again, and forget the marks of earlier calls.

    Args:
        state: the folder that this call and its programs share.
    """
    shutil.rmtree(state / "again", ignore_errors=True)
    for record in records:
        path = _mark(state, record)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{record}\n", encoding="utf-8")


def marked(state: Path, record: Path) -> bool:
    """Whether a record is to be made again; true once, because the mark goes."""
    try:
        _mark(state, record).unlink()
    except FileNotFoundError:
        return False
    return True


def _mark(state: Path, record: Path) -> Path:
    return state / "again" / name_of(record)


# ---------------------------------------------------------------- where a job is to be found


def name_of(record: Path | str) -> str:
    """What files about a record are called: ten hex digits."""
    return digest(str(record))[:10]


def lock_of_job(state: Path, record: Path | str) -> Path:
    """The file that a program holds locked while it makes a record."""
    return state / "locks" / f"{name_of(record)}.lock"


def log_of(record: Path | str) -> Path:
    """Where the program that makes a record says what it does: beside all others, by the parts of the record's path."""
    return Path(str(Path(record).parent).replace("results", "logs", 1) + ".log")
