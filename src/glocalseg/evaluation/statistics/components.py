"""Where the variance comes from: choices of labelled volumes, pretraining seeds and fine-tuning seeds, by a Latin square.

n choices, n pretraining seeds and n fine-tuning seeds take n**2 runs in place of n**3: every choice meets every pretraining
seed once, and every fine-tuning seed each of both once. The three main effects are then orthogonal, and what they do not
explain (all their interactions, and nondeterminism) is the rest. A component is (its mean square - that of the rest) / n: an
unbiased estimate, which may fall below zero where the component is small, and is shown as it falls. Cutting it at zero would
make every small component look larger than it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glocalseg.evaluation.statistics.arrays import Array
from glocalseg.evaluation.statistics.intervals import Interval

REST = "rest"


@dataclass(frozen=True)
class Component:
    """One source of variance.

    ``variance`` is in squared units of the score, with its interval, and may be negative; ``share`` of the sum of all
    components (with negative ones in the sum); ``freedom`` of its mean square. ``sd`` has the variance's sign.
    """

    source: str
    variance: Interval
    share: float
    freedom: int

    @property
    def sd(self) -> float:
        """The square root of the variance's size, with its sign: negative is an estimate below zero."""
        return float(np.sign(self.variance.estimate) * np.sqrt(abs(self.variance.estimate)))


def latin_square(
    values: Array,
    levels: Sequence[tuple[int, int, int]],
    *,
    confidence: float,
    names: tuple[str, str, str] = ("draw", "pretraining", "finetuning"),
) -> tuple[Component, ...]:
    """The components of the three factors and of the rest, in this order.

    Intervals of factors are Tukey's and Williams' (they hold the truth at least 1 - 2 (1 - confidence) of the time, close to the
    confidence in practice); that of the rest is exact. Bounds below zero are shown as zero.

    Args:
        values: (runs,) mean over subjects of each run: Dice of a method, or its paired gain.
        levels: of each run: which choice, pretraining seed and fine-tuning seed.

    Raises:
        ValueError: if the runs are no Latin square of three levels or more, or a value is missing.

    Source: Searle, Casella and McCulloch (1992), Variance components, chapter 3; Williams (1962), Biometrika 49:278.
    """
    n = _size(values, levels)
    places = [np.unique(column, return_inverse=True)[1] for column in np.array(levels).T]
    means = [np.bincount(place, values, n) / n for place in places]
    mean = float(values.mean())
    squares = [n * float(((m - mean) ** 2).sum()) for m in means]
    fitted = mean + sum(m[place] - mean for m, place in zip(means, places, strict=True))
    of_rest = float(((values - fitted) ** 2).sum())
    freedom, rest_freedom = n - 1, (n - 1) * (n - 2)
    rest = of_rest / rest_freedom
    estimates = [(s / freedom - rest) / n for s in squares]
    total = sum(estimates) + rest
    shares = [v / total if total > 0 else np.nan for v in (*estimates, rest)]
    intervals = [
        Interval(v, *_bounds(s, freedom, rest, rest_freedom, n, confidence)) for v, s in zip(estimates, squares, strict=True)
    ]
    low, high = _chi_squared(rest_freedom, confidence)
    intervals.append(Interval(rest, of_rest / high, of_rest / low))
    counts = (freedom, freedom, freedom, rest_freedom)
    return tuple(Component(*row) for row in zip((*names, REST), intervals, shares, counts, strict=True))


def _size(values: Array, levels: Sequence[tuple[int, int, int]]) -> int:
    """The side n of the square.

    Raises:
        ValueError: if it is none.
    """
    n = round(len(levels) ** 0.5)
    pairs = [{(level[a], level[b]) for level in levels} for a, b in ((0, 1), (0, 2), (1, 2))]
    singles = [len({level[a] for level in levels}) for a in range(3)]
    if n < 3 or n * n != len(levels) or any(len(p) != n * n for p in pairs) or singles != [n] * 3:
        found = f"{len(levels)} runs of {singles} levels, pairs {[len(p) for p in pairs]}"
        raise ValueError(f"Latin square: expected n x n runs with every pair of levels once, n 3 or more, found {found}")
    if len(values) != len(levels) or not np.isfinite(values).all():
        there = int(np.isfinite(values).sum())
        raise ValueError(f"Latin square: expected a value of each of {len(levels)} runs, found {there}")
    return n


def _bounds(square: float, freedom: int, rest: float, rest_freedom: int, n: int, confidence: float) -> tuple[float, float]:
    """Tukey's and Williams' bounds of a component from its sum of squares and the rest's mean square; not below zero."""
    from scipy.special import fdtri

    tail = (1 - confidence) / 2
    low, high = _chi_squared(freedom, confidence)
    upper, lower = float(fdtri(freedom, rest_freedom, 1 - tail)), float(fdtri(freedom, rest_freedom, tail))
    bounds = (square - freedom * rest * upper) / (n * high), (square - freedom * rest * lower) / (n * low)
    return max(0.0, bounds[0]), max(0.0, bounds[1])


def _chi_squared(freedom: int, confidence: float) -> tuple[float, float]:
    """The quantiles that leave out half of one minus the confidence on either side."""
    from scipy.special import chdtri

    tail = (1 - confidence) / 2
    return float(chdtri(freedom, 1 - tail)), float(chdtri(freedom, tail))
