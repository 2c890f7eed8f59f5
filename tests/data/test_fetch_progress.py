from __future__ import annotations

import io

import pytest

from glocalseg.records import progress as module
from glocalseg.records.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar() -> None:
    stream = Terminal()
    with Progress("tiny.tar", 4_000_000, "B", done=1_000_000, stream=stream) as progress:
        progress.add(3_000_000)
    assert "\r" in stream.getvalue()
    assert "tiny.tar:  25%" in stream.getvalue()  # what was there already counts
    assert "tiny.tar: 100%" in stream.getvalue()


def test_a_log_file_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    stream = io.StringIO()
    with Progress("verifying", 60, "volumes", stream=stream) as progress:
        for _ in range(60):
            now += 1.0
            progress.add()
    assert stream.getvalue().splitlines() == [
        "verifying: 15 of 60 volumes (25%)",
        "verifying: 30 of 60 volumes (50%)",
        "verifying: 45 of 60 volumes (75%)",
        "verifying: 60 of 60 volumes (100%)",
    ]


def test_an_unknown_total_is_no_division_by_zero() -> None:
    stream = io.StringIO()
    with Progress("x", None, "B", stream=stream) as progress:
        progress.add(2_500_000)
    assert stream.getvalue() == "x: 2.5 MB\n"
