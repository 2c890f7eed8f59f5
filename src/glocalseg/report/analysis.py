"""From score rows to what the report says: a summary per cell, a comparison per method and budget, counts of what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from glocalseg.config.benchmark import Benchmark
from glocalseg.evaluation.metrics import METRICS, PRIMARY
from glocalseg.evaluation.statistics import (
    Array,
    Comparison,
    Summary,
    Verdict,
    compare,
    dense,
    generator,
    holm,
    subject_scores,
    summarise,
    verdict,
)
from glocalseg.plan.jobs import Plan
from glocalseg.report.collect import Collected
from glocalseg.report.names import ALL, BASELINE, UPPER_BOUND, budget_order


@dataclass(frozen=True)
class Cell:
    """One method at one budget of one data set. ``scores`` is the (subjects, draws, seeds) array of Dice."""

    dataset: str
    method: str
    budget: str
    summary: Summary
    structures: dict[str, Summary]
    scores: Array
    draws: tuple[int, ...]
    seeds: tuple[int, ...]
    planned: int

    @property
    def complete(self) -> bool:
        """Whether every planned run is in it; a mean over fewer draws must not be set beside one over all."""
        return self.summary.runs == self.planned


@dataclass(frozen=True)
class Compared:
    """A method against random initialisation at one budget, corrected within its data set.

    ``verdict`` is ``runs missing`` where either cell is incomplete: the draws that are left may be the easy ones.
    """

    dataset: str
    method: str
    budget: str
    comparison: Comparison
    corrected: float
    verdict: Verdict | Literal["runs missing"]


@dataclass(frozen=True)
class DatasetAnalysis:
    """All cells and comparisons of one data set. ``budgets`` are those with labels to choose (not ``all``)."""

    dataset: str
    methods: tuple[str, ...]
    budgets: tuple[str, ...]
    structures: tuple[str, ...]
    cells: dict[tuple[str, str], Cell]
    comparisons: tuple[Compared, ...]

    def cell(self, method: str, budget: str) -> Cell | None:
        """The cell of a method at a budget, if any of its runs finished."""
        return self.cells.get((method, budget))

    @property
    def upper(self) -> Cell | None:
        """The cell trained on all volumes."""
        return self.cells.get((UPPER_BOUND, ALL))

    def compared(self, method: str, budget: str) -> Compared | None:
        """The comparison of a method with the baseline at a budget."""
        return next((c for c in self.comparisons if (c.method, c.budget) == (method, budget)), None)

    def best(self, budget: str) -> Cell | None:
        """The complete cell with the highest mean at a budget, the upper bound left out."""
        cells = [c for m in self.methods if (c := self.cell(m, budget)) and c.complete]
        return max(cells, key=lambda c: c.summary.mean.estimate, default=None)


def analyse(plan: Plan, collected: Collected) -> dict[str, DatasetAnalysis]:
    """The analysis of each data set of which any run finished, in the order of the benchmark."""
    dice = collected.scores[collected.scores["metric"] == PRIMARY].copy()
    dice.loc[dice["budget"] == ALL, "method"] = UPPER_BOUND
    found = {name: rows for name, rows in dice.groupby("dataset")}
    return {name: _analyse(plan, name, found[name]) for name in plan.benchmark.datasets if name in found}


def _analyse(plan: Plan, dataset: str, dice: pd.DataFrame) -> DatasetAnalysis:
    b = plan.benchmark
    structures = tuple(plan.cards[dataset].structures[i] for i in sorted(plan.cards[dataset].structures))
    # averaged once for all cells; grouping cell by cell takes most of the time otherwise
    groups = dict(iter(subject_scores(dice).groupby(["method", "budget"])))
    single = {s: dict(iter(subject_scores(dice[dice["structure"] == s]).groupby(["method", "budget"]))) for s in structures}
    subjects = sorted(dice["subject"].unique())
    planned = _planned(plan, dataset)
    cells: dict[tuple[str, str], Cell] = {}
    for (method, budget), runs in planned.items():
        if (method, budget) not in groups:
            continue
        draws, seeds = sorted({d for d, _ in runs}), sorted({s for _, s in runs})
        of = {
            s: dense(single[s][method, budget], subjects, draws, seeds) for s in structures if (method, budget) in single[s]
        }
        scores = dense(groups[method, budget], subjects, draws, seeds)
        cells[method, budget] = Cell(
            dataset, method, budget, _summary(b, dataset, scores), {s: _summary(b, dataset, a) for s, a in of.items()},
            scores, tuple(draws), tuple(seeds), len(runs),
        )  # fmt: skip
    methods = tuple(m.id for m in b.methods)
    budgets = tuple(sorted({budget for _, budget in planned if budget != ALL}, key=budget_order))
    return DatasetAnalysis(dataset, methods, budgets, structures, cells, _compare(b, dataset, methods, budgets, cells))


def _planned(plan: Plan, dataset: str) -> dict[tuple[str, str], list[tuple[int, int]]]:
    planned: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for job in plan.of("finetune"):
        if job.dataset == dataset and job.draw is not None and job.seed is not None:
            method = UPPER_BOUND if job.budget == ALL else job.name
            planned.setdefault((method, str(job.budget)), []).append((job.draw, job.seed))
    return planned


def _summary(b: Benchmark, dataset: str, scores: Array) -> Summary:
    # One purpose for all methods: they see the same resamples, and their intervals differ by their scores alone.
    rng = generator(b.statistics.seed, f"interval {dataset}")
    return summarise(scores, resamples=b.statistics.resamples, confidence=b.statistics.confidence, rng=rng)


def _compare(
    b: Benchmark,
    dataset: str,
    methods: tuple[str, ...],
    budgets: tuple[str, ...],
    cells: dict[tuple[str, str], Cell],
) -> tuple[Compared, ...]:
    s = b.statistics
    pairs = [
        (method, budget, compare(
            cells[method, budget].scores, cells[BASELINE, budget].scores,
            resamples=s.resamples, confidence=s.confidence, rng=generator(s.seed, f"difference {dataset}"),
        ))
        for budget in budgets for method in methods
        if method != BASELINE and (method, budget) in cells and (BASELINE, budget) in cells
    ]  # fmt: skip
    corrected = holm([c.p for _, _, c in pairs])
    compared = []
    for (method, budget, c), p in zip(pairs, corrected, strict=True):
        complete = cells[method, budget].complete and cells[BASELINE, budget].complete
        said = verdict(c.difference.estimate, p, confidence=s.confidence) if complete else "runs missing"
        compared.append(Compared(dataset, method, budget, c, p, said))
    return tuple(compared)


def draw_means(analysis: DatasetAnalysis) -> pd.DataFrame:
    """Mean Dice over subjects and seeds per method, budget and draw, and its paired gain over random: nothing hidden."""
    rows = []
    for (method, budget), cell in analysis.cells.items():
        baseline = analysis.cell(BASELINE, budget)
        for i, draw in enumerate(cell.draws):
            values = cell.scores[:, i]
            paired = baseline is not None and baseline.scores.shape == cell.scores.shape
            gap = values - baseline.scores[:, i] if paired and baseline is not None else np.full_like(values, np.nan)
            rows.append({
                "dataset": analysis.dataset, "method": method, "budget": budget, "draw": draw,
                "dice": _nanmean(values), "gain": _nanmean(gap), "seeds": int(np.isfinite(values).any(axis=0).sum()),
            })  # fmt: skip
    return pd.DataFrame(rows)


def metric_summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean, median, sum and number of values of every metric but the primary one, which the analysis is about.

    A row per dataset, method, budget, structure and metric, over all volumes, draws and seeds; values that do not exist (the
    truth lacks the structure) are left out. Columns: ``mean``, ``median``, ``sum``, ``values``.
    """
    rows = scores[scores["metric"] != PRIMARY].copy()
    rows.loc[rows["budget"] == ALL, "method"] = UPPER_BOUND
    grouped = rows.groupby(["dataset", "method", "budget", "structure", "metric"], sort=False)["value"]
    return grouped.agg(["mean", "median", "sum", "count"]).rename(columns={"count": "values"}).reset_index()


def over_structures(scores: pd.DataFrame) -> dict[tuple[str, str, str], dict[str, float]]:
    """What each metric but the primary one comes to over all structures, by dataset, method and budget: ``hd95_median``."""
    rows = scores[scores["metric"] != PRIMARY].copy()
    rows.loc[rows["budget"] == ALL, "method"] = UPPER_BOUND
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for (dataset, method, budget, metric), values in rows.groupby(["dataset", "method", "budget", "metric"], sort=False)[
        "value"
    ]:
        if (entry := METRICS.get(str(metric))) is not None:
            summary = float(values.agg(entry.summary))
            found.setdefault((str(dataset), str(method), str(budget)), {})[f"{metric}_{entry.summary}"] = summary
    return found


def _nanmean(values: Array) -> float:
    there = values[np.isfinite(values)]
    return float(there.mean()) if there.size else float("nan")
