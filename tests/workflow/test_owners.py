"""The lock of a Snakemake that was killed goes; that of one that works stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "workflow" / "scripts"))
import _owners as owners

LIVE = """
import sys
sys.path.insert(0, sys.argv[1])
import _owners
_owners.begin()
print("began", flush=True)
sys.stdin.read()
_owners.end()
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with Snakemake's lock in it."""
    monkeypatch.chdir(tmp_path)
    owners.LOCKS.mkdir(parents=True)
    for name in ("0.input.lock", "0.output.lock"):
        (owners.LOCKS / name).touch()
    return tmp_path


def call(here: Path) -> subprocess.Popen[str]:
    """Another process that is at work here."""
    words = [sys.executable, "-c", LIVE, str(REPOSITORY / "workflow/scripts")]
    process = subprocess.Popen(words, cwd=here, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "began\n"
    return process


def test_a_killed_call_loses_its_lock(here: Path) -> None:
    process = call(here)
    process.kill()
    process.wait(60)
    assert [name.split("-")[-1] for name in owners.free_dead_lock()] == [str(process.pid)]
    assert not list(owners.LOCKS.iterdir())
    assert owners.free_dead_lock() == []


def test_a_live_call_keeps_it_even_beside_a_dead_one(here: Path) -> None:
    dead, live = call(here), call(here)
    dead.kill()
    dead.wait(60)
    assert owners.free_dead_lock() == []
    assert len(list(owners.LOCKS.iterdir())) == 2
    live.communicate("", timeout=60)
    assert live.returncode == 0
    assert owners.free_dead_lock()


def test_a_lock_without_any_note_is_left_and_a_note_without_lock_is_cleared(here: Path) -> None:
    assert owners.free_dead_lock() == []
    assert len(list(owners.LOCKS.iterdir())) == 2
    for path in owners.LOCKS.iterdir():
        path.unlink()
    process = call(here)
    process.kill()
    process.wait(60)
    assert owners.free_dead_lock() == []
    assert not list(owners.NOTES.iterdir())
