"""Where the variance comes from, if the benchmark's repeats are a Latin square."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glocalseg.config.benchmark import Benchmark
from glocalseg.evaluation.statistics.arrays import repeat_means
from glocalseg.evaluation.statistics.components import Component, latin_square
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.text.names import BASELINE, UPPER_BOUND


@dataclass(frozen=True)
class Sources:
    """The components of a method's Dice at a budget, or of its gain over random weights; None where runs are missing."""

    method: str
    budget: str
    of_gain: bool
    components: tuple[Component, ...] | None


def levels(b: Benchmark) -> list[tuple[int, int, int]] | None:
    """Choice, pretraining and fine-tuning of every repeat, if they form a Latin square; else None."""
    found = [(r.draw, r.pretraining, r.finetuning) for r in b.all_repeats]
    try:
        latin_square(np.arange(len(found), dtype=float), found, confidence=b.statistics.confidence)
    except ValueError:
        return None
    return found


def sources(a: DatasetAnalysis, b: Benchmark) -> list[Sources]:
    """The components of every cell and of its gain over random weights; none if the repeats are no Latin square."""
    square = levels(b)
    if square is None:
        return []
    found = []
    for (method, budget), cell in a.cells.items():
        if method == UPPER_BOUND:  # has no choice of labelled volumes
            continue
        values = [(False, cell.scores)]
        if method != BASELINE and a.cell(BASELINE, budget) is not None:
            values.append((True, cell.scores - a.scores(BASELINE, budget)))
        for of_gain, scores in values:
            means = repeat_means(scores)
            there = np.isfinite(means).all()
            parts = latin_square(means, square, confidence=a.statistics.confidence) if there else None
            found.append(Sources(method, budget, of_gain, parts))
    return found
