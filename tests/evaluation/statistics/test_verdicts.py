"""What may be said, case by case."""

from __future__ import annotations

import numpy as np
import pytest

from glocalseg.evaluation.statistics.arrays import generator
from glocalseg.evaluation.statistics.intervals import Interval
from glocalseg.evaluation.statistics.verdicts import compare, verdict


def said(low: float, high: float, p: float, repeats: int = 10, margin: float = 0.01):
    return verdict(Interval((low + high) / 2, low, high), p, repeats, margin=margin, confidence=0.95)


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (0.005, 0.05, 0.04, "better"),
        (-0.05, -0.005, 0.04, "worse"),
        (0.005, 0.05, 0.06, "undecided"),  # not after the correction
        (-0.001, 0.05, 0.04, "undecided"),  # not for other subjects
        (-0.05, 0.05, 0.5, "undecided"),
        (-0.009, 0.009, 0.9, "equivalent"),
        (0.002, 0.009, 0.001, "equivalent"),  # certain, and too small to matter
        (0.002, 0.01, 0.001, "better"),  # the bound itself is not within
        (-0.01, 0.005, 0.5, "undecided"),
        (0.005, 0.05, np.nan, "undecided"),
    ],
)
def test_verdicts(low: float, high: float, p: float, expected: str):
    assert said(low, high, p) == expected


def test_there_is_none_below_six_repeats_or_without_an_interval():
    assert said(0.1, 0.2, 0.001, repeats=5) is None
    assert said(0.1, 0.2, 0.001, repeats=6) == "better"
    assert said(np.nan, np.nan, 0.001) is None


def test_without_a_margin_nothing_is_equivalent():
    assert said(0.0, 0.0, 1.0, margin=0.0) == "undecided"
    assert said(0.0, 0.0, 1.0) == "equivalent"


def family(repeats: int, gains: dict[str, float], seed: int = 0):
    rng = np.random.default_rng(seed)
    base = rng.uniform(0.4, 0.8, (20, 1)) + rng.normal(0, 0.02, (1, repeats))
    noise = {name: rng.normal(0, 0.004, (1, repeats)) + rng.normal(0, 0.02, (20, repeats)) for name in gains}
    pairs = {name: (base + gain + noise[name], base) for name, gain in gains.items()}
    return compare(pairs, margin=0.01, confidence=0.95, rng=generator(0, "test"))


def test_a_family_is_compared_in_one_go():
    found = family(10, {"good": 0.05, "same": 0.0, "bad": -0.04})
    assert {k: c.verdict for k, c in found.items()} == {"good": "better", "same": "equivalent", "bad": "worse"}
    assert found["good"].p == 2 / 1024
    assert found["good"].corrected >= found["good"].p
    assert (found["good"].gain.repeat_wins, found["bad"].gain.repeat_wins) == (10, 0)


def test_three_repeats_are_described_and_not_judged():
    found = family(3, {"good": 0.05})["good"]
    assert found.verdict is None
    assert np.isnan([found.p, found.corrected]).all()
    assert found.gain.mean.interval.low > 0


def test_one_repeat_has_a_difference_and_nothing_else():
    found = family(1, {"good": 0.05})["good"]
    assert found.verdict is None
    assert found.gain.mean.interval.estimate > 0.03
    assert np.isnan(found.gain.mean.interval.low)


def test_missing_repeats_are_not_paired_with_anything():
    base = np.full((5, 8), 0.5)
    method = base + 0.1
    method[:, 6:] = np.nan
    found = compare({"m": (method, base)}, margin=0.01, confidence=0.95, rng=generator(0, "test"))["m"]
    assert found.gain.mean.repeats == 6
    assert (found.p, found.verdict) == (2 / 64, "better")


def test_a_family_has_the_same_repeats_throughout():
    pairs = {"a": (np.ones((3, 7)), np.zeros((3, 7))), "b": (np.ones((3, 8)), np.zeros((3, 8)))}
    with pytest.raises(ValueError, match=r"found \[7, 8\]"):
        compare(pairs, margin=0.01, confidence=0.95, rng=generator(0, "test"))
    assert compare({}, margin=0.01, confidence=0.95, rng=generator(0, "test")) == {}
