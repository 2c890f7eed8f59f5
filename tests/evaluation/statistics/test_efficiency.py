"""What a method is worth in volumes and in hours: by hand and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from glocalseg.evaluation.statistics.efficiency import equivalent_budget, per_hour

BUDGETS = (1, 2, 8)


def flat(*means: float, repeats: int = 8) -> np.ndarray:
    """(budgets, subjects, repeats) without noise."""
    return np.array(means)[:, None, None] + np.zeros((len(means), 3, repeats))


def worth(score: float, *means: float):
    return equivalent_budget(flat(score)[0], flat(*means), BUDGETS, confidence=0.95)


def test_by_hand():
    assert worth(0.65, 0.6, 0.7, 0.8).estimate == pytest.approx(np.sqrt(2))  # half way from 1 to 2 volumes, in doublings
    assert worth(0.75, 0.6, 0.7, 0.8).estimate == pytest.approx(4)  # half way from 2 to 8
    assert worth(0.6, 0.6, 0.7, 0.8).estimate == 1
    assert worth(0.72, 0.6, 0.7, 0.65).estimate == np.inf


def test_beyond_the_budgets_that_were_run_nothing_is_known():
    assert worth(0.9, 0.6, 0.7, 0.8).estimate == np.inf
    found = worth(0.5, 0.6, 0.7, 0.8)
    assert (found.estimate, found.low, found.high) == (0, 0, 0)


def test_of_a_curve_that_falls_again_the_first_budget_that_reaches_the_score_counts():
    assert worth(0.65, 0.6, 0.7, 0.6).estimate == pytest.approx(np.sqrt(2))


def test_an_interval_that_reaches_an_end_is_open_there():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.05, (1, 8))
    found = equivalent_budget(flat(0.6)[0] + noise, flat(0.6, 0.7, 0.8), BUDGETS, confidence=0.95)
    assert found.low == 0
    assert 1 <= found.high < 8
    found = equivalent_budget(flat(0.79)[0] + noise, flat(0.6, 0.7, 0.8), BUDGETS, confidence=0.95)
    assert found.high == np.inf


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits, trials = 0, 200
    for _ in range(trials):
        shared, own = rng.normal(0, 0.05, (1, 10)), rng.normal(0, 0.02, (4, 1, 10))
        base = np.array([0.6, 0.7, 0.8])[:, None, None] + shared + own[:3]
        found = equivalent_budget(0.75 + shared + own[3], base, BUDGETS, confidence=0.95)
        hits += found.low <= 4 <= found.high
    assert hits / trials >= 0.95 - 3 * 0.0154  # Monte Carlo error


def test_one_repeat_has_an_estimate_and_no_interval_and_nothing_has_none():
    found = equivalent_budget(np.full((3, 1), 0.65), flat(0.6, 0.7, 0.8, repeats=1), BUDGETS, confidence=0.95)
    assert found.estimate == pytest.approx(np.sqrt(2))
    assert np.isnan(found.low)
    assert np.isnan(equivalent_budget(np.full((3, 1), np.nan), flat(1, 2, 3, repeats=1), BUDGETS, confidence=0.95).estimate)


@pytest.mark.parametrize("budgets", [(1,), (2, 1, 8), (1, 1, 2), (0, 1, 2)])
def test_budgets_rise(budgets: tuple[int, ...]):
    with pytest.raises(ValueError, match="two or more rising"):
        equivalent_budget(np.zeros((3, 8)), flat(0.6, 0.7, 0.8), budgets, confidence=0.95)


def test_the_baseline_has_the_same_subjects_and_repeats():
    with pytest.raises(ValueError, match=r"expected shape \(3, 4, 8\), found \(3, 3, 8\)"):
        equivalent_budget(np.zeros((4, 8)), flat(0.6, 0.7, 0.8), BUDGETS, confidence=0.95)


def test_per_hour_by_hand():
    found = per_hour(np.array([0.2, 0.4, np.nan]), np.array([1.0, 2.0, 5.0]), confidence=0.95)
    assert (found.estimate, found.low, found.high) == (pytest.approx(0.2), pytest.approx(0.2), pytest.approx(0.2))
    # without the first 0.5 / 1, without the second 0.1 / 1: jackknife error sqrt(1/2 x 2 x 0.2^2) = 0.2, t of one 12.706
    found = per_hour(np.array([0.1, 0.5]), np.array([1.0, 1.0]), confidence=0.95)
    assert found.high - found.estimate == pytest.approx(0.2 * 12.7062, abs=1e-4)
    assert np.isnan(per_hour(np.array([0.1]), np.array([1.0]), confidence=0.95).low)
    assert np.isnan(per_hour(np.array([np.nan]), np.array([1.0]), confidence=0.95).estimate)


def test_per_hour_covers():
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(400):
        hours = rng.uniform(0.5, 1.5, 10)
        found = per_hour(0.02 * hours + rng.normal(0, 0.01, 10), hours, confidence=0.95)
        hits += found.low <= 0.02 <= found.high
    assert 0.91 <= hits / 400 <= 0.99  # Monte Carlo error 0.011


def test_hours_are_above_zero_and_one_per_repeat():
    with pytest.raises(ValueError, match="above zero"):
        per_hour(np.ones(2), np.array([1.0, 0.0]), confidence=0.95)
    with pytest.raises(ValueError, match="one per repeat"):
        per_hour(np.ones(2), np.ones(3), confidence=0.95)
