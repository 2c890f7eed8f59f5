"""What state every job of a call is in, from what lies on the disk and what SLURM says.

Nothing is locked for that, and nothing opened but the notes of failures: there is one question for the record of each job, and
one listing of the folder of each that is not finished.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from glocalrun.calls import STATE, lock_of_job, name_of
from glocalrun.status.listed import Listed
from glocalrun.status.machine import Calls, date, entries
from glocalrun.status.queue import LOST, Allocation
from glocalseg.config.lines import one_line, shortened
from glocalseg.records.sealed import FAILURE

QUIET = 600.0  # seconds without a word after which a job that nobody can ask for counts as ended
HERE = ("fetch", "fetch_weights", "report")  # rules that run where Snakemake does, on a cluster too
SHARED = ("fetch", "fetch_weights", "verify", "report")  # phases whose folders others write into as well


class State(StrEnum):
    """What is the case with a job.

    ``QUEUED`` waits in SLURM's queue, ``INTERRUPTED`` was begun and runs no longer, ``BLOCKED`` starts from one that failed.
    """

    FINISHED = "finished"
    RUNNING = "running"
    QUEUED = "queued"
    WAITING = "waiting"
    BLOCKED = "blocked"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True)
class Seen:
    """A job, its state, since when it is finished or runs (seconds of the epoch), and why it failed or waits."""

    job: Listed
    state: State
    since: float = 0.0
    why: str = ""


@dataclass(frozen=True)
class _Around:
    """What is known before any job is looked at; ``locks`` and ``again`` are files by name, ``queue`` is by record."""

    root: Path
    calls: Calls
    now: float
    locks: Mapping[str, os.DirEntry[str]]
    again: frozenset[str]
    queue: Mapping[str, Allocation] | None


def look(
    root: Path, jobs: Sequence[Listed], calls: Calls, now: float, queue: Mapping[str, Allocation] | None = None
) -> list[Seen]:
    """The state of every job; of data that is sliced, how it came here is left out.

    Args:
        root: the checkout, which records are relative to.
        jobs: each after those that it starts from.
        calls: who is at work there.
        now: seconds of the epoch.
        queue: the newest allocation of jobs by record; None where SLURM has no part in it, or does not answer.
    """
    locks = {entry.name: entry for entry in entries(root / STATE / "locks")}
    again = frozenset(entry.name for entry in entries(root / STATE / "again"))
    around = _Around(root, calls, now, locks, again, queue)
    found: list[Seen] = []
    unmade: set[int] = set()  # places of what failed, and of what starts from it
    for n, job in enumerate(jobs):
        seen = _look(around, job)
        if seen.state == State.WAITING and not unmade.isdisjoint(job.parents):
            seen = Seen(job, State.BLOCKED)
        if seen.state in (State.FAILED, State.BLOCKED):
            unmade.add(n)
        found.append(seen)
    sliced = {seen.job.dataset for seen in found if seen.job.phase == "data" and seen.state == State.FINISHED}
    return [s for s in found if not (s.job.phase in ("fetch", "verify") and s.job.dataset in sliced)]


def _look(around: _Around, job: Listed) -> Seen:
    """The state of a job, by itself."""
    record = f"{around.root}/{job.record}"
    forced = bool(around.again) and name_of(job.record) in around.again
    if (made := date(record)) and not forced:
        return Seen(job, State.FINISHED, made)
    folder, name = os.path.split(record)
    names = {entry.name for entry in entries(folder)}
    lock = around.locks.get(lock_of_job(STATE, job.record).name) if around.locks else None
    allocation = (around.queue or {}).get(job.record)
    if lock is not None and _runs(around, job, lock, allocation):
        return Seen(job, State.RUNNING, date(lock.path))
    if f".{name}" in names and not forced:  # Snakemake took the record away: its job brings it back from this twin
        return Seen(job, State.FINISHED, date(f"{folder}/.{name}"))
    if allocation is not None and not allocation.ended:
        return Seen(job, State.QUEUED, why=f"SLURM: {allocation}")
    lost = f"SLURM: {allocation}" if allocation is not None and allocation.state in LOST else ""
    if FAILURE in names or lost:
        said = [_reason(f"{folder}/{FAILURE}") if FAILURE in names else "", lost]
        return Seen(job, State.FAILED, why="; ".join(filter(None, said)))
    begun = bool(names) and not forced and job.phase not in SHARED
    return Seen(job, State.INTERRUPTED if begun else State.WAITING)


def _runs(around: _Around, job: Listed, lock: os.DirEntry[str], allocation: Allocation | None) -> bool:
    """Whether the program runs whose lock lies there: the file of one that was killed stays."""
    calls = around.calls
    if lock.inode() in calls.locked:
        return True
    if around.queue is not None and job.phase not in HERE:
        return allocation is not None and allocation.runs
    if not calls.elsewhere and (calls.sure or not calls.running):
        return False
    newest = max(date(lock.path), date(around.root / job.log), date((around.root / job.record).parent))
    return around.now - newest < QUIET


def _reason(note: str) -> str:
    """What a failed job left, on one line; it may be on its way."""
    try:
        with open(note, encoding="utf-8") as f:
            found = json.load(f)
        return shortened(one_line(f"{found['error']}: {found['message']}"))
    except (OSError, ValueError, KeyError, TypeError):
        return ""
