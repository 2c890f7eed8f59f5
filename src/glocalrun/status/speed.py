"""How long it still takes, from how long finished jobs of the same kind took and how many ran at a time."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from glocalrun.status.listed import Listed
from glocalrun.status.look import Seen, State
from glocalrun.status.progress import work_left

SAMPLES = 3  # finished jobs of a kind whose times are read
ENOUGH = 3  # finished jobs of a call from which its speed is known
NEAR = 0.95  # of its time that a running job is taken to have used at most
DUE = (State.RUNNING, State.QUEUED, State.WAITING, State.INTERRUPTED)  # what the same command can still make
Kind = tuple[str, str, str, str]  # phase, data set, method, budget


@dataclass(frozen=True)
class Left:
    """``seconds`` that it still takes, None where nobody can tell yet, ``at_a_time`` jobs at a time; ``measured`` is whether that
    number comes from what was done, and not from what the call may run."""

    seconds: float | None
    at_a_time: float
    measured: bool


@dataclass
class Speed:
    """Seconds of finished jobs, each record read once."""

    root: Path
    _seconds: dict[str, float | None] = field(default_factory=dict)

    def of(self, record: str) -> float | None:
        """How long a job took, as it noted; None if it did not, or is just being written."""
        if record not in self._seconds:
            try:
                timing = json.loads((self.root / record).read_bytes())["timing"]
                self._seconds[record] = float(timing["wall_seconds"])
            except (OSError, ValueError, KeyError, TypeError):
                self._seconds[record] = None
        return self._seconds[record]

    def left(self, seen: Sequence[Seen], started: float | None, now: float, slots: int) -> Left:
        """How long the jobs that can still be made take.

        Args:
            seen: all jobs.
            started: when the last call began, None if there was none.
            now: seconds of the epoch; of a call that has ended, when its last job did.
            slots: how many jobs may run at a time, 0 if that is not known.
        """
        known = self._kinds(seen)
        due = [s for s in seen if s.state in DUE]
        made = [s for s in seen if started is not None and s.state == State.FINISHED and started < s.since <= now]
        counted = {kind: count for kind, count in Counter(_kind(s.job) for s in made).items() if kind in known}
        most = float(slots or inf)
        at_a_time = float(slots or sum(s.state == State.RUNNING for s in seen) or 1)
        if measured := started is not None and sum(counted.values()) >= ENOUGH:
            done = sum(count * _mean(known[kind]) for kind, count in counted.items())
            at_a_time = min(most, done / max(now - started, 1e-9))  # results that came from elsewhere cost no time
        work = _work(due, known, now)
        seconds = None if work is None else work / max(min(at_a_time, len(due)), 0.01)
        return Left(seconds, at_a_time, measured)

    def _kinds(self, seen: Sequence[Seen]) -> dict[Kind, list[float]]:
        """Times of the latest finished jobs, by kind, and by what kinds have in common (empty)."""
        latest: dict[Kind, list[Seen]] = defaultdict(list)
        for s in seen:
            if s.state == State.FINISHED:
                latest[_kind(s.job)].append(s)
        found: dict[Kind, list[float]] = defaultdict(list)
        for kind, those in latest.items():
            those.sort(key=lambda s: s.since)
            times = [t for s in those[-SAMPLES:] if (t := self.of(s.job.record)) is not None]
            for wider in _wider(kind) if times else ():
                found[wider] += times
        return dict(found)


def _work(due: Sequence[Seen], known: Mapping[Kind, list[float]], now: float) -> float | None:
    """Seconds that jobs take one after another, what running ones have done taken off; None where ``work_left`` cannot tell."""
    nearest = [_nearest(_kind(s.job), known) for s in due]
    work = work_left(Counter(nearest), known)
    if work is None:
        return None
    running = [(s, known[kind]) for s, kind in zip(due, nearest, strict=True) if s.state == State.RUNNING and kind in known]
    return max(0.0, work - sum(min(now - s.since, NEAR * _mean(times)) for s, times in running))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _kind(job: Listed) -> Kind:
    return job.phase, job.dataset, job.name, job.budget


def _wider(kind: Kind) -> list[Kind]:
    """A kind, and what it has in common with more and more others."""
    phase, dataset, _, budget = kind
    all_of = [kind, (phase, dataset, "", budget), (phase, dataset, "", ""), (phase, "", "", "")]
    return list(dict.fromkeys(all_of))


def _nearest(kind: Kind, known: Mapping[Kind, list[float]]) -> Kind:
    """The kind itself or the nearest wider one that was seen; the kind itself if none was."""
    return next((wider for wider in _wider(kind) if wider in known), kind)
