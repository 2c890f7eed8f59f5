"""What a training writes down while it runs: rows of a log, and a bar on a terminal or a line now and then in a file."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
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


def write_rows(path: Path, rows: list[dict[str, Any]], columns: list[str]) -> None:
    """Write rows as CSV, atomically, with these columns."""
    write_atomic(path, pd.DataFrame(rows, columns=columns).to_csv(index=False, lineterminator="\n").encode())
