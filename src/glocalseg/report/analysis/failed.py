"""Failed runs of every cell, as an outcome of their own, and the scores of those that trained, called conditional."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glocalseg.evaluation.statistics.arrays import Array
from glocalseg.evaluation.statistics.failures import (
    Discordance,
    FailedRun,
    compare_failures,
    conditional,
    failed_flags,
    failed_runs,
    failed_share,
)
from glocalseg.evaluation.statistics.intervals import Gain, Interval, Mean, gain_of, mean_of
from glocalseg.report.analysis.cells import Cell, DatasetAnalysis
from glocalseg.report.text.names import BASELINE


@dataclass(frozen=True)
class Failures:
    """What failed in a cell: ``flags`` (repeats,), the runs, and their share with its interval.

    ``against`` says whether other repeats failed than with random weights, and is None of those and where those have no cell.
    ``mean`` is that of the runs that trained; ``gain`` that of the repeats in which random weights trained too.
    """

    cell: Cell
    flags: Array
    runs: tuple[FailedRun, ...]
    share: Interval
    against: Discordance | None
    mean: Mean
    gain: Gain | None


def failures(a: DatasetAnalysis) -> dict[tuple[str, str], Failures]:
    """The failures of every cell, by (method, budget)."""
    flags = {key: failed_flags(_structures(a, cell)) for key, cell in a.cells.items()}
    return {key: _failures(a, cell, flags[key], flags.get((BASELINE, key[1]))) for key, cell in a.cells.items()}


def _failures(a: DatasetAnalysis, cell: Cell, flags: Array, baseline: Array | None) -> Failures:
    confidence = a.statistics.confidence
    alone = cell.method == BASELINE or baseline is None
    return Failures(
        cell,
        flags,
        tuple(failed_runs(_structures(a, cell))),
        failed_share(flags, confidence=confidence),
        None if alone or baseline is None else compare_failures(flags, baseline),
        mean_of(conditional(cell.scores, flags), confidence=confidence),
        None if alone or baseline is None else gain_of(
            conditional(cell.scores, flags, baseline),
            conditional(a.scores(BASELINE, cell.budget), flags, baseline),
            confidence=confidence,
        ),
    )  # fmt: skip


def _structures(a: DatasetAnalysis, cell: Cell) -> Array:
    """(structures, subjects, repeats) Dice of a cell, in the order of the data set's structures."""
    nothing = np.full(cell.scores.shape, np.nan)
    return np.array([cell.structures.get(s, nothing) for s in a.structures])
