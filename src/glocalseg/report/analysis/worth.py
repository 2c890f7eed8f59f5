"""What could have been found, what methods are worth in labelled volumes and hours, and which cells are not done learning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from glocalseg.evaluation.statistics.arrays import Array, paired, repeat_means
from glocalseg.evaluation.statistics.efficiency import equivalent_budget, per_hour
from glocalseg.evaluation.statistics.intervals import Interval, gain_of
from glocalseg.evaluation.statistics.power import smallest_gain
from glocalseg.evaluation.statistics.rising import Rise, rise_of
from glocalseg.plan.jobs import Plan
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.dataset import renamed
from glocalseg.report.analysis.methods.spent import chain
from glocalseg.report.collected.collect import Collected
from glocalseg.report.text.names import ALL, BASELINE, UPPER_BOUND

MEAN = "mean"  # of all structures, in validation.csv
SECONDS = 3600


@dataclass(frozen=True)
class Findable:
    """The smallest gains that could have been found at a budget: of the primary comparison's two methods, compared alone; of
    every candidate against random weights, corrected for ``family`` comparisons."""

    budget: str
    alone: Interval | None
    candidates: dict[str, Interval]
    family: int


@dataclass(frozen=True)
class Hours:
    """Compute of a cell: mean hours a run with its pretraining, those of pretraining alone, Dice per hour, and gain per hour more
    than random weights took (None where it did not take more in every repeat)."""

    total: float
    pretraining: float
    dice: Interval
    gain: Interval | None


def findable(a: DatasetAnalysis) -> list[Findable]:
    """What could have been found at each budget."""
    family = len(a.family("random"))
    return [
        Findable(
            n,
            smallest(a, a.primary, n) if a.primary else None,
            {
                m: smallest(a, (m, BASELINE), n, comparisons=family)
                for m in a.candidates
                if a.meant(m, n) and a.meant(BASELINE, n)
            },
            family,
        )
        for n in a.budgets
    ]


def smallest(a: DatasetAnalysis, pair: tuple[str, str], budget: str, *, comparisons: int = 1) -> Interval:
    """The smallest gain of one method over another that could have been found at a budget."""
    confidence = a.statistics.confidence
    gain = gain_of(a.scores(pair[0], budget), a.scores(pair[1], budget), confidence=confidence)
    return smallest_gain(gain.mean, confidence=confidence, comparisons=comparisons)


def efficiency(a: DatasetAnalysis) -> dict[tuple[str, str], Interval]:
    """With how many labelled volumes random weights score what a candidate does, by (method, budget); empty with one budget."""
    if len(a.budgets) < 2 or BASELINE not in a.methods:
        return {}
    baseline = np.array([a.scores(BASELINE, n) for n in a.budgets])
    volumes = [int(n) for n in a.budgets]
    return {
        (m, n): equivalent_budget(cell.scores, baseline, volumes, confidence=a.statistics.confidence)
        for n in a.budgets
        for m in a.candidates
        if (cell := a.cell(m, n)) is not None
    }


def hours(a: DatasetAnalysis, plan: Plan, collected: Collected) -> dict[tuple[str, str], Hours]:
    """The compute of every cell, by (method, budget); of a run: its fine-tuning, and every pretraining that it starts from.

    A pretraining that several budgets share is counted in full for each: whoever wants one result has to pay for all of it.
    """
    wall = dict(zip(collected.timings["record"], collected.timings["wall_seconds"].astype(float), strict=True))
    tuned, before = _empty(a), _empty(a)
    for job in plan.of("finetune"):
        key = (UPPER_BOUND if job.budget == ALL else job.name, str(job.budget))
        if job.dataset == a.dataset and job.repeat and key in tuned and str(job.record) in wall:
            place = a.repeats.index(job.repeat.name)
            before[key][place] = sum(wall.get(str(j.record), np.nan) for j in chain(plan, job)) / SECONDS
            tuned[key][place] = wall[str(job.record)] / SECONDS
    return {key: _hours(a, key, tuned, before) for key in tuned if (tuned[key] + before[key] > 0).any()}


def _empty(a: DatasetAnalysis) -> dict[tuple[str, str], Array]:
    return {key: np.full(len(a.repeats), np.nan) for key in a.cells}


def _hours(
    a: DatasetAnalysis,
    key: tuple[str, str],
    tuned: dict[tuple[str, str], Array],
    before: dict[tuple[str, str], Array],
) -> Hours:
    confidence, baseline = a.statistics.confidence, (BASELINE, key[1])
    scores, total = a.cells[key].scores, tuned[key] + before[key]
    total = np.where(total > 0, total, np.nan)  # a clock that says nothing
    gain = None
    if key != baseline and baseline in tuned:
        more = total - tuned[baseline] - before[baseline]
        gains = repeat_means(paired(scores, a.cells[baseline].scores))
        there = np.isfinite(more) & np.isfinite(gains)
        if there.any() and (more[there] > 0).all():
            gain = per_hour(gains[there], more[there], confidence=confidence)
    dice = per_hour(repeat_means(scores), total, confidence=confidence)
    return Hours(float(np.nanmean(total)), float(np.nanmean(before[key])), dice, gain)


def rises(a: DatasetAnalysis, validation: pd.DataFrame) -> dict[tuple[str, str], Rise]:
    """The rise of validation at the end of training, by (method, budget), of cells that have volumes to validate on."""
    own = validation[(validation["dataset"] == a.dataset) & (validation["structure"] == MEAN)]
    found = {}
    for (method, budget), rows in renamed(own).groupby(["method", "budget"], sort=False):
        key = (str(method), str(budget))
        if key in a.prices and a.prices[key].selection == "validation":
            table = rows.pivot(index="repeat", columns="step", values="dice")
            rise = rise_of(table.to_numpy(float), [int(s) for s in table.columns], confidence=a.statistics.confidence)
            if rise is not None:
                found[key] = rise
    return found
