"""What a training writes down while it runs: rows of a log, and a bar on a terminal or a line now and then in a file."""

from __future__ import annotations

import csv
import io
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from glocalseg.records.files import write_atomic

SECONDS_BETWEEN_LINES = 15.0


class Meter:
    """Counts images and seconds of one run, those before an interruption included."""

    def __init__(self, label: str, *, steps: int, images_per_step: int, done: int, seconds: float) -> None:
        self.label, self.steps, self.images_per_step = label, steps, images_per_step
        self._start, self._before, self._first = time.perf_counter(), seconds, done
        self._bar = tqdm(total=steps, initial=done, desc=label, disable=not sys.stderr.isatty(), leave=False)
        self._last_line = self._start

    @property
    def seconds(self) -> float:
        """Wall seconds of the run so far."""
        return self._before + time.perf_counter() - self._start

    def images_per_second(self, done: int) -> float:
        """Mean throughput since this process began; ``done`` steps are finished."""
        elapsed = time.perf_counter() - self._start
        return (done - self._first) * self.images_per_step / elapsed if elapsed > 0 else 0.0

    def tick(self, done: int, loss: float | None) -> None:
        """Show that ``done`` steps are finished."""
        self._bar.update(done - self._bar.n)
        now = time.perf_counter()
        if self._bar.disable and loss is not None and now - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = now
            rate = self.images_per_second(done)
            left = (self.steps - done) * self.images_per_step / rate if rate else float("nan")
            print(
                f"{self.label}: step {done} of {self.steps}, loss {loss:.4f}, {rate:.0f} images/s, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write rows as CSV, atomically, with these columns; a number that is none (nan) is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(row.get(name)) for name in columns} for row in rows)
    write_atomic(path, text.getvalue().encode())


def _cell(value: Any) -> Any:
    if isinstance(value, float):  # one of numpy's would be written with its type's name
        return "" if value != value else float(value)
    return value
