"""What a method is worth: in labelled volumes of its baseline, and in hours of compute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glocalseg.evaluation.statistics.arrays import Array
from glocalseg.evaluation.statistics.intervals import Interval, mean_of, reach

STEPS = 16  # places between two budgets at which the baseline is compared


def equivalent_budget(scores: Array, baseline: Array, budgets: Sequence[int], *, confidence: float) -> Interval:
    """The number of labelled volumes with which the baseline scores what the method does, with its interval.

    The baseline's scores between two budgets are interpolated, linearly over the logarithm of the budget, per subject and
    repeat. The estimate is the smallest budget at which the baseline's mean reaches the method's. The interval holds all
    budgets at which the paired difference could be zero (its interval there holds zero), so that nothing is assumed about how
    steep the curve is (Fieller's idea).

    0 stands for "fewer than the smallest budget" and infinity for "more than the largest", in the estimate and in the bounds:
    beyond the budgets that were run nothing is known.

    Args:
        scores: the method's at one budget, (subjects, repeats), NaN where missing.
        baseline: (budgets, subjects, repeats), the same subjects and repeats.
        budgets: labelled volumes, rising, two or more.

    Raises:
        ValueError: if the budgets do not rise, are fewer than two, or the shapes differ.
    """
    if len(budgets) < 2 or list(budgets) != sorted(set(budgets)) or min(budgets) <= 0:
        raise ValueError(f"budgets: expected two or more rising numbers of volumes, found {list(budgets)}")
    if baseline.shape != (len(budgets), *scores.shape):
        raise ValueError(f"baseline: expected shape {(len(budgets), *scores.shape)}, found {baseline.shape}")
    places = np.linspace(0, len(budgets) - 1, STEPS * (len(budgets) - 1) + 1)
    volumes = np.exp(np.interp(places, range(len(budgets)), np.log(budgets)))
    gaps = [mean_of(scores - _at(baseline, place), confidence=confidence, bounds=(-1, 1)).interval for place in places]
    low = np.array([g.low for g in gaps])
    high = np.array([g.high for g in gaps])
    estimate = _crossing(np.array([g.estimate for g in gaps]), volumes)
    if not (np.isfinite(low) & np.isfinite(high)).all():
        return Interval(estimate, np.nan, np.nan)
    possible = np.flatnonzero((low <= 0) & (high >= 0))
    if not len(possible):  # beyond all budgets, or between two places of the grid
        return Interval(estimate, estimate, estimate)
    first, last = int(possible[0]), int(possible[-1])
    lowest = 0.0 if first == 0 else _edge(low, high, volumes, first, first - 1)
    highest = np.inf if last == len(volumes) - 1 else _edge(low, high, volumes, last, last + 1)
    return Interval(estimate, min(lowest, estimate), max(highest, estimate))


def per_hour(values: Array, hours: Array, *, confidence: float) -> Interval:
    """Score per hour of compute: mean over mean, with a jackknife interval over repeats.

    For what a pretraining buys give a paired gain and the hours it took more than the baseline.

    Args:
        values: (repeats,) mean over subjects: Dice, or a gain; NaN where missing.
        hours: (repeats,) hours of compute of the same runs, NaN where not recorded.

    Raises:
        ValueError: if the shapes differ or a number of hours is not above zero.
    """
    if values.shape != hours.shape:
        raise ValueError(f"hours: expected one per repeat, {values.shape}, found {hours.shape}")
    there = np.isfinite(values) & np.isfinite(hours)
    values, hours = values[there], hours[there]
    if (hours <= 0).any():
        raise ValueError(f"hours: expected numbers above zero, found {hours.min()}")
    n = len(values)
    if not n:
        return Interval(np.nan, np.nan, np.nan)
    estimate = float(values.sum() / hours.sum())
    if n == 1:
        return Interval(estimate, np.nan, np.nan)
    without = (values.sum() - values) / (hours.sum() - hours)
    error = float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))
    width = reach(n - 1, confidence) * error
    return Interval(estimate, estimate - width, estimate + width)


def _at(baseline: Array, place: float) -> Array:
    """The baseline's (subjects, repeats) at a place between two of its budgets: 1.25 is a quarter of the way on from 1."""
    before = min(int(place), len(baseline) - 2)
    share = place - before
    if share in (0.0, 1.0):  # a missing value of the other budget does not matter
        return baseline[before + int(share)]
    return (1 - share) * baseline[before] + share * baseline[before + 1]


def _crossing(gaps: Array, volumes: Array) -> float:
    """The smallest number of volumes at which the method's lead is gone, between two places by the straight line."""
    gone = np.flatnonzero(gaps <= 0)
    if not len(gone):
        return float(np.inf) if np.isfinite(gaps).any() else np.nan
    i = int(gone[0])
    if i == 0:
        return float(volumes[0]) if gaps[0] == 0 else 0.0
    return _between(gaps, volumes, i - 1, i)


def _edge(low: Array, high: Array, volumes: Array, inside: int, outside: int) -> float:
    """Where the interval of the difference, which holds zero at one place and not at the next, lets go of it."""
    return _between(low if low[outside] > 0 else high, volumes, inside, outside)


def _between(values: Array, volumes: Array, a: int, b: int) -> float:
    """The number of volumes at which the straight line (over logarithms) between two places is zero."""
    share = values[a] / (values[a] - values[b])
    return float(np.exp(np.log(volumes[a]) + share * (np.log(volumes[b]) - np.log(volumes[a]))))
