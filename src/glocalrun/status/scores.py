"""Mean Dice of what is scored so far, a little at a time, and remembered as long as its record stays the same."""

from __future__ import annotations

import json
import math
import re
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from pathlib import Path

from glocalrun.status.listed import Listed
from glocalrun.status.look import Seen
from glocalseg.records.files import write_json

SCORES = "scores.csv"  # as stages.score writes it, which takes seconds to import
_DICE = re.compile(rb",dice,selected,([^\r\n]*)")
READING = 0.3  # seconds that reading may take at a time


def mean_dice(path: Path) -> float:
    """Mean Dice over volumes and structures of a run's scores, those without a value left out; nan if there is none."""
    try:
        values = [float(text) for text in _DICE.findall(path.read_bytes()) if text]
    except (OSError, ValueError):
        return math.nan
    numbers = [value for value in values if not math.isnan(value)]
    return sum(numbers) / len(numbers) if numbers else math.nan


class Scores:
    """Mean Dice of runs, by the record of their scores.

    ``memory`` is the file that remembers them between calls, None for none; where it cannot be written, they are read again.
    """

    def __init__(self, root: Path, memory: Path | None) -> None:
        self._root, self._memory = root, memory
        self.known: dict[str, float] = {}
        self._made: dict[str, float] = {}  # when the record was written that a value was read beside
        with suppress(OSError, ValueError, TypeError, AttributeError):
            if memory is not None:
                found = json.loads(memory.read_text(encoding="utf-8"))
                self.known = {str(record): float(value) for record, (value, _) in found.items()}
                self._made = {str(record): float(made) for record, (_, made) in found.items()}

    def read(self, seen: Sequence[Seen], seconds: float = READING, clock: Callable[[], float] = time.monotonic) -> None:
        """Read what is not known yet of finished jobs, some of every method and budget first, until the time is over.

        A job that was made again, which may be with other bits on another machine, is read again.
        """
        end, changed = clock() + seconds, False
        made = {s.job.record: s.since for s in seen}
        for record in [r for r in self.known if r in made and self._made.get(r) != made[r]]:
            del self.known[record]
        for job in _in_turn([s.job for s in seen if s.job.record not in self.known]):
            if clock() > end:
                break
            value = mean_dice((self._root / job.record).with_name(SCORES))
            if not math.isnan(value):
                self.known[job.record], self._made[job.record], changed = value, made[job.record], True
        if self._memory is not None and changed:
            with suppress(OSError):
                write_json(self._memory, {record: [value, self._made[record]] for record, value in self.known.items()})


def _in_turn(jobs: Sequence[Listed]) -> list[Listed]:
    """The first of each method and budget, then the second of each, ..."""
    cells: dict[tuple[str, str, str], list[Listed]] = defaultdict(list)
    for job in jobs:
        cells[job.dataset, job.name, job.budget].append(job)
    return [job for job in chain.from_iterable(zip_longest(*cells.values())) if job is not None]
