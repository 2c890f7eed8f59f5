"""How far a run of the workflow is and how long it still takes, from what its jobs noted when they ended."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from glocalseg.records.duration import duration

ROW = re.compile(r"(\w+)\t(\d+\.\d{3})")
RUN = ".run"  # beside the benchmark as it runs: when the call began, and what was missing
K = TypeVar("K", bound=Hashable)


def line(benchmark: Path, counted: str | None, what: str, seconds: float) -> str:
    """One line for the console after a job, noted for the lines of the jobs that follow.

    Args:
        benchmark: the configuration's file; ``<stem>.run`` beside it says when the run began and what was missing.
        counted: the job's phase in the plan, None for a job that the plan does not count.
        what: what the job did, for people: phase, data set, method, budget, repeat or seed.
        seconds: how long the job took.
    """
    text = f"done: {what} in {duration(seconds)}"
    notes, run = benchmark.with_suffix(".done"), benchmark.with_suffix(RUN)
    if counted is None or not run.is_file():
        return text
    with notes.open("a", encoding="utf-8") as f:
        f.write(f"{counted}\t{seconds:.3f}\n")
    began = json.loads(run.read_text(encoding="utf-8"))
    done: dict[str, list[float]] = defaultdict(list)
    for row in notes.read_text(encoding="utf-8").splitlines():
        if found := ROW.fullmatch(row):  # two nodes that write at once over a network may tear a line
            done[found[1]].append(float(found[2]))
    left = time_left(began["missing"], done, time.time() - began["started"])
    return text if left is None else f"{text}, about {duration(left)} left"


def time_left(missing: dict[str, int], done: dict[str, list[float]], elapsed: float) -> float | None:
    """Seconds until all jobs are made, if those to come take as long as those of their phase that are done.

    Args:
        missing: jobs to make at the beginning, by phase.
        done: seconds of every job made since, by phase; at least one.
        elapsed: seconds since the beginning; with the work done in it, this tells how many jobs run at a time.

    Returns:
        None where ``work_left`` cannot tell, or nothing is left.
    """
    work = work_left({phase: max(0, count - len(done.get(phase, []))) for phase, count in missing.items()}, done)
    return None if work is None else work * elapsed / max(sum(map(sum, done.values())), 1e-9)


def work_left(left: Mapping[K, int], seconds: Mapping[K, Sequence[float]]) -> float | None:
    """Seconds that the jobs to come take one after another, if each takes as long as those of its kind did.

    Args:
        left: number of jobs to come, by kind.
        seconds: of jobs that are done, by kind; none is empty.

    Returns:
        None when nothing is left, or while more than half of the jobs to come are of kinds that were not seen yet; the
        others of these count with the mean of all jobs.
    """
    unseen = sum(count for kind, count in left.items() if kind not in seconds)
    if not any(left.values()) or 2 * unseen > sum(left.values()):
        return None
    known = [value for values in seconds.values() for value in values]
    mean = sum(known) / max(len(known), 1)
    return sum(count * (sum(seconds[k]) / len(seconds[k]) if k in seconds else mean) for k, count in left.items())
