"""Runs that did not train, as an outcome of their own: which, how many, and whether a method has more of them.

A run is *failed* if

- it lost a structure: the structure's mean Dice over the test subjects is below 0.1, or below half of its reference; or
- it is far below its cell: its mean Dice is below two thirds of its reference.

The *reference* is the upper quartile of the same mean over the runs of the cell (one method, one budget). The median would be
the usual choice and does not resist what is looked for: if a run fails with a chance of one third, half or more of ten runs
fail in 21% of cells, and the median is then a failed run's; seven or more, which the upper quartile would need, in 2%. It lies
0.7 standard deviations above the median of runs that train, which costs little against thresholds so far away. Both
thresholds are shares of what the cell reaches, for Dice of 0.4 may be a good run of a hard structure. Runs of few labels
differ by a sixth or a quarter through the choice of the labelled volume alone, with every method alike: that is no failure, and
stays above the thresholds. 0.1 alone is absolute, for where every run of a cell loses a structure none is below the others.

Scores of the runs that trained are *conditional*: they leave out different repeats for different methods, and say nothing
about what a user should expect.

Source: Wilson (1927), JASA 22:209 (the interval); McNemar (1947), Psychometrika 12:153, in its exact, binomial form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from glocalseg.evaluation.statistics.arrays import MIN_REPEATS, Array, repeat_means
from glocalseg.evaluation.statistics.intervals import Interval

Reason = Literal["lost a structure", "far below its cell"]
LOST = 0.1  # mean Dice of a structure that is not there
LOST_SHARE = 1 / 2  # of the structure's reference
FAR_SHARE = 2 / 3  # of the cell's reference


@dataclass(frozen=True)
class FailedRun:
    """A failed run: its repeat (place in the array), why, and the Dice that shows it beside its reference.

    ``structure`` is the place of the lost structure (the one with the smallest Dice); None where the reason is the mean.
    """

    repeat: int
    reason: Reason
    dice: float
    reference: float
    structure: int | None


@dataclass(frozen=True)
class Discordance:
    """Repeats that failed with one of two methods alone, of ``repeats`` that both have; ``p`` is NaN below six repeats."""

    method_only: int
    baseline_only: int
    repeats: int
    p: float


def failed_runs(structures: Array) -> list[FailedRun]:
    """The failed runs of a cell, by the rule of the module's docstring, in the order of repeats.

    Args:
        structures: Dice (structures, subjects, repeats) of one method and budget, NaN where missing.
    """
    means = np.array([repeat_means(s) for s in structures])  # (structures, repeats)
    overall = repeat_means(means)
    references, cell = np.array([reference(m) for m in means]), reference(overall)
    found = []
    for repeat in np.flatnonzero(np.isfinite(overall)):
        of_run = means[:, repeat]
        lost = np.flatnonzero((of_run < LOST) | (of_run < LOST_SHARE * references))
        if len(lost):
            worst = int(lost[of_run[lost].argmin()])
            found.append(FailedRun(int(repeat), "lost a structure", float(of_run[worst]), float(references[worst]), worst))
        elif overall[repeat] < FAR_SHARE * cell:
            found.append(FailedRun(int(repeat), "far below its cell", float(overall[repeat]), cell, None))
    return found


def failed_flags(structures: Array) -> Array:
    """(repeats,) 1.0 where a run failed, 0.0 where it trained, NaN where there is none. See ``failed_runs``."""
    flags = np.where(np.isfinite(structures).any(axis=(0, 1)), 0.0, np.nan)
    flags[[run.repeat for run in failed_runs(structures)]] = 1.0
    return flags


def reference(values: Array) -> float:
    """The upper quartile of the values that are there; NaN if there are none."""
    there = values[np.isfinite(values)]
    return float(np.quantile(there, 0.75)) if there.size else np.nan


def failed_share(flags: Array, *, confidence: float) -> Interval:
    """The share of failed runs with Wilson's interval.

    Args:
        flags: (repeats,) 1.0 failed, 0.0 trained, NaN missing.
    """
    from scipy.special import ndtri

    there = flags[np.isfinite(flags)]
    n = len(there)
    if not n:
        return Interval(np.nan, np.nan, np.nan)
    share, z = float(there.mean()), float(ndtri((1 + confidence) / 2))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # at 0 and 1 the bounds are exact; rounding would put them just beyond
    return Interval(share, 0.0 if share == 0 else float(middle - half), 1.0 if share == 1 else float(middle + half))


def compare_failures(flags: Array, baseline: Array) -> Discordance:
    """Whether a method fails in other repeats than its baseline: McNemar's exact two-sided test.

    Args:
        flags, baseline: (repeats,) as ``failed_flags`` gives them, of the same repeats.

    Raises:
        ValueError: if the numbers of repeats differ, for then nothing is paired.
    """
    if flags.shape != baseline.shape:
        raise ValueError(f"paired flags: expected equal shapes, found {flags.shape} and {baseline.shape}")
    gap = (flags - baseline)[np.isfinite(flags - baseline)]
    more, fewer = int((gap > 0).sum()), int((gap < 0).sum())
    p = _binomial(min(more, fewer), more + fewer) if len(gap) >= MIN_REPEATS else np.nan
    return Discordance(more, fewer, len(gap), p)


def conditional(scores: Array, *failed: NDArray[np.float64]) -> Array:
    """The (subjects, repeats) scores with the repeats that failed, in any of the flags, set to NaN.

    For a paired gain give the flags of both methods to both. What is computed from this is conditional on training.
    """
    out = np.any([f == 1 for f in failed], axis=0) if failed else np.zeros(scores.shape[1], bool)
    return np.where(out[None, :], np.nan, scores)


def _binomial(smaller: int, n: int) -> float:
    """Two-sided p value of a fair coin that shows the rarer side ``smaller`` times in n."""
    from math import comb

    return min(1.0, 2 * sum(comb(n, k) for k in range(smaller + 1)) / 2**n)
