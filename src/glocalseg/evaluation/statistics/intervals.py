"""The interval of a mean and of a paired gain, with subjects and repeats as random factors.

A value is truth + subject + repeat + rest. Its mean over S subjects and R repeats has an error whose square is estimated as
the sum of three parts: the variance of the subjects' means over S, that of the repeats' means over R, and that of the rest
over S R. The rest is counted in the first two already, so that the error is slightly too large: it is what resampling
subjects and repeats independently converges to (the pigeonhole bootstrap, Owen 2007, of n - 1 levels a factor, Rao and
Wu 1988), here in closed form, with missing values to first order. An interval reaches to either side by that error times
Student's t, with Satterthwaite's degrees of freedom of the first two parts: close to S - 1 where subjects vary most, to R - 1
where repeats do.

A single repeat says nothing about how repeats vary: it has an estimate and no interval.

Sources: Owen (2007), The pigeonhole bootstrap, Annals of Applied Statistics 1:386; Rao and Wu (1988), JASA 83:231;
Satterthwaite (1946), Biometrics Bulletin 2:110; Hodges and Lehmann (1963), Annals of Mathematical Statistics 34:598.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    is no interval. ``by_subject`` and ``by_repeat`` are the parts of the squared error that more subjects, or more repeats,
    would make smaller. ``subjects`` and ``repeats`` count those that have a value.
    """

    interval: Interval
    error: float
    freedom: float
    by_subject: float
    by_repeat: float
    subjects: int
    repeats: int


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
        return Mean(Interval(np.nan, np.nan, np.nan), np.nan, np.nan, np.nan, np.nan, 0, 0)
    estimate = float(np.nanmean(scores))
    if repeats == 1:
        return Mean(Interval(estimate, np.nan, np.nan), np.nan, np.nan, np.nan, np.nan, subjects, 1)
    by_subject, by_repeat, by_rest = _parts(scores, estimate)
    error = float(np.sqrt(by_subject + by_repeat + by_rest))
    freedom = satterthwaite((by_subject, subjects - 1), (by_repeat, repeats - 1))
    width = reach(freedom, confidence) * error
    low, high = np.clip([estimate - width, estimate + width], *bounds)
    interval = Interval(estimate, float(low), float(high))
    return Mean(interval, error, freedom, by_subject, by_repeat, subjects, repeats)


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
    left_out = int(np.searchsorted(below, (1 - confidence) / 2, side="right"))  # pairs that the interval leaves out, each side
    low, high = (pairs[left_out - 1], pairs[-left_out]) if left_out else (np.nan, np.nan)
    return Interval(float(np.median(pairs)), float(low), float(high))


def satterthwaite(*parts: tuple[float, int]) -> float:
    """Degrees of freedom of a sum of (variance, degrees of freedom); infinite if there is no variance in it."""
    below = sum(v**2 / n for v, n in parts if n > 0)
    return float(sum(v for v, _ in parts) ** 2 / below) if below > ROUNDING**4 else np.inf


def reach(freedom: float, confidence: float) -> float:
    """How many standard errors a two-sided interval reaches to either side: Student's t, normal for infinite freedom."""
    from scipy.special import ndtri, stdtrit

    share = (1 + confidence) / 2
    return float(stdtrit(freedom, share) if np.isfinite(freedom) else ndtri(share))


def _parts(scores: Array, mean: float) -> tuple[float, float, float]:
    """What subjects, repeats and the rest add to the squared error; zero of a factor with one level.

    ``share`` holds what each value adds to the deviation of the mean; complete arrays give mean squares over S R.
    """
    subjects, repeats = scores.shape
    there = np.isfinite(scores)
    share = np.where(there, scores - mean, 0.0) / there.sum()
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    rest = share - rows[:, None] / repeats - columns[None, :] / subjects
    scale = [n / (n - 1) if n > 1 else 0.0 for n in (subjects, repeats)]
    parts = scale[0] * (rows**2).sum(), scale[1] * (columns**2).sum(), scale[0] * scale[1] * (rest**2).sum()
    return float(parts[0]), float(parts[1]), float(parts[2])


def _signed_rank(n: int) -> Array:
    """P(W = 0), P(W = 1), ... of Wilcoxon's signed-rank statistic of n values: (n (n + 1) / 2 + 1,)."""
    chances = np.zeros(n * (n + 1) // 2 + 1)
    chances[0] = 1.0
    for rank in range(1, n + 1):  # each rank counts or does not, with equal chances
        shifted = np.zeros_like(chances)
        shifted[rank:] = chances[:-rank]
        chances = (chances + shifted) / 2
    return chances
