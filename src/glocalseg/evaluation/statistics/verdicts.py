"""What may be said of a comparison: better, worse, equivalent, undecided, or nothing.

- ``equivalent``: the whole interval lies within the margin of practical equivalence, so that a difference, if there is one, is
  too small to matter (two one-sided tests, at half of one minus the interval's confidence each). This comes first: a gain that
  is certain and tiny is equivalent.
- ``better``, ``worse``: the corrected p value is below one minus the confidence, and the interval leaves zero out. Both, for
  the p value speaks of repeats on these test subjects and the interval of subjects like these.
- ``undecided``: neither. It is no evidence of equality.
- None: there are fewer than six repeats, and no verdict.

The correction within the family is of findings of a difference; ``equivalent`` is said of each comparison by itself.

Source: Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15:657 (two one-sided tests).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from glocalseg.evaluation.statistics.arrays import MIN_REPEATS, Array, paired, repeat_means
from glocalseg.evaluation.statistics.intervals import Gain, Interval, gain_of
from glocalseg.evaluation.statistics.signflip import sign_flips

Verdict = Literal["better", "worse", "equivalent", "undecided"]
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Comparison:
    """A method against a baseline on the same subjects and repeats.

    ``p`` is exact over repeats, ``corrected`` within the family it was compared in; NaN, as the verdict is None, below six
    repeats.
    """

    gain: Gain
    p: float
    corrected: float
    verdict: Verdict | None


def compare(
    pairs: Mapping[Key, tuple[Array, Array]],
    *,
    margin: float,
    confidence: float,
    rng: np.random.Generator,
) -> dict[Key, Comparison]:
    """The comparisons of one family, by the keys of ``pairs``, corrected for one another.

    A comparison that was declared to be the primary one is a family of its own.

    Args:
        pairs: scores of the method and of its baseline, each (subjects, repeats) with NaN where missing. The repeats of all
            pairs are the same ones, in the same order, NaN where a comparison lacks one.
        margin: differences up to this size do not matter in practice, in units of the score.
        confidence: of intervals, in (0, 1); p values are held against one minus this.
        rng: see ``signflip.sign_flips``.

    Raises:
        ValueError: if the shapes of a pair, or the numbers of repeats of two pairs, differ.
    """
    gaps = {key: repeat_means(paired(scores, baseline)) for key, (scores, baseline) in pairs.items()}
    if len(lengths := sorted({len(g) for g in gaps.values()})) > 1:
        raise ValueError(f"comparisons of one family: expected the same repeats in each, found {lengths} of them")
    if not gaps:
        return {}
    flips = sign_flips(np.array(list(gaps.values())), rng)
    found = {}
    for i, (key, (scores, baseline)) in enumerate(pairs.items()):
        gain = gain_of(scores, baseline, confidence=confidence)
        corrected = float(flips.corrected[i])
        said = verdict(gain.mean.interval, corrected, gain.mean.repeats, margin=margin, confidence=confidence)
        found[key] = Comparison(gain, float(flips.p[i]), corrected, said)
    return found


def verdict(gain: Interval, corrected: float, repeats: int, *, margin: float, confidence: float) -> Verdict | None:
    """The verdict on a gain with its interval and corrected p value, as the module's docstring defines it.

    Args:
        repeats: how many repeats both methods have.
        margin: of practical equivalence, in units of the score; 0: nothing is equivalent.
    """
    if repeats < MIN_REPEATS or not np.isfinite([gain.low, gain.high]).all():
        return None
    if -margin < gain.low and gain.high < margin:
        return "equivalent"
    if np.isfinite(corrected) and corrected < 1 - confidence:
        if gain.low > 0:
            return "better"
        if gain.high < 0:
            return "worse"
    return "undecided"
