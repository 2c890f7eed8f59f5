"""The runs behind a number: what the page lists of each, so that a reader gets from a mean to the records that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from glocalseg.evaluation.statistics.arrays import repeat_means
from glocalseg.plan.jobs import Job, Plan
from glocalseg.records.duration import duration
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.dataset import renamed
from glocalseg.report.analysis.failed import failures
from glocalseg.report.collected.collect import Collected
from glocalseg.report.text.names import ALL, BASELINE, UPPER_BOUND

WIDTH, HEIGHT = 96, 22  # of a curve, in pixels


@dataclass(frozen=True)
class Run:
    """A fine-tuning with its scores. ``record`` is the path of its ``run.json``; ``curve`` the points of validation Dice over
    steps, of a picture of WIDTH x HEIGHT; empty where none was looked at."""

    repeat: str
    dice: float
    gain: float
    structures: tuple[float, ...]
    failed: str
    curve: str
    ends: str
    seed: str
    time: str
    device: str
    key: str
    record: Path


@dataclass(frozen=True)
class Group:
    """The runs of a method at a number of labelled volumes; ``anchor`` is where they lie on the page."""

    method: str
    budget: str
    anchor: str
    runs: tuple[Run, ...]


def anchor(dataset: str, method: str, budget: str) -> str:
    """Where the runs of a cell lie on the page."""
    return f"runs-{dataset}-{method}-{ALL if method == UPPER_BOUND else budget}"


def groups(a: DatasetAnalysis, plan: Plan, collected: Collected) -> list[Group]:
    """The runs of every cell of a data set, in the order of budgets."""
    jobs = {
        (UPPER_BOUND if job.budget == ALL else job.name, str(job.budget), job.repeat.name): job
        for job in plan.of("finetune")
        if job.dataset == a.dataset and job.repeat and job.record in collected.payloads
    }
    curves = _curves(a, collected.validation)
    failed = {
        (m, n, a.repeats[run.repeat]): run.reason for (m, n), f in failures(a).items() for run in f.runs
    }  # fmt: skip
    found = []
    for (method, budget), cell in a.cells.items():
        dice, gains = repeat_means(cell.scores), repeat_means(cell.scores - a.scores(BASELINE, budget))
        single = [
            repeat_means(cell.structures[s]) if s in cell.structures else np.full(len(dice), np.nan) for s in a.structures
        ]
        runs = [
            _run(
                jobs[key], collected.payloads[jobs[key].record], float(dice[i]), float(gains[i]),
                tuple(float(s[i]) for s in single), failed.get(key, ""), curves.get(key),
            )
            for i, repeat in enumerate(a.repeats)
            if np.isfinite(dice[i]) and (key := (method, budget, repeat)) in jobs
        ]  # fmt: skip
        found.append(Group(method, budget, anchor(a.dataset, method, budget), tuple(runs)))
    return found


def _run(
    job: Job,
    payload: Mapping[str, Any],
    dice: float,
    gain: float,
    structures: tuple[float, ...],
    failed: str,
    curve: tuple[str, str] | None,
) -> Run:
    device, timing = payload.get("device", {}), payload.get("timing", {})
    points, ends = curve or ("", "")
    return Run(
        repeat=job.repeat.name if job.repeat else "",
        dice=dice,
        gain=gain,
        structures=structures,
        failed=failed,
        curve=points,
        ends=ends,
        seed=str(payload["spec"].get("seed", "")),
        time=duration(timing["wall_seconds"]) if timing.get("wall_seconds") else "",
        device=", ".join(str(device[k]) for k in ("type", "precision") if device.get(k)),
        key=job.record.parent.name,
        record=job.record,
    )


def _curves(a: DatasetAnalysis, validation: pd.DataFrame) -> dict[tuple[str, str, str], tuple[str, str]]:
    """Points of a curve, and what its ends are, by method, budget and repeat; all curves on one scale from 0 to 1."""
    own = renamed(validation[(validation["dataset"] == a.dataset) & (validation["structure"] == "mean")])
    found = {}
    for (method, budget, repeat), rows in own.groupby(["method", "budget", "repeat"], sort=False):
        steps, dice = rows["step"].to_numpy(float), np.nan_to_num(rows["dice"].to_numpy(float))
        reach = max(float(steps.max()), 1.0)
        points = [
            f"{1 + (WIDTH - 2) * s / reach:.1f},{1 + (HEIGHT - 2) * (1 - d):.1f}" for s, d in zip(steps, dice, strict=True)
        ]
        said = f"validation Dice {dice[0]:.2f} at step {steps[0]:.0f}, {dice[-1]:.2f} at step {steps[-1]:.0f}"
        found[str(method), str(budget), str(repeat)] = (" ".join(points), said)
    return found
