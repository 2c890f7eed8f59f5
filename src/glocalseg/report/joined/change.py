"""Means that two reports have in common, those that changed, and whether a change is within noise.

Where both have the same test volumes and repeats (of the same choices of volumes and seeds), values are paired, and the
interval is that of ``statistics.intervals``, with subjects and repeats as random factors. Where only the subjects are the same,
repeats are independent samples: Welch's interval on their means. Where the subjects differ as well, each mean brings its own
error, of subjects and of repeats. Means over other structures are no measurement of the same, and nobody can judge them.

Who looks at many means finds a change in one of them, so that intervals are Bonferroni's: the means of Dice over all structures
are one family, all others a second one. A change is within noise if its interval holds zero. A single repeat has no interval,
and no answer.

Source: Welch (1947), Biometrika 34:28.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from glocalseg.evaluation.metrics import METRICS, PRIMARY
from glocalseg.evaluation.statistics.arrays import ROUNDING, Array, dense, paired, repeat_means, subject_scores
from glocalseg.evaluation.statistics.intervals import Interval, mean_of, reach
from glocalseg.report.joined.side import OF_RUN, Side
from glocalseg.report.text.names import ALL, budget_order
from glocalseg.stages.score import SELECTED

CELL = ["dataset", "method", "budget"]
WHOLE = "all structures"
FREE = (-np.inf, np.inf)
How = Literal["paired", "Welch", "Welch, other subjects", "other structures"]
Key = tuple[str, str, str, str, str]  # dataset, method, budget, structure, metric
Cells = dict[Key, pd.DataFrame]


@dataclass(frozen=True)
class Change:
    """A mean of both reports. ``difference`` is the second minus the first, with its corrected interval."""

    dataset: str
    method: str
    budget: str
    structure: str
    metric: str
    first: float
    second: float
    difference: Interval
    how: How

    @property
    def changed(self) -> bool:
        """Whether the mean is another one."""
        return not abs(self.second - self.first) <= ROUNDING and not (np.isnan(self.first) and np.isnan(self.second))

    @property
    def within(self) -> bool | None:
        """Whether the change is within noise; None where nobody can tell."""
        low, high = self.difference.low, self.difference.high
        return None if np.isnan([low, high]).any() else bool(low <= 0 <= high)


def changes(first: Side, second: Side, confidence: float) -> list[Change]:
    """Every mean that both reports have, those of Dice over all structures first.

    Args:
        confidence: that no interval of a family leaves zero out where nothing changed but by chance.
    """
    sides = [_cells(side.scores) for side in (first, second)]
    common = sorted((key for key in sides[0] if key in sides[1]), key=_order)
    headline = sum(_headline(key) for key in common)
    found = []
    for key in common:
        family = headline if _headline(key) else len(common) - headline
        found.append(_change(key, sides[0][key], sides[1][key], 1 - (1 - confidence) / family))
    return found


def _headline(key: Key) -> bool:
    return key[3:] == (WHOLE, PRIMARY)


def _order(key: Key) -> tuple[bool, str, tuple[int, int], str, int, str]:
    dataset, method, budget, structure, metric = key
    place = list(METRICS).index(metric) if metric in METRICS else len(METRICS)
    number = budget_order(budget) if budget == ALL or budget.isdigit() else (2, 0)
    return not _headline(key), dataset, number, method, place, "" if structure == WHOLE else structure


def _cells(scores: pd.DataFrame) -> Cells:
    """One row per run and subject of every mean, with the columns of ``subject_scores`` and what a repeat is (``design``)."""
    own = scores[scores["weights"] == SELECTED]
    design = own[[c for c in OF_RUN if c in own]].astype(str).agg("/".join, axis=1) if OF_RUN[0] in own else ""
    own = own.assign(repeat=own["repeat"], design=design)
    found: Cells = {}
    for metric, rows in own.groupby("metric", sort=False):
        parts = [(WHOLE, rows)]
        if metric == PRIMARY and rows["structure"].nunique() > 1:
            parts += [(str(name), part) for name, part in rows.groupby("structure", sort=False)]
        for structure, part in parts:
            about = part.groupby([*CELL, "repeat", "subject"], sort=False).agg(
                volumes=("volume", lambda v: "/".join(sorted(set(v)))),
                design=("design", "first"),
                structures=("structure", lambda v: frozenset(v)),
            )
            means = subject_scores(part).set_index([*CELL, "repeat", "subject"]).join(about).reset_index()
            for cell, of in means.groupby(CELL, sort=False):
                found[(*map(str, cell), structure, str(metric))] = of  # type: ignore[index]
    return found


def _change(key: Key, first: pd.DataFrame, second: pd.DataFrame, confidence: float) -> Change:
    subjects = _tested(first) == _tested(second)
    repeats = _designs(first) == _designs(second)
    people, names = (sorted({*first[c], *second[c]}) for c in ("subject", "repeat"))
    if subjects and repeats:
        one, two = (dense(side, people, names) for side in (first, second))
        difference = mean_of(paired(two, one), confidence=confidence, bounds=FREE).interval
        how: How = "paired"
    else:
        one, two = (dense(s, sorted(set(s["subject"])), sorted(set(s["repeat"]))) for s in (first, second))
        difference = welch(one, two, confidence=confidence, shared=subjects)
        how = "Welch" if subjects else "Welch, other subjects"
    if frozenset().union(*first["structures"]) != frozenset().union(*second["structures"]):
        difference, how = Interval(difference.estimate, np.nan, np.nan), "other structures"  # means of other things
    means = (float(np.nanmean(side)) if np.isfinite(side).any() else np.nan for side in (one, two))
    before, after = means
    return Change(*key, before, after, difference, how)


def _tested(rows: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(rows["subject"], rows["volumes"], strict=True))


def _designs(rows: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(rows["repeat"], rows["design"], strict=True))


def welch(first: Array, second: Array, *, confidence: float, shared: bool) -> Interval:
    """The difference of two means, second minus first, of independent repeats; NaN bounds for a single one.

    Args:
        first, second: (subjects, repeats) arrays, NaN where a value is missing.
        confidence: of the interval, in (0, 1).
        shared: whether both have the same subjects, whose own level then does not make them differ.
    """
    parts = list(_errors((first, second), shared=shared))
    estimate = parts[1][0] - parts[0][0]
    total = sum(square for _, square, _ in parts)
    if not np.isfinite(total):
        return Interval(estimate, np.nan, np.nan)
    below = sum(square**2 / freedom for _, square, freedom in parts if square > 0)
    width = reach(total**2 / below, confidence) * float(np.sqrt(total)) if below > 0 else 0.0
    return Interval(estimate, estimate - width, estimate + width)


def _errors(sides: tuple[Array, Array], *, shared: bool) -> Iterator[tuple[float, float, float]]:
    """Mean, its squared error and the degrees of freedom of each side."""
    for scores in sides:
        if shared:
            means = repeat_means(scores)
            means = means[np.isfinite(means)]
            n = len(means)
            yield float(means.mean()) if n else np.nan, float(means.var(ddof=1) / n) if n > 1 else np.nan, n - 1
        else:
            found = mean_of(scores, confidence=0.95, bounds=FREE)
            yield found.interval.estimate, found.error**2, found.freedom
