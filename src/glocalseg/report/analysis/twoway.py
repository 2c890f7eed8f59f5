"""Where the variance of a Dice value comes from, if repeats differ in all at once: subjects, repeats, and the rest.

A value is truth + subject + repeat + rest, each a random variable; the rest is what subjects and repeats do together (a subject
that is hard for the network of one repeat alone) and what does not repeat, which one value per pair cannot tell apart. The
components are the unbiased estimates of the analysis of variance: (mean square of subjects - that of the rest) / repeats, and
the same the other way round. They may fall below zero where a component is small, as those of a Latin square.

Source: Searle, Casella and McCulloch (1992), Variance components, chapter 4.
"""

from __future__ import annotations

import numpy as np

from glocalseg.evaluation.statistics.arrays import ROUNDING, Array
from glocalseg.evaluation.statistics.components import REST, Component
from glocalseg.evaluation.statistics.intervals import Interval

SUBJECT, REPEAT = "subject", "repeat"


def twoway(scores: Array) -> tuple[Component, ...] | None:
    """The components of subjects, of repeats and of the rest, without intervals; None of fewer than two of either.

    Repeats without any value are left out, then subjects that lack one.

    Args:
        scores: (subjects, repeats) Dice, NaN where missing.
    """
    values = scores[:, np.isfinite(scores).any(axis=0)]
    values = values[np.isfinite(values).all(axis=1)]
    subjects, repeats = values.shape
    if subjects < 2 or repeats < 2:
        return None
    by_subject, by_repeat = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    freedom = (subjects - 1, repeats - 1, (subjects - 1) * (repeats - 1))
    rest = float(((values - by_subject - by_repeat + values.mean()) ** 2).sum()) / freedom[2]
    parts = (
        float(by_subject.var(ddof=1)) - rest / repeats,
        float(by_repeat.var(ddof=1)) - rest / subjects,
        rest,
    )
    total = sum(parts)
    shares = [v / total if total > ROUNDING**2 else np.nan for v in parts]
    intervals = [Interval(v, np.nan, np.nan) for v in parts]
    return tuple(Component(*row) for row in zip((SUBJECT, REPEAT, REST), intervals, shares, freedom, strict=True))
