"""Progress that a person can follow: a bar on a terminal, a line now and then in a log file."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self, TextIO

from tqdm import tqdm

LINE_EVERY = 15.0  # seconds between two lines where there is no terminal


class Progress:
    """A counter from ``done`` to ``total`` (None: unknown), shown on ``stream`` (default: standard error).

    Args:
        label: what is done.
        unit: ``B`` for bytes (shown as kB, MB, ...), or what is counted.
    """

    def __init__(self, label: str, total: int | None, unit: str, *, done: int = 0, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._label, self._total, self._unit, self._done = label, total, unit, done
        self._last, self._told = time.monotonic(), -1
        self._bar: Any = None
        if self._stream.isatty():
            self._bar = tqdm(
                total=total, initial=done, desc=label, unit=unit, unit_scale=unit == "B", file=self._stream, leave=True
            )

    def add(self, n: int = 1) -> None:
        """Count n more."""
        self._done += n
        if self._bar is not None:
            self._bar.update(n)
        elif time.monotonic() - self._last >= LINE_EVERY:
            self._line()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._told != self._done:
            self._line()

    def _line(self) -> None:
        self._last, self._told = time.monotonic(), self._done
        unit = "MB" if self._unit == "B" else self._unit
        share = f" of {self._said(self._total)} {unit} ({self._done / self._total:.0%})" if self._total else f" {unit}"
        print(f"{self._label}: {self._said(self._done)}{share}", file=self._stream, flush=True)

    def _said(self, n: int) -> str:
        return f"{n / 1e6:.1f}" if self._unit == "B" else str(n)
