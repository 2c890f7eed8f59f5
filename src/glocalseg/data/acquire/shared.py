"""What every way to bring data shares: its error, its patience, room on the disk, and a folder that is whole or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MARGIN = 64 << 20  # bytes that stay free on the disk


class FetchError(RuntimeError):
    """Data that could not be fetched: says what was expected, what was found, and what to do."""


@dataclass(frozen=True)
class Retry:
    """``attempts`` in a row without a single new byte are given up; the pause doubles from ``pause`` seconds."""

    attempts: int = 6
    pause: float = 1.0


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise FetchError if the disk of ``folder`` has less than ``needed`` bytes and a margin free."""
    free = shutil.disk_usage(folder).free
    if free < needed + MARGIN:
        raise FetchError(
            f"{folder}: expected {(needed + MARGIN) / 1e9:.2f} GB of free disk space for {what}, found {free / 1e9:.2f} GB"
        )


def fill_whole(folder: Path, fill: Callable[[Path], None]) -> None:
    """Make ``folder`` by filling a temporary one beside it and renaming that: there is never half of it."""
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        fill(temporary)
        os.sync()  # the rename must not reach the disk before the files do
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
