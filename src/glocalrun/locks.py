"""Locks for what one process at a time may do or have: the operating system's, by ``filelock``.

Such a lock goes with its process however that ends, and no program that the process starts inherits it. Some network file
systems have none; there is then an OSError, never a lock that is only a file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


def lock_of(path: Path) -> FileLock:
    """The lock that a file stands for, not taken yet; ``with`` waits for it. The folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, thread_local=False, fallback_to_soft=False)


def take(path: Path) -> FileLock | None:
    """The lock of a file, taken; None while another has it. Raises OSError where there are no locks."""
    lock = lock_of(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


@contextmanager
def alone(path: Path, waiting: str = "") -> Iterator[bool]:
    """No other process is in a block with this file; the file is gone afterwards.

    Args:
        path: the lock's file.
        waiting: what is said once, on standard error, while another process is in its block.

    Yields:
        False on a file system without locks, where nothing keeps others out.
    """
    lock = lock_of(path)
    try:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            if waiting:
                print(waiting, file=sys.stderr, flush=True)
            lock.acquire()
    except OSError as error:
        print(f"{path}: no lock: {error}", file=sys.stderr)
        yield False
        return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)  # while it is held: whoever waits for this file notices, and makes a new one
        lock.release()
