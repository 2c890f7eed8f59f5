"""What a design could have found, and what it would need.

Both rest on the variances that were measured, which a few repeats know badly: of ten repeats a standard deviation is known
to within a factor of 0.7 to 1.8. The bounds say so. "Could have found" says nothing about what was found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glocalseg.evaluation.statistics.arrays import MIN_REPEATS, ROUNDING, Array, level_means, trim
from glocalseg.evaluation.statistics.intervals import Interval, Mean, reach, satterthwaite


@dataclass(frozen=True)
class Spread:
    """Variances of a score or gain: of a subject's level, and of a repeat's mean over these ``subjects``; one value each."""

    subject: float
    repeat: float
    subjects: int


def smallest_gain(gain: Mean, *, confidence: float, power: float = 0.8, comparisons: int = 1) -> Interval:
    """The smallest true gain that a design with this error finds with the given power, by a two-sided t test.

    From eight repeats on sign flips find it as often, within three points; of six repeats all must agree in sign, and they
    find it in 63% of cases where this says 80%.

    The bounds follow from what the degrees of freedom say about the error (chi-squared). NaN below six repeats, where
    nothing is found at all.

    Args:
        gain: of a comparison (``intervals.gain_of(...).mean``).
        power: the chance of finding it, in (0.5, 1).
        comparisons: how many the level is divided by; 1 for a primary comparison. Close to what max-T asks for in a family.
    """
    from scipy.special import chdtri

    if gain.repeats < MIN_REPEATS or not np.isfinite(gain.error):
        return Interval(np.nan, np.nan, np.nan)
    shift = noncentrality(gain.freedom, 1 - (1 - confidence) / comparisons, power)
    if not np.isfinite(gain.freedom):
        return Interval(shift * gain.error, shift * gain.error, shift * gain.error)
    tail = (1 - confidence) / 2
    low, high = (float(np.sqrt(gain.freedom / chdtri(gain.freedom, q))) for q in (tail, 1 - tail))
    return Interval(shift * gain.error, shift * gain.error * low, shift * gain.error * high)


def noncentrality(freedom: float, confidence: float, power: float) -> float:
    """How many standard errors a true gain must have for a two-sided t test to find it with the given power.

    Found by halving an interval, to 1e-9; of the two sides only the right one counts (the other adds less than 1e-4).
    """
    from scipy.special import nctdtr, ndtr

    critical = reach(freedom, confidence)
    low, high = 0.0, critical + 40.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        missed = nctdtr(freedom, middle, critical) if np.isfinite(freedom) else ndtr(critical - middle)
        low, high = (low, middle) if 1 - missed >= power else (middle, high)
    return (low + high) / 2


def spread_of(scores: Array) -> Spread:
    """The variances of a (subjects, repeats) array of scores or of gains, for planning; NaN below two repeats.

    The subject's is what is left of the variance of subjects' means after the rest is taken out, never below zero.
    """
    scores = trim(scores)
    subjects, repeats = scores.shape
    if repeats < 2:
        return Spread(np.nan, np.nan, subjects)
    rows, columns = level_means(scores, 0), level_means(scores, 1)
    if subjects < 2:
        return Spread(0.0, float(columns.var(ddof=1)), subjects)
    rest = scores - rows[:, None] - columns[None, :] + np.nanmean(scores)
    rest_variance = float(np.nansum(rest**2)) / ((subjects - 1) * (repeats - 1))
    subject = max(0.0, float(rows.var(ddof=1)) - rest_variance / repeats)
    return Spread(subject, float(columns.var(ddof=1)), subjects)


def half_width(spread: Spread, repeats: int, *, confidence: float) -> float:
    """How far an interval would reach to either side with that many repeats of the same test subjects."""
    parts = spread.subject / spread.subjects, spread.repeat / repeats
    freedom = satterthwaite(sum(parts), [(parts[0], spread.subjects - 1), (parts[1], repeats - 1)])
    return reach(freedom, confidence) * float(np.sqrt(sum(parts)))


def repeats_for(spread: Spread, width: float, *, confidence: float, at_most: int = 1000) -> int | None:
    """The smallest number of repeats, from six on, with an interval that reaches no further than ``width`` to either side.

    None if ``at_most`` repeats are not enough: then the test subjects are what limits it, or the width is out of reach.
    """
    if not np.isfinite(spread.repeat):
        return None
    for repeats in range(MIN_REPEATS, at_most + 1):
        if half_width(spread, repeats, confidence=confidence) <= width + ROUNDING:
            return repeats
    return None
