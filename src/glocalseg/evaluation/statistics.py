"""Intervals, paired comparisons and verdicts over test subjects, draws of labelled volumes, and seeds.

A score array has one value per (subject, draw, seed): structures of a volume averaged first, then volumes of a subject,
nothing else. The three factors are crossed (every draw and seed is tested on the same subjects), so that

- the *estimate* is the mean, or the median, of all values of the array that are not NaN;
- the *bootstrap* resamples subjects, draws and seeds independently of one another and keeps the values at the resampled
  levels (the pigeonhole bootstrap, Owen 2007). A factor with n > 1 levels is resampled n - 1 times, which makes the
  bootstrap variance of a mean unbiased in that factor (Rao and Wu 1988); one with a single level stays as it is;
- the *interval* is the estimate plus and minus the bootstrap's standard error times Student's t. Percentiles of the bootstrap
  are not used: of two or three draws or seeds they are far too narrow. The degrees of freedom are Satterthwaite's, from the
  variances of the level means;
- the *p value* of a paired difference is Student's with the same standard error and degrees of freedom, so that it is below
  0.05 just where the 95% interval leaves zero out.

What this cannot do: with one draw or one seed its variation is not in the interval at all, and with two or three seeds
there are one or two degrees of freedom for it, so that intervals are wide where seeds matter and only large differences
are called. Levels are taken for a random sample of those that could have been; the draws share volumes of one pool, so
they are not quite that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
Verdict = Literal["better", "worse", "not distinguishable"]
RUN = ["dataset", "method", "budget", "draw", "seed"]
_ROUNDING = 1e-12  # a standard error below this is that of equal values
_CHUNK = 250  # resamples of a median at a time: bounds the memory


@dataclass(frozen=True)
class Interval:
    """An estimate with the bounds of its interval; NaN where there is nothing to estimate from."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """Mean and median of a score array with their intervals, and how many levels and runs they rest on."""

    mean: Interval
    median: Interval
    subjects: int
    draws: int
    seeds: int
    runs: int


@dataclass(frozen=True)
class Comparison:
    """A method against a baseline on the same subjects, draws and seeds.

    ``wins`` is the share of (subject, draw, seed) where the method scores higher, ties counted half; ``run_wins`` counts the
    ``runs`` (draw, seed) whose mean over subjects is higher. ``p`` is NaN where nothing can be tested (a single value).
    """

    difference: Interval
    p: float
    wins: float
    run_wins: int
    runs: int


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A generator that depends on (seed, purpose) and on nothing else."""
    word = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "big")
    return np.random.default_rng([seed, word])


def subject_scores(rows: pd.DataFrame) -> pd.DataFrame:
    """One value per run and subject: structures of a volume averaged, then volumes of the subject; NaN values skipped.

    Args:
        rows: score rows of one metric, with the columns of RUN, ``subject``, ``volume``, ``structure`` and ``value``.
    """
    volumes = rows.groupby([*RUN, "subject", "volume"], sort=False)["value"].mean()
    return volumes.groupby(level=[*RUN, "subject"], sort=False).mean().reset_index()


def dense(scores: pd.DataFrame, subjects: Sequence[str], draws: Sequence[int], seeds: Sequence[int]) -> Array:
    """Scores of one method and budget as an array (subjects, draws, seeds) float64; NaN where there is no row."""
    array = np.full((len(subjects), len(draws), len(seeds)), np.nan)
    places = [
        pd.Index(levels).get_indexer(scores[name])
        for name, levels in (("subject", subjects), ("draw", draws), ("seed", seeds))
    ]
    array[tuple(places)] = scores["value"].to_numpy()
    return array


def summarise(
    scores: Array,
    *,
    resamples: int,
    confidence: float,
    rng: np.random.Generator,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Summary:
    """Mean and median of a (subjects, draws, seeds) array with intervals, as the module's docstring defines them.

    Args:
        scores: float64, NaN where a value is missing.
        resamples: number of bootstrap resamples.
        confidence: of the intervals, in (0, 1).
        rng: see ``generator``.
        bounds: smallest and largest possible score; intervals end there.
    """
    scores = _trim(scores)
    runs = int(np.isfinite(scores).any(axis=0).sum())
    if not scores.size:
        nothing = Interval(np.nan, np.nan, np.nan)
        return Summary(nothing, nothing, 0, 0, 0, 0)
    weights = _weights(scores.shape, resamples, rng)
    reach = _reach(_freedom(scores), confidence)
    mean = _interval(float(np.nanmean(scores)), _error(_means(scores, weights)), reach, bounds)
    median = _interval(float(np.nanmedian(scores)), _error(_medians(scores, weights)), reach, bounds)
    subjects, draws, seeds = scores.shape
    return Summary(mean, median, subjects, draws, seeds, runs)


def compare(
    scores: Array,
    baseline: Array,
    *,
    resamples: int,
    confidence: float,
    rng: np.random.Generator,
) -> Comparison:
    """The mean paired difference of two (subjects, draws, seeds) arrays with interval and two-sided p value.

    Only values that both arrays have are compared. The p value is not yet corrected: see ``holm``.

    Raises:
        ValueError: if the shapes differ, for then nothing is paired.
    """
    if scores.shape != baseline.shape:
        raise ValueError(f"paired arrays: expected equal shapes, found {scores.shape} and {baseline.shape}")
    gap = _trim(scores - baseline)
    if not gap.size:
        return Comparison(Interval(np.nan, np.nan, np.nan), np.nan, np.nan, 0, 0)
    estimate = float(np.nanmean(gap))
    error, freedom = _error(_means(gap, _weights(gap.shape, resamples, rng))), _freedom(gap)
    interval = _interval(estimate, error, _reach(freedom, confidence), (-1.0, 1.0))
    p = np.nan if max(gap.shape) == 1 else _p_value(estimate, error, freedom)
    there = gap[np.isfinite(gap)]
    wins = float(np.mean((there > 0) + 0.5 * (there == 0)))
    by_run = _level_means(gap.reshape(len(gap), -1), 1)
    return Comparison(interval, p, wins, int((by_run > 0).sum()), len(by_run))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's corrected p values, in the order given; NaN stays NaN and does not count as a comparison."""
    p = np.asarray(p_values, float)
    corrected = np.full(len(p), np.nan)
    order = [i for i in np.argsort(p, kind="stable") if np.isfinite(p[i])]
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p[i]))
        corrected[i] = highest
    return [float(v) for v in corrected]


def verdict(difference: float, corrected_p: float, *, confidence: float) -> Verdict:
    """What may be said of a comparison: ``better`` or ``worse`` only where the corrected p value is small enough."""
    if not np.isfinite(corrected_p) or corrected_p >= 1 - confidence or difference == 0:
        return "not distinguishable"
    return "better" if difference > 0 else "worse"


# ---------------------------------------------------------------- the bootstrap


def _trim(scores: Array) -> Array:
    """The array without levels that have no value at all: a run that is missing must not be resampled."""
    there = np.isfinite(scores)
    for axis in range(scores.ndim):
        others = tuple(a for a in range(scores.ndim) if a != axis)
        scores = np.compress(there.any(axis=others), scores, axis=axis)
        there = np.isfinite(scores)
    return scores


def _weights(shape: tuple[int, ...], resamples: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """How often each level of each factor is drawn: one (resamples, n) int64 array per factor."""
    return [
        rng.multinomial(n - 1, np.full(n, 1 / n), size=resamples) if n > 1 else np.ones((resamples, 1), np.int64)
        for n in shape
    ]


def _means(scores: Array, weights: list[NDArray[np.int64]]) -> Array:
    """(resamples,) means of the resampled arrays; NaN where a resample holds no value."""
    there = np.isfinite(scores)
    total = _weighted_sum(np.where(there, scores, 0.0), weights)
    count = _weighted_sum(there.astype(float), weights)
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def _weighted_sum(values: Array, weights: list[NDArray[np.int64]]) -> Array:
    subjects, draws, seeds = values.shape
    over_subjects = (weights[0].astype(float) @ values.reshape(subjects, -1)).reshape(-1, draws, seeds)
    return np.einsum("rde,rd,re->r", over_subjects, weights[1].astype(float), weights[2].astype(float))


def _medians(scores: Array, weights: list[NDArray[np.int64]]) -> Array:
    """(resamples,) medians of the resampled arrays; NaN where a resample holds no value."""
    places = np.nonzero(np.isfinite(scores))
    order = np.argsort(scores[places], kind="stable")
    values = scores[places][order]
    s, d, e = (p[order] for p in places)
    medians = []
    for start in range(0, len(weights[0]), _CHUNK):
        ws, wd, we = (w[start : start + _CHUNK] for w in weights)
        reached = np.cumsum(ws[:, s] * wd[:, d] * we[:, e], axis=1)
        total = reached[:, -1:]
        lower = (reached <= (total - 1) // 2).sum(axis=1)
        upper = (reached <= total // 2).sum(axis=1)
        last = len(values) - 1
        pair = (values[np.minimum(lower, last)] + values[np.minimum(upper, last)]) / 2
        medians.append(np.where(total[:, 0] > 0, pair, np.nan))
    return np.concatenate(medians)


def _level_means(scores: Array, axis: int) -> Array:
    """Mean per level of a factor, levels without a value left out."""
    others = tuple(a for a in range(scores.ndim) if a != axis)
    there = np.isfinite(scores)
    count = there.sum(axis=others)
    total = np.where(there, scores, 0.0).sum(axis=others)
    return total[count > 0] / count[count > 0]


def _freedom(scores: Array) -> float:
    """Satterthwaite's degrees of freedom of the mean: infinite if no factor varies."""
    parts = [(np.var(m, ddof=1) / len(m), len(m) - 1) for a in range(scores.ndim) if len(m := _level_means(scores, a)) > 1]
    below = sum(v**2 / n for v, n in parts)
    return float(sum(v for v, _ in parts) ** 2 / below) if below > _ROUNDING**4 else np.inf


def _error(drawn: Array) -> float:
    """Standard error: the spread of what the resamples gave, those without a value left out."""
    there = drawn[np.isfinite(drawn)]
    return float(there.std()) if there.size else np.nan


def _reach(freedom: float, confidence: float) -> float:
    """How many standard errors an interval reaches to either side."""
    return float((stats.t if np.isfinite(freedom) else stats.norm).ppf((1 + confidence) / 2, *_df(freedom)))


def _interval(estimate: float, error: float, reach: float, bounds: tuple[float, float]) -> Interval:
    low, high = np.clip([estimate - reach * error, estimate + reach * error], *bounds)
    return Interval(estimate, float(low), float(high))


def _p_value(estimate: float, error: float, freedom: float) -> float:
    if error < _ROUNDING:  # every value is the same
        return 1.0 if abs(estimate) < _ROUNDING else 0.0
    return float(2 * (stats.t if np.isfinite(freedom) else stats.norm).sf(abs(estimate) / error, *_df(freedom)))


def _df(freedom: float) -> tuple[float, ...]:
    return (freedom,) if np.isfinite(freedom) else ()
