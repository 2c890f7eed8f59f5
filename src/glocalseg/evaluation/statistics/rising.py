"""Whether validation still rises at the end of training.

The rule: the rise of a run is its mean validation Dice at its last observation minus that at the last one within the first three
quarters of the steps. A cell *still rises* if the mean rise over its repeats is above 0.005 and the interval of that mean
(Student's t over repeats) lies above zero. Of fewer than three repeats nothing is said, nor of runs without an observation in
both parts.

It errs in one direction: a learning rate that decays to zero (cosine) levels a curve off whether or not there is more to learn,
so a curve that has stopped rising need not belong to a training that is long enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glocalseg.evaluation.statistics.arrays import Array
from glocalseg.evaluation.statistics.intervals import Interval, reach

SINCE = 3 / 4  # of the steps
LEAST = 0.005  # Dice
MIN_CURVES = 3


@dataclass(frozen=True)
class Rise:
    """The mean rise over ``repeats`` runs since step ``since``, in Dice, and whether it counts as still rising."""

    mean: Interval
    repeats: int
    since: int

    @property
    def rising(self) -> bool:
        """Whether the module's rule says so."""
        return self.mean.estimate > LEAST and self.mean.low > 0


def rise_of(curves: Array, steps: Sequence[int], *, confidence: float) -> Rise | None:
    """The rise at the end of training of the runs of one cell; None where nothing can be said.

    Args:
        curves: (repeats, observations) mean validation Dice, NaN where missing.
        steps: (observations,) after how many steps each was made, rising.
        confidence: of the interval, in (0, 1).

    Raises:
        ValueError: if the number of steps is not that of the observations, or they do not rise.
    """
    if curves.shape[1] != len(steps) or list(steps) != sorted(set(steps)):
        raise ValueError(f"steps: expected {curves.shape[1]} rising numbers, found {list(steps)}")
    before = [i for i, step in enumerate(steps) if step <= SINCE * steps[-1]]
    if not before:
        return None
    rises = curves[:, -1] - curves[:, before[-1]]
    rises = rises[np.isfinite(rises)]
    if len(rises) < MIN_CURVES:
        return None
    mean = float(rises.mean())
    width = reach(len(rises) - 1, confidence) * float(rises.std(ddof=1)) / len(rises) ** 0.5
    return Rise(Interval(mean, mean - width, mean + width), len(rises), int(steps[before[-1]]))
