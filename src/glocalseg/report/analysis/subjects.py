"""Which test subjects are hard: for all methods, and for single ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glocalseg.evaluation.statistics.arrays import Array, level_means
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.text.names import ALL, BASELINE


@dataclass(frozen=True)
class Hard:
    """A test subject with a low mean Dice; ``method`` and ``budget`` say of which cell, and are empty of all of them."""

    subject: str
    dice: float
    method: str = ""
    budget: str = ""


@dataclass(frozen=True)
class Worst:
    """The subjects with the lowest mean over cells, and the lowest single cells, the lowest first."""

    subjects: tuple[Hard, ...]
    cells: tuple[Hard, ...]


def worst_subjects(a: DatasetAnalysis, *, most: int = 5) -> Worst:
    """The hardest test subjects for random weights and the candidates.

    Every cell counts alike, whatever its number of repeats; controls and the upper bound are left out, for they are not what
    a reader would use.

    Args:
        most: how many subjects and cells are named at most.
    """
    means = {key: subject_means(a, *key) for key in a.cells if key[1] != ALL and key[0] in (BASELINE, *a.candidates)}
    if not means:
        return Worst((), ())
    overall = level_means(np.array(list(means.values())), 1)
    subjects = [Hard(a.people[i], float(overall[i])) for i in np.argsort(overall, kind="stable") if np.isfinite(overall[i])]
    cells = [
        Hard(person, float(value), *key)
        for key, of in means.items()
        for person, value in zip(a.people, of, strict=True)
        if np.isfinite(value)
    ]
    return Worst(tuple(subjects[:most]), tuple(sorted(cells, key=lambda hard: hard.dice)[:most]))


def subject_means(a: DatasetAnalysis, method: str, budget: str) -> Array:
    """(subjects,) Dice of a method at a budget, over the repeats that a subject has a score of; NaN where it has none."""
    return level_means(a.scores(method, budget), 0)
