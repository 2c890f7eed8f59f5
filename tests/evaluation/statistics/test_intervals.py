"""Intervals against values computed by hand, against slow twins, and in degenerate cases. Coverage: test_coverage.py."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from glocalseg.evaluation.statistics.intervals import gain_of, hodges_lehmann, mean_of, reach, satterthwaite


def mean(scores: np.ndarray, **options):
    return mean_of(np.asarray(scores, float), confidence=0.95, **options)


def bootstrap_error(scores: np.ndarray, resamples: int, seed: int = 0) -> float:
    """Slow twin: subjects and repeats resampled independently, n - 1 of n levels, one resample at a time."""
    rng = np.random.default_rng(seed)
    subjects, repeats = scores.shape
    drawn = [
        np.nanmean(scores[np.ix_(rng.integers(0, subjects, subjects - 1), rng.integers(0, repeats, repeats - 1))])
        for _ in range(resamples)
    ]
    return float(np.std(drawn))


def test_by_hand():
    # subjects' means .2, .4; repeats' means .2, .4, .3; what is left: +-.1, +-.1, 0
    scores = np.array([[0.0, 0.4, 0.2], [0.4, 0.4, 0.4]])
    found = mean(scores)
    assert found.interval.estimate == pytest.approx(0.3)
    assert found.by_subject == pytest.approx(0.02 / 2)  # variance of .2 and .4 is .02
    assert found.by_repeat == pytest.approx(0.01 / 3)  # of .2, .4 and .3 it is .01
    assert found.by_rest == pytest.approx(0.01 / 3)  # .04 over 1 x 2, over 6 values
    assert found.error**2 == pytest.approx(0.01)  # subjects + repeats - rest
    # (.01)^2 / (.01^2 / 1 + (.01 / 3)^2 / 2 + (.01 / 3)^2 / 2) = 0.9: not fewer than one
    assert found.freedom == 1
    assert (found.subjects, found.repeats) == (2, 3)


@pytest.mark.parametrize("spread", [(0.05, 0.0), (0.0, 0.03), (0.02, 0.02)])
def test_resampling_subjects_and_repeats_gives_the_same_but_for_the_rest(spread: tuple[float, float]):
    rng = np.random.default_rng(1)
    scores = 0.5 + rng.normal(0, spread[0], (12, 1)) + rng.normal(0, spread[1], (1, 8)) + rng.normal(0, 0.04, (12, 8))
    found = mean(scores)
    # the bootstrap counts the rest three times; its Monte Carlo error is 1.1%
    assert np.sqrt(found.error**2 + 2 * found.by_rest) == pytest.approx(bootstrap_error(scores, 4000), rel=0.04)


def test_resampling_gives_the_same_where_values_are_missing():
    rng = np.random.default_rng(2)
    scores = 0.5 + rng.normal(0, 0.03, (15, 1)) + rng.normal(0, 0.03, (1, 10)) + rng.normal(0, 0.04, (15, 10))
    scores[rng.random(scores.shape) < 0.1] = np.nan
    found = mean(scores)
    assert np.sqrt(found.error**2 + 2 * found.by_rest) == pytest.approx(bootstrap_error(scores, 4000), rel=0.06)


def test_the_squared_error_is_not_biased():
    rng = np.random.default_rng(5)
    errors = [
        mean(0.5 + rng.normal(0, 0.03, (12, 1)) + rng.normal(0, 0.02, (1, 8)) + rng.normal(0, 0.06, (12, 8))).error
        for _ in range(2000)
    ]
    truth = 0.03**2 / 12 + 0.02**2 / 8 + 0.06**2 / 96
    assert np.mean(np.square(errors)) == pytest.approx(truth, rel=0.05)


def test_with_repeats_alone_the_interval_is_students():
    values = np.random.default_rng(3).normal(0.5, 0.02, 10)
    for scores in (values[None, :], np.tile(values, (7, 1))):  # one subject; subjects that do not differ
        found = mean(scores)
        low, high = stats.t.interval(0.95, 9, values.mean(), values.std(ddof=1) / np.sqrt(10))
        assert (found.interval.low, found.interval.high) == (pytest.approx(low), pytest.approx(high))
        assert found.freedom == pytest.approx(9)


def test_one_repeat_has_an_estimate_and_no_interval():
    found = mean(np.random.default_rng(4).random((9, 1)))
    assert np.isfinite(found.interval.estimate)
    assert np.isnan([found.interval.low, found.interval.high, found.error, found.freedom]).all()
    assert (found.subjects, found.repeats) == (9, 1)


def test_a_missing_repeat_is_left_out_and_not_taken_for_zero():
    scores = np.full((4, 4), 0.7)
    scores[:, 2] = np.nan
    found = mean(scores)
    assert found.interval.estimate == pytest.approx(0.7)
    assert (found.interval.low, found.interval.high) == (pytest.approx(0.7), pytest.approx(0.7))
    assert found.repeats == 3
    assert found.freedom == np.inf


def test_nothing_at_all_gives_nan_and_no_warning():
    found = mean(np.full((3, 2), np.nan))
    assert np.isnan(found.interval.estimate)
    assert (found.subjects, found.repeats) == (0, 0)
    gain = gain_of(np.full((3, 2), np.nan), np.zeros((3, 2)), confidence=0.95)
    assert np.isnan([gain.wins, gain.typical.estimate, gain.mean.interval.low]).all()


def test_intervals_stay_within_the_bounds_of_a_score():
    found = mean(np.array([0.01, 0.99])[None, :] + np.zeros((5, 1)))
    assert (found.interval.low, found.interval.high) == (0, 1)
    assert mean(np.array([[-0.9, 0.9]]), bounds=(-1, 1)).interval.low == -1


@given(st.integers(0, 1000))
def test_a_gain_and_its_opposite_mirror_each_other(seed: int):
    rng = np.random.default_rng(seed)
    a, b = rng.random((6, 7)), rng.random((6, 7))
    one, other = gain_of(a, b, confidence=0.95), gain_of(b, a, confidence=0.95)
    assert one.mean.interval.low == pytest.approx(-other.mean.interval.high)
    assert one.typical.low == pytest.approx(-other.typical.high)
    assert one.wins == pytest.approx(1 - other.wins)
    assert one.repeat_wins == 7 - other.repeat_wins


def test_pairing_is_what_finds_a_small_gain_among_very_different_subjects():
    rng = np.random.default_rng(6)
    base = rng.uniform(0.2, 0.9, (20, 1)) + np.zeros((1, 8))
    better = base + 0.02 + rng.normal(0, 0.005, base.shape)
    assert gain_of(better, base, confidence=0.95).mean.interval.low > 0.01
    assert gain_of(better, rng.permutation(base), confidence=0.95).mean.interval.low < 0


def test_hodges_lehmann_by_hand():
    # means of pairs of 1, 2, 10: 1, 1.5, 2, 5.5, 6, 10
    assert hodges_lehmann(np.array([10.0, np.nan, 1.0, 2.0]), confidence=0.95).estimate == 3.75
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    found = hodges_lehmann(values, confidence=0.95)  # P(W = 0) = 1/64 below 0.025, P(W <= 1) = 2/64 above: the whole range
    assert (found.low, found.estimate, found.high) == (1, 3.5, 6)
    assert np.isnan(hodges_lehmann(values[:5], confidence=0.95).low)
    assert hodges_lehmann(values[:5], confidence=0.9).low == 1


@pytest.mark.parametrize("n", [6, 8, 11])
def test_hodges_lehmann_bounds_are_where_wilcoxons_exact_test_turns(n: int):
    """Slow twin: a shift is inside just where the exact signed-rank test, enumerated, does not reject it at 5%."""
    values = np.random.default_rng(n).normal(0.3, 1, n)
    found = hodges_lehmann(values, confidence=0.95)
    signs = np.array(list(itertools.product([0, 1], repeat=n)))
    sums = signs @ np.arange(1, n + 1)

    def p(shift: float) -> float:
        moved = values - shift
        w = np.argsort(np.argsort(np.abs(moved)))[moved > 0].sum() + (moved > 0).sum()
        return 2 * min((sums <= w).mean(), (sums >= w).mean())

    for bound in (found.low, found.high):
        inward = np.sign(found.estimate - bound) * 1e-9
        assert p(bound + inward) > 0.05
        assert p(bound - inward) <= 0.05


def test_one_wild_repeat_moves_the_mean_and_hardly_hodges_lehmann():
    gains = np.full((1, 10), 0.02) + np.linspace(-0.005, 0.005, 10)
    gains[0, 3] = -0.5
    found = gain_of(gains, np.zeros((1, 10)), confidence=0.95)
    assert found.mean.interval.estimate < -0.02
    assert found.typical.estimate == pytest.approx(0.02, abs=0.003)


def test_degrees_of_freedom_by_hand():
    assert satterthwaite(4.0, [(2.0, 4), (2.0, 4)]) == pytest.approx(8)
    assert satterthwaite(2.0, [(2.0, 4), (0.0, 9)]) == pytest.approx(4)
    assert satterthwaite(1.0, [(2.0, 4), (1.0, 9), (0.0, 0)]) == 4  # not fewer than the part with the fewest
    assert satterthwaite(0.0, [(0.0, 4), (0.0, 0)]) == np.inf
    assert reach(9, 0.95) == pytest.approx(stats.t.ppf(0.975, 9))
    assert reach(np.inf, 0.95) == pytest.approx(1.959964, abs=1e-6)
