"""How far a run of the workflow is and how long it still takes, from what its jobs noted when they ended."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from pathlib import Path

from glocalseg.records.duration import duration

ROW = re.compile(r"(\w+)\t(\d+\.\d{3})")


def line(benchmark: Path, counted: str | None, what: str, seconds: float) -> str:
    """One line for the console after a job, noted for the lines of the jobs that follow.

    Args:
        benchmark: the configuration's file; ``<stem>.run`` beside it says when the run began and what was missing.
        counted: the job's phase in the plan, None for a job that the plan does not count.
        what: what the job did, for people: phase, data set, method, budget, repeat or seed.
        seconds: how long the job took.
    """
    text = f"done: {what} in {duration(seconds)}"
    notes, run = benchmark.with_suffix(".done"), benchmark.with_suffix(".run")
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
        None when nothing is left, or while more than half of the jobs to come are of phases that were not seen yet; the
        others of these count with the mean of all jobs.
    """
    left = {phase: max(0, count - len(done.get(phase, []))) for phase, count in missing.items()}
    unseen = sum(count for phase, count in left.items() if phase not in done)
    if not any(left.values()) or 2 * unseen > sum(left.values()):
        return None
    spent = sum(map(sum, done.values()))
    mean = spent / sum(map(len, done.values()))
    work = sum(count * (sum(done[p]) / len(done[p]) if p in done else mean) for p, count in left.items())
    return work * elapsed / max(spent, 1e-9)
