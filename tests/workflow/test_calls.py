"""The lock of a Snakemake that was killed goes, that of one that works stays; what is to be made again is told once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from glocalrun import calls

LIVE = """
import sys
from glocalrun import calls
calls.begin()
print("began", flush=True)
sys.stdin.read()
calls.end()
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with Snakemake's lock in it."""
    monkeypatch.chdir(tmp_path)
    calls.LOCKS.mkdir(parents=True)
    for name in ("0.input.lock", "0.output.lock"):
        (calls.LOCKS / name).touch()
    return tmp_path


def caller(here: Path) -> subprocess.Popen[str]:
    """Another process that is at work here."""
    words = [sys.executable, "-c", LIVE]
    process = subprocess.Popen(words, cwd=here, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "began\n"
    return process


def test_a_killed_call_loses_its_lock(here: Path) -> None:
    process = caller(here)
    process.kill()
    process.wait(60)
    assert [name.split("-")[-1] for name in calls.free_dead_lock()] == [str(process.pid)]
    assert not list(calls.LOCKS.iterdir())
    assert calls.free_dead_lock() == []


def test_a_live_call_keeps_it_even_beside_a_dead_one(here: Path) -> None:
    dead, live = caller(here), caller(here)
    dead.kill()
    dead.wait(60)
    assert calls.free_dead_lock() == []
    assert len(list(calls.LOCKS.iterdir())) == 2
    live.communicate("", timeout=60)
    assert live.returncode == 0
    assert calls.free_dead_lock()


def test_a_lock_without_any_note_is_left_and_a_note_without_lock_is_cleared(here: Path) -> None:
    assert calls.free_dead_lock() == []
    assert len(list(calls.LOCKS.iterdir())) == 2
    for path in calls.LOCKS.iterdir():
        path.unlink()
    process = caller(here)
    process.kill()
    process.wait(60)
    assert calls.free_dead_lock() == []
    assert not list(calls.NOTES.iterdir())


def test_a_file_system_without_locks_loses_no_lock(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = caller(here)
    process.kill()
    process.wait(60)

    def no_locks(path: Path) -> None:
        path.touch()
        raise OSError("no locks available")

    monkeypatch.setattr(calls, "take", no_locks)
    assert calls.free_dead_lock() == []
    assert len(list(calls.LOCKS.iterdir())) == 2
    notes = len(list(calls.NOTES.iterdir()))
    calls.begin()
    assert len(list(calls.NOTES.iterdir())) == notes, "a call whose note cannot be held leaves none"


def test_a_mark_is_taken_once_and_those_of_an_earlier_call_are_forgotten(tmp_path: Path) -> None:
    first, second = Path("results/a/run.json"), Path("results/b/run.json")
    calls.mark(tmp_path, [first, second])
    assert calls.marked(tmp_path, first)
    assert not calls.marked(tmp_path, first)
    calls.mark(tmp_path, [])
    assert not calls.marked(tmp_path, second)
