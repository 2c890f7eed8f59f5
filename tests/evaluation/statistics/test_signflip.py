"""Sign flips against hand-counted cases and a slow twin."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from glocalseg.evaluation.statistics.arrays import generator
from glocalseg.evaluation.statistics.signflip import DRAWN, sign_flips


def flips(gains, seed: int = 0):
    return sign_flips(np.asarray(gains, float), generator(seed, "test"))


def twin(gains: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slow twin: every pattern of signs, Student's test of each comparison by scipy, step-down by the definition."""

    def student(values: np.ndarray) -> np.ndarray:
        return np.array([stats.ttest_1samp(v[np.isfinite(v)], 0).pvalue for v in values])

    seen = student(gains)
    all_of = np.array([student(gains * s) for s in itertools.product([1, -1], repeat=gains.shape[1])])
    p = (all_of <= seen + 1e-9).mean(axis=0)
    corrected, highest = np.empty(len(gains)), 0.0
    order = np.argsort(seen)
    for place, i in enumerate(order):
        highest = max(highest, (all_of[:, order[place:]].min(axis=1) <= seen[i] + 1e-9).mean())
        corrected[i] = highest
    return p, corrected


def test_by_hand():
    # all six positive: only that pattern and its opposite reach it
    found = flips([[1, 2, 3, 4, 5, 6]])
    assert found.p[0] == found.corrected[0] == 2 / 64
    assert (found.ways, found.exact) == (64, True)
    # the smallest turned: also the pattern with none turned, and the two opposites
    assert flips([[-1, 2, 3, 4, 5, 6]]).p[0] == 4 / 64


def test_equal_gains_are_as_significant_as_signs_can_say_and_zeros_are_not_at_all():
    found = flips([[0.1] * 8, [0.0] * 8, [-0.3] * 8])
    np.testing.assert_allclose(found.p, [2 / 256, 1, 2 / 256])
    np.testing.assert_allclose(found.corrected, [2 / 256, 1, 2 / 256])


def test_gains_that_differ_in_the_ninth_place_are_no_trouble():
    gains = 0.1 + 1e-10 * np.random.default_rng(0).random((2, 7))
    np.testing.assert_allclose(flips(gains).corrected, 2 / 128)


@pytest.mark.parametrize("missing", [False, True])
def test_against_the_slow_twin(missing: bool):
    rng = np.random.default_rng(1)
    gains = rng.normal([[0.6], [0.3], [0.0], [1.2]], 1, (4, 8)) + rng.normal(0, 0.5, 8)
    if missing:
        gains[1, :2] = np.nan
        gains[3, 7] = np.nan
    p, corrected = twin(gains)
    found = flips(gains)
    np.testing.assert_allclose(found.p, p)
    np.testing.assert_allclose(found.corrected, corrected)


def test_fewer_than_six_repeats_have_no_p_value_and_do_not_count_for_the_others():
    gains = np.random.default_rng(2).normal(0.5, 1, (3, 8))
    gains[1, 5:] = np.nan
    found = flips(gains)
    assert np.isnan([found.p[1], found.corrected[1]]).all()
    np.testing.assert_array_equal(found.corrected[[0, 2]], flips(gains[[0, 2]]).corrected)
    assert np.isnan(flips(np.ones((2, 5))).p).all()
    assert flips(np.empty((0, 9))).p.shape == (0,)


def test_a_comparison_of_six_repeats_is_not_drowned_by_those_of_ten():
    """The largest sum of six signs is smaller than that of ten, in units of its norm: the scale must allow for it."""
    rng = np.random.default_rng(3)
    gains = rng.normal(0, 1, (2, 10))
    gains[0] = np.r_[1 + 0.01 * rng.random(6), [np.nan] * 4]
    assert flips(gains).corrected[0] < 0.05


def test_correction_keeps_correlation_and_is_never_below_the_single_p():
    rng = np.random.default_rng(4)
    one = rng.normal(0.8, 1, 10)
    copies = flips(np.tile(one, (20, 1)))
    np.testing.assert_allclose(copies.corrected, copies.p)  # twenty times the same comparison is one
    many = flips(np.vstack([one, rng.normal(0, 1, (19, 10))]))
    assert (many.corrected >= many.p - 1e-12).all()
    assert many.corrected[0] > copies.p[0]
    assert many.corrected[0] <= 20 * many.p[0]


def test_signs_and_order_of_comparisons_change_nothing():
    gains = np.random.default_rng(5).normal(0.3, 1, (5, 9))
    found = flips(gains)
    np.testing.assert_allclose(flips(-gains).corrected, found.corrected)
    np.testing.assert_allclose(flips(gains[::-1]).corrected[::-1], found.corrected)
    np.testing.assert_allclose(flips(gains * np.array([[1], [10], [0.1], [3], [2]])).corrected, found.corrected)


def test_beyond_twelve_repeats_patterns_are_drawn_and_agree_with_all_of_them():
    gains = np.random.default_rng(6).normal(0.4, 1, (2, 13))
    found = flips(gains)
    assert (found.ways, found.exact) == (DRAWN + 1, False)
    exact, _ = twin_p(gains)
    np.testing.assert_allclose(found.p, exact, atol=4 * np.sqrt(0.25 / DRAWN))
    np.testing.assert_array_equal(found.p, flips(gains).p)
    assert not np.array_equal(found.p, flips(gains, seed=1).p)
    assert flips(np.full((1, 30), 0.1)).p[0] == 1 / (DRAWN + 1)  # never zero: the pattern that was seen counts


def twin_p(gains: np.ndarray) -> tuple[np.ndarray, int]:
    """All 2**13 patterns, uncorrected."""
    signs = np.array(list(itertools.product([1, -1], repeat=gains.shape[1])))
    sums = np.abs(signs @ gains.T)
    return (sums >= np.abs(gains.sum(axis=1)) - 1e-12).mean(axis=0), len(signs)
