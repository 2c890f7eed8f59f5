"""Which calls of Snakemake are at work in this folder, so that the lock of one that was killed can be taken away.

Snakemake's lock says nothing of whose it is. So every call leaves a note with its process while it runs; a lock is dead when the
calls that left notes are, all of them, and on this machine.
"""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import psutil

from glocalseg.provenance import write_json

LOCKS = Path(".snakemake/locks")
NOTES = Path(".snakemake/glocalseg/calls")


def begin() -> None:
    """Note that this process is at work here; to be called once it holds Snakemake's lock."""
    write_json(_own(), {"machine": platform.node(), "pid": os.getpid(), "began": psutil.Process().create_time()})


def end() -> None:
    """Take the note away."""
    _own().unlink(missing_ok=True)


def free_dead_lock() -> list[int]:
    """Remove Snakemake's lock if all calls that noted themselves are dead; their process ids, or nothing if it was left."""
    notes = {path: json.loads(path.read_text()) for path in NOTES.glob("*.json")}
    locks = [path for path in LOCKS.glob("*.lock")]
    if not notes or not all(_dead(note) for note in notes.values()):
        return []
    for path in [*locks, *notes]:
        path.unlink(missing_ok=True)
    return [note["pid"] for note in notes.values()] if locks else []


def _own() -> Path:
    return NOTES / f"{platform.node()}-{os.getpid()}.json"


def _dead(note: dict[str, object]) -> bool:
    """True for a process of this machine that is gone; another machine's cannot be told."""
    if note["machine"] != platform.node():
        return False
    try:
        return bool(psutil.Process(int(str(note["pid"]))).create_time() != note["began"])
    except psutil.NoSuchProcess:
        return True
