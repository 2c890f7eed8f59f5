"""The interval of a mean and of a paired gain, with subjects and repeats as random factors.

A value is truth + subject + repeat + rest, each a random variable. The squared error of the mean over S subjects and R repeats
is estimated, without bias, from three parts: the variance of the subjects' means over S, plus that of the repeats' means over
R, minus that of the rest over S R, which is in both of the others (never less than either of the first two). An interval
reaches to either side by the error times Student's t, with Satterthwaite's degrees of freedom: close to S - 1 where subjects
vary most, to R - 1 where repeats do. With missing values all of this holds to first order.

Resampling subjects and repeats independently (the pigeonhole bootstrap) converges to the sum of all three parts, with the rest
counted three times: nearly the same where repeats vary much, and intervals a third too wide where they do not, as in gains at
eight labelled volumes.

A single repeat says nothing about how repeats vary: it has an estimate and no interval.

Sources: Searle, Casella and McCulloch (1992), Variance components, chapter 4; Satterthwaite (1946), Biometrics Bulletin 2:110;
Owen (2007), The pigeonhole bootstrap, Annals of Applied Statistics 1:386; Hodges and Lehmann (1963), Annals of
Mathematical Statistics 34:598.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from glocalseg.evaluation.statistics.arrays import ROUNDING, Array, paired, repeat_means, trim


@dataclass(frozen=True)
class Interval:
    """An estimate with the bounds of its interval; NaN where there is nothing to estimate from."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Mean:
    """The mean of a score array with its interval.

    ``error`` is the standard error, ``freedom`` the degrees of freedom (infinite where nothing varies); both NaN where there
    is no interval. ``by_subject``, ``by_repeat`` and ``by_rest`` are the parts that the squared error is made of.
    ``subjects`` and ``repeats`` count those that have a value.
    """

    interval: Interval
    subjects: int
    repeats: int
    error: float = np.nan
    freedom: float = np.nan
    by_subject: float = np.nan
    by_repeat: float = np.nan
    by_rest: float = np.nan


@dataclass(frozen=True)
class Gain:
    """A paired difference: the mean with its interval, and beside it the Hodges-Lehmann estimate over the repeats' means.

    ``wins`` is the share of (subject, repeat) where the method scores higher, ties counted half; ``repeat_wins`` counts the
    repeats whose mean over subjects is higher.
    """

    mean: Mean
    typical: Interval
    wins: float
    repeat_wins: int


def mean_of(scores: Array, *, confidence: float, bounds: tuple[float, float] = (0.0, 1.0)) -> Mean:
    """The mean of a (subjects, repeats) array with its interval, as the module's docstring defines it.

    Args:
        scores: float64, NaN where a value is missing.
        confidence: of the interval, in (0, 1).
        bounds: smallest and largest possible score; the interval ends there.
    """
    scores = trim(scores)
    subjects, repeats = scores.shape
    if not scores.size:
        return Mean(Interval(np.nan, np.nan, np.nan), 0, 0)
    estimate = float(np.nanmean(scores))
    if repeats == 1:
        return Mean(Interval(estimate, np.nan, np.nan), subjects, 1)
    parts = _parts(scores, estimate)
    square = max(parts[0] + parts[1] - parts[2], parts[0], parts[1])
    if square < ROUNDING**2:  # every value is the same
        square, parts = 0.0, (0.0, 0.0, 0.0)
    error = float(np.sqrt(square))
    levels = (subjects - 1, repeats - 1, (subjects - 1) * (repeats - 1))
    freedom = satterthwaite(square, list(zip(parts, levels, strict=True)))
    width = reach(freedom, confidence) * error
    low, high = np.clip([estimate - width, estimate + width], *bounds)
    interval = Interval(estimate, float(low), float(high))
    return Mean(interval, subjects, repeats, error, freedom, *parts)


def gain_of(scores: Array, baseline: Array, *, confidence: float) -> Gain:
    """The mean paired difference of two (subjects, repeats) arrays; only values that both have are compared.

    Raises:
        ValueError: if the shapes differ, for then nothing is paired.
    """
    gap = paired(scores, baseline)
    mean = mean_of(gap, confidence=confidence, bounds=(-1.0, 1.0))
    there = gap[np.isfinite(gap)]
    wins = float(np.mean((there > 0) + 0.5 * (there == 0))) if there.size else np.nan
    means = repeat_means(gap)
    return Gain(mean, hodges_lehmann(means, confidence=confidence), wins, int((means > 0).sum()))


def hodges_lehmann(values: Array, *, confidence: float) -> Interval:
    """The median of the means of all pairs of values (each with itself too), with the exact signed-rank interval.

    One wild repeat moves it little. The bounds hold for symmetric distributions; they are NaN where there are too few values
    for the confidence (below six for 95%).

    Args:
        values: (n,) float64, NaN skipped.
    """
    values = values[np.isfinite(values)]
    n = len(values)
    if not n:
        return Interval(np.nan, np.nan, np.nan)
    first, second = np.triu_indices(n)
    pairs = np.sort((values[first] + values[second]) / 2)
    below = np.cumsum(_signed_rank(n))  # P(W <= 0), P(W <= 1), ...
    left_out = int(
        np.searchsorted(below, (1 - confidence) / 2, side="right")
    )  # pairs that the interval leaves out, each side
    low, high = (pairs[left_out - 1], pairs[-left_out]) if left_out else (np.nan, np.nan)
    return Interval(float(np.median(pairs)), float(low), float(high))


def satterthwaite(total: float, parts: Sequence[tuple[float, int]]) -> float:
    """Degrees of freedom of a total that is a sum (or difference) of (variance, degrees of freedom).

    Never fewer than the part with the fewest has; infinite if there is no variance in it. Parts without degrees of freedom
    do not count.
    """
    below = sum(v**2 / n for v, n in parts if n > 0)
    return max(total**2 / below, min(n for _, n in parts if n > 0)) if below > ROUNDING**4 else np.inf


def reach(freedom: float, confidence: float) -> float:
    """How many standard errors a two-sided interval reaches to either side: Student's t, normal for infinite freedom."""
    from scipy.special import ndtri, stdtrit

    share = (1 + confidence) / 2
    return float(stdtrit(freedom, share) if np.isfinite(freedom) else ndtri(share))


def _parts(scores: Array, mean: float) -> tuple[float, float, float]:
    """The mean squares of subjects, repeats and the rest, over S R; zero of a factor with one level.

    ``share`` holds what each value adds to the deviation of the mean, zero where it is missing.
    """
    subjects, repeats = scores.shape
    there = np.isfinite(scores)
    share = np.where(there, scores - mean, 0.0) / there.sum()
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    rest = share - rows[:, None] / repeats - columns[None, :] / subjects
    scale = [n / (n - 1) if n > 1 else 0.0 for n in (subjects, repeats)]
    parts = scale[0] * (rows**2).sum(), scale[1] * (columns**2).sum(), scale[0] * scale[1] * (rest**2).sum()
    return float(parts[0]), float(parts[1]), float(parts[2])


@cache
def _signed_rank(n: int) -> Array:
    """P(W = 0), P(W = 1), ... of Wilcoxon's signed-rank statistic of n values: (n (n + 1) / 2 + 1,)."""
    chances = np.zeros(n * (n + 1) // 2 + 1)
    chances[0] = 1.0
    for rank in range(1, n + 1):  # each rank counts or does not, with equal chances
        shifted = np.zeros_like(chances)
        shifted[rank:] = chances[:-rank]
        chances = (chances + shifted) / 2
    return chances
