"""Exact p values over repeats, corrected within a family of comparisons.

If a method does not differ from its baseline, a repeat's gain is as likely to be g as -g. Every way of turning the signs of
the repeats is therefore as likely as the one that was seen, and the p value is the share of them whose gains are at least as
large. A repeat has one sign for all comparisons: what they have in common (the same baseline, the same labelled volumes)
stays in common.

The correction takes, for every way of turning signs, the largest statistic of the whole family (max-T, step-down), so that the
chance of even one false finding stays below the level, with no more caution than the correlation of the comparisons asks
for. Gains that vary little and comparisons with other numbers of repeats are set on one scale first: Student's p value of
the repeats, which serves as a statistic only, the distribution being that of the signs.

Source: Westfall and Young (1993), Resampling-based multiple testing, algorithm 4.1; Nichols and Holmes (2002), Human Brain
Mapping 15:1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glocalseg.evaluation.statistics.arrays import MIN_REPEATS, Array

MAX_EXACT = 12  # up to 2**12 ways are looked at one by one
DRAWN = 9_999  # ways drawn beyond that, beside the one that was seen
_TIE = 1e-10  # sums that differ by less (in units of their norm) are equal but for rounding


@dataclass(frozen=True)
class SignFlips:
    """``p`` and ``corrected`` are (comparisons,), NaN for a comparison of fewer than MIN_REPEATS repeats.

    ``ways`` counts the sign patterns; ``exact`` says that they are all there are.
    """

    p: Array
    corrected: Array
    ways: int
    exact: bool


def sign_flips(gains: Array, rng: np.random.Generator) -> SignFlips:
    """Two-sided p values of the mean gains of a family of comparisons over repeats, each alone and corrected.

    A comparison whose gains are all zero has p = 1; one whose gains are all equal and not zero is as significant as signs can
    say. Comparisons of fewer than MIN_REPEATS repeats have no p value and do not count for the correction.

    Args:
        gains: (comparisons, repeats) float64, mean over subjects; NaN where a comparison lacks a repeat.
        rng: used only where there are more than MAX_EXACT repeats (see ``arrays.generator``).
    """
    there = np.isfinite(gains)
    count = there.sum(axis=1)
    tested = np.flatnonzero(count >= MIN_REPEATS)
    p, corrected = np.full(len(gains), np.nan), np.full(len(gains), np.nan)
    if not len(tested):
        return SignFlips(p, corrected, 0, True)
    used = there[tested].any(axis=0)
    values = np.where(there, gains, 0.0)[tested][:, used]
    signs, exact = _signs(int(used.sum()), rng)
    norm = np.sqrt((values**2).sum(axis=1))
    size = np.abs(signs @ np.divide(values.T, norm, out=np.zeros_like(values.T), where=norm > 0))  # row 0: as seen
    p[tested] = (size >= size[0] - _TIE).mean(axis=0)
    corrected[tested] = _max_t(size, count[tested])
    ways = 2 * len(signs) if exact else len(signs)
    return SignFlips(p, corrected, ways, exact)


def _max_t(size: Array, count: Array) -> Array:
    """Corrected p values (comparisons,) from the sizes (ways, comparisons) of sums of gains, as seen in row 0."""
    small = _student(size, count)
    seen = _student(np.maximum(size[:1] - _TIE, 0.0), count)[0]
    order = np.argsort(seen, kind="stable")
    # smallest Student's p among a comparison and those that were less significant than it
    smallest = np.minimum.accumulate(small[:, order[::-1]], axis=1)[:, ::-1]
    shares = (smallest <= seen[order]).mean(axis=0)
    corrected = np.empty(len(order))
    corrected[order] = np.maximum.accumulate(shares)
    return corrected


def _student(size: Array, count: Array) -> Array:
    """Student's two-sided p value of n gains whose sum is ``size`` times their norm: size**2 = n if all are equal."""
    from scipy.special import stdtr

    left = count - size**2
    with np.errstate(divide="ignore"):
        t = size * np.sqrt((count - 1) / np.where(left > _TIE, left, 0.0))
    found: Array = 2 * stdtr(count - 1, -t)
    return found


def _signs(repeats: int, rng: np.random.Generator) -> tuple[Array, bool]:
    """Sign patterns (ways, repeats), the first all +1, and whether they are all there are.

    Of a pattern and its opposite only one is listed where all are: sizes of sums are the same.
    """
    if repeats <= MAX_EXACT:
        bits = (np.arange(2 ** (repeats - 1))[:, None] >> np.arange(repeats)) & 1  # the last repeat is never turned
        return (1 - 2 * bits).astype(np.float64), True
    drawn: Array = rng.choice([-1.0, 1.0], size=(DRAWN + 1, repeats))
    drawn[0] = 1.0
    return drawn, False
