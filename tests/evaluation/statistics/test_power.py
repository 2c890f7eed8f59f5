"""What a design could have found and would need: against closed forms, simulation, and slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from glocalseg.evaluation.statistics.intervals import Interval, Mean, mean_of
from glocalseg.evaluation.statistics.power import Spread, half_width, noncentrality, repeats_for, smallest_gain, spread_of
from glocalseg.evaluation.statistics.signflip import sign_flips


def measured(error: float = 0.01, freedom: float = 9, repeats: int = 10) -> Mean:
    return Mean(Interval(0.0, -1.0, 1.0), 60, repeats, error, freedom, 0.0, error**2, 0.0)


def test_normal_case_by_hand():
    # 1.959964 + 0.841621 standard errors
    assert noncentrality(np.inf, 0.95, 0.8) == pytest.approx(2.801585, abs=1e-5)


@pytest.mark.parametrize(("freedom", "power"), [(5, 0.8), (9, 0.8), (9, 0.9), (30.5, 0.8)])
def test_against_scipys_noncentral_t(freedom: float, power: float):
    shift = noncentrality(freedom, 0.95, power)
    critical = stats.t.ppf(0.975, freedom)
    assert stats.nct.sf(critical, freedom, shift) == pytest.approx(power, abs=1e-5)


def test_a_gain_of_that_size_is_found_that_often():
    rng = np.random.default_rng(0)
    smallest = noncentrality(9, 0.95, 0.8) * 0.02 / np.sqrt(10)
    gains = rng.normal(smallest, 0.02, (20000, 10))
    assert (stats.ttest_1samp(gains, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.01)  # Monte Carlo 0.003


@pytest.mark.parametrize(("repeats", "power"), [(6, 0.63), (8, 0.77), (12, 0.79)])
def test_sign_flips_find_it_nearly_as_often_but_for_six_repeats(repeats: int, power: float):
    rng = np.random.default_rng(0)
    gains = rng.normal(noncentrality(repeats - 1, 0.95, 0.8) / np.sqrt(repeats), 1, (1500, repeats))
    assert (sign_flips(gains, rng).p < 0.05).mean() == pytest.approx(power, abs=0.035)  # Monte Carlo 0.012


def test_bounds_say_how_little_ten_repeats_know_of_their_spread():
    found = smallest_gain(measured(), confidence=0.95)
    assert found.estimate == pytest.approx(0.01 * noncentrality(9, 0.95, 0.8))
    assert found.low / found.estimate == pytest.approx(np.sqrt(9 / stats.chi2.ppf(0.975, 9)))  # 0.69
    assert found.high / found.estimate == pytest.approx(np.sqrt(9 / stats.chi2.ppf(0.025, 9)))  # 1.83


def test_more_comparisons_need_a_larger_gain_and_few_repeats_find_none():
    one = smallest_gain(measured(), confidence=0.95).estimate
    many = smallest_gain(measured(), confidence=0.95, comparisons=18).estimate
    assert many == pytest.approx(0.01 * noncentrality(9, 1 - 0.05 / 18, 0.8))
    assert many > 1.3 * one
    assert np.isnan(smallest_gain(measured(repeats=5), confidence=0.95).estimate)
    assert np.isnan(smallest_gain(mean_of(np.ones((3, 1)), confidence=0.95), confidence=0.95).estimate)
    assert smallest_gain(mean_of(np.full((3, 8), 0.1), confidence=0.95), confidence=0.95) == Interval(0, 0, 0)


def test_spread_by_hand():
    # subjects' means .2, .4 (variance .02), repeats' .2, .4, .3 (.01), rest .04 / 2 = .02 of which a third is in the subjects'
    found = spread_of(np.array([[0.0, 0.4, 0.2], [0.4, 0.4, 0.4]]))
    assert found.subject == pytest.approx(0.02 - 0.02 / 3)
    assert found.repeat == pytest.approx(0.01)
    assert found.subjects == 2
    assert spread_of(np.array([[0.1, 0.2, 0.3]])).repeat == pytest.approx(0.01)
    assert np.isnan(spread_of(np.ones((4, 1))).repeat)


def test_spread_is_not_biased():
    rng = np.random.default_rng(1)
    found = [
        spread_of(rng.normal(0, 0.05, (30, 1)) + rng.normal(0, 0.03, (1, 8)) + rng.normal(0, 0.06, (30, 8)))
        for _ in range(400)
    ]
    assert np.mean([f.subject for f in found]) == pytest.approx(0.05**2, rel=0.05)
    assert np.mean([f.repeat for f in found]) == pytest.approx(0.03**2 + 0.06**2 / 30, rel=0.06)


def test_repeats_for_a_width_is_the_first_that_reaches_it():
    spread = Spread(0.0, 0.03**2, 60)
    found = repeats_for(spread, 0.01, confidence=0.95)
    widths = {r: stats.t.ppf(0.975, r - 1) * 0.03 / np.sqrt(r) for r in range(2, 60)}  # slow twin
    assert found == min(r for r, w in widths.items() if w <= 0.01)
    assert half_width(spread, found, confidence=0.95) == pytest.approx(widths[found])
    assert repeats_for(spread, 1.0, confidence=0.95) == 6  # below six nothing is judged


def test_subjects_limit_what_repeats_can_do():
    assert repeats_for(Spread(0.1**2, 0.03**2, 20), 0.01, confidence=0.95) is None
    assert repeats_for(Spread(np.nan, np.nan, 20), 0.01, confidence=0.95) is None
