"""Failed runs: the rule case by case, how it resists many failures, and exact tests against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from glocalseg.evaluation.statistics.failures import (
    compare_failures,
    conditional,
    failed_flags,
    failed_runs,
    failed_share,
    reference,
)


def cell(*runs: tuple[float, ...], subjects: int = 3) -> np.ndarray:
    """(structures, subjects, repeats) of runs given by the Dice of their structures, equal for all subjects."""
    return np.repeat(np.array(runs, float).T[:, None, :], subjects, axis=1)


GOOD = (0.7, 0.8)


def test_by_hand():
    # half of the anterior's reference of 0.7 is 0.35; two thirds of the cell's reference of 0.75 is 0.5
    found = failed_runs(cell(GOOD, (0.34, 0.8), GOOD, (0.36, 0.8), GOOD, (0.49, 0.5), GOOD, (0.51, 0.5), GOOD, GOOD))
    assert [(f.repeat, f.reason, f.structure) for f in found] == [
        (1, "lost a structure", 0),
        (5, "far below its cell", None),
    ]
    assert (found[0].dice, found[0].reference) == (pytest.approx(0.34), pytest.approx(0.7))
    assert (found[1].dice, found[1].reference) == (pytest.approx(0.495), pytest.approx(0.75))


def test_of_two_lost_structures_the_one_with_less_is_named():
    found = failed_runs(cell(GOOD, GOOD, (0.2, 0.1), GOOD))
    assert [(f.repeat, f.structure) for f in found] == [(2, 1)]


def test_a_structure_that_every_run_lost_is_lost():
    assert [f.repeat for f in failed_runs(cell((0.05, 0.8), (0.02, 0.8)))] == [0, 1]
    assert [f.reason for f in failed_runs(cell((0.05, 0.8)))] == ["lost a structure"]  # a single run


def test_hard_structures_and_poor_choices_of_labels_are_no_failures():
    assert failed_runs(cell((0.3, 0.4), (0.35, 0.45), (0.28, 0.4), (0.33, 0.38))) == []
    # published hippocampus, one labelled volume: the first choice was poor with every method and seed
    assert failed_runs(cell((0.515, 0.518), (0.724, 0.741), (0.694, 0.688), (0.523, 0.680), (0.705, 0.669))) == []


def test_missing_runs_are_neither_failed_nor_trained():
    runs = cell(GOOD, (np.nan, np.nan), (0.05, 0.8), GOOD)
    runs[0, 1, 0] = np.nan  # a subject without the structure
    np.testing.assert_array_equal(failed_flags(runs), [0, np.nan, 1, 0])
    assert np.isnan(failed_flags(np.full((2, 3, 2), np.nan))).all()


@pytest.mark.parametrize("chance", [1 / 5, 1 / 3])
def test_it_finds_failures_where_a_fifth_or_a_third_of_runs_fail_and_takes_few_others(chance: float):
    """Ten runs a cell, as measured for one labelled volume: SD 0.08 between runs that train; failures keep 0.05 to 0.5."""
    rng = np.random.default_rng(0)
    found = np.zeros((400, 10))
    failed = rng.random(found.shape) < chance
    for i, bad in enumerate(failed):
        dice = np.where(bad, rng.uniform(0.05, 0.40, 10), rng.normal(0.70, 0.08, 10))
        found[i] = failed_flags(np.array([dice, dice])[:, None, :])
    assert found[failed].mean() > 0.95
    assert found[~failed].mean() < 0.01
    assert np.abs(found.mean() - chance) < 0.02


def test_the_median_would_not_resist_a_third_of_failures_and_the_upper_quartile_does():
    rng = np.random.default_rng(1)
    failed = rng.random((4000, 10)) < 1 / 3
    dice = np.where(failed, 0.3, 0.7)
    moved = np.median(dice, axis=1) < 0.7
    assert moved.mean() == pytest.approx(stats.binom.sf(4, 10, 1 / 3), abs=0.02)  # 0.21; the middle of two counts too
    assert np.mean([reference(d) < 0.6 for d in dice]) == pytest.approx(stats.binom.sf(7, 10, 1 / 3), abs=0.01)


def test_wilson_by_hand():
    found = failed_share(np.array([1.0, 0, 0, np.nan, 0]), confidence=0.95)
    exact = stats.binomtest(1, 4).proportion_ci(0.95, method="wilson")
    assert (found.estimate, found.low, found.high) == (0.25, pytest.approx(exact.low), pytest.approx(exact.high))
    none = failed_share(np.zeros(10), confidence=0.95)
    assert (none.estimate, none.low, none.high) == (0, 0, pytest.approx(0.2775, abs=1e-4))  # z^2 / (n + z^2)
    assert failed_share(np.ones(10), confidence=0.95).high == 1
    assert np.isnan(failed_share(np.array([np.nan]), confidence=0.95).estimate)


def test_mcnemar_by_hand():
    method = np.array([0, 0, 0, 0, 0, 0, 0, 1, 1, np.nan])
    baseline = np.array([1, 1, 1, 1, 1, 1, 0, 1, 0, 1])
    found = compare_failures(method, baseline)
    assert (found.method_only, found.baseline_only, found.repeats) == (1, 6, 9)
    assert found.p == pytest.approx(2 * (1 + 7) / 2**7)
    assert found.p == pytest.approx(stats.binomtest(1, 7).pvalue)
    assert compare_failures(baseline, method).p == found.p
    assert compare_failures(method, method).p == 1


def test_no_p_value_below_six_repeats_and_no_pairing_of_other_shapes():
    assert np.isnan(compare_failures(np.zeros(5), np.ones(5)).p)
    assert compare_failures(np.zeros(6), np.ones(6)).p == 2 / 64
    with pytest.raises(ValueError, match=r"\(5,\) and \(6,\)"):
        compare_failures(np.zeros(5), np.zeros(6))


def test_conditional_scores_leave_out_what_failed_with_either_method():
    scores = np.arange(6.0).reshape(2, 3)
    found = conditional(scores, np.array([0, 1, 0]), np.array([np.nan, 0, 1]))
    np.testing.assert_array_equal(found, [[0, np.nan, np.nan], [3, np.nan, np.nan]])
    np.testing.assert_array_equal(conditional(scores), scores)
