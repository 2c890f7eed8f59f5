"""Statistics against values computed by hand, against simulations with a known truth, and in degenerate cases."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from glocalseg.evaluation.statistics import compare, dense, generator, holm, subject_scores, summarise, verdict


def summary(scores: np.ndarray, *, resamples: int = 400, confidence: float = 0.95, purpose: str = "test"):
    return summarise(scores, resamples=resamples, confidence=confidence, rng=generator(0, purpose))


def comparison(a: np.ndarray, b: np.ndarray, *, resamples: int = 400, purpose: str = "test"):
    return compare(a, b, resamples=resamples, confidence=0.95, rng=generator(0, purpose))


def test_structures_are_averaged_first_then_volumes_of_a_subject():
    rows = [
        ("s1", "v1", "a", 0.2),
        ("s1", "v1", "b", 0.4),
        ("s1", "v2", "a", 0.9),
        ("s1", "v2", "b", np.nan),
        ("s2", "v3", "a", 1),
    ]
    table = pd.DataFrame(rows, columns=["subject", "volume", "structure", "value"])
    table = table.assign(dataset="d", method="m", budget="1", draw=1, seed=0)
    found = subject_scores(table).set_index("subject")["value"]
    assert found["s1"] == pytest.approx((0.3 + 0.9) / 2)  # not (0.2 + 0.4 + 0.9) / 3
    assert found["s2"] == 1


def test_dense_puts_every_value_in_its_place_and_leaves_the_rest_missing():
    table = pd.DataFrame({"subject": ["b", "a"], "draw": [2, 1], "seed": [5, 7], "value": [0.25, 0.75]})
    array = dense(table, ["a", "b"], [1, 2], [5, 7])
    assert array.shape == (2, 2, 2)
    assert array[1, 1, 0] == 0.25
    assert array[0, 0, 1] == 0.75
    assert np.isnan(array).sum() == 6


def test_mean_and_median_by_hand():
    scores = np.array([[[0.1, 0.2]], [[0.3, 0.8]]])
    found = summary(scores)
    assert found.mean.estimate == pytest.approx(0.35)
    assert found.median.estimate == pytest.approx(0.25)
    assert (found.subjects, found.draws, found.seeds, found.runs) == (2, 1, 2, 2)


def test_with_subjects_alone_the_interval_is_students():
    values = np.random.default_rng(1).normal(0.5, 0.1, 30)
    found = summary(values[:, None, None], resamples=20000)
    low, high = stats.t.interval(0.95, 29, values.mean(), values.std(ddof=1) / np.sqrt(30))
    assert found.mean.low == pytest.approx(low, abs=0.001)
    assert found.mean.high == pytest.approx(high, abs=0.001)


def test_bootstrap_of_the_median_agrees_with_resampling_one_by_one():
    scores = np.random.default_rng(2).random((7, 3, 2))
    scores[0, 1, 1] = np.nan
    rng, medians = generator(0, "slow"), []
    for _ in range(4000):
        subjects, draws, seeds = rng.integers(0, 7, 6), rng.integers(0, 3, 2), rng.integers(0, 2, 1)
        medians.append(np.nanmedian(scores[np.ix_(subjects, draws, seeds)]))
    found = summary(scores, resamples=4000)
    means = [np.nanmean(scores, axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    parts = [(m.var(ddof=1) / len(m), len(m) - 1) for m in means]
    freedom = sum(v for v, _ in parts) ** 2 / sum(v**2 / n for v, n in parts)
    reach = stats.t.ppf(0.975, freedom)
    assert (found.median.estimate - found.median.low) / reach == pytest.approx(np.std(medians), rel=0.06)


@pytest.mark.parametrize("spread", [(0.08, 0.0, 0.0), (0.05, 0.06, 0.0), (0.03, 0.03, 0.03)])
def test_intervals_cover_the_truth_as_often_as_they_say(spread: tuple[float, float, float]):
    rng = np.random.default_rng(3)
    hits, trials = 0, 200
    for _ in range(trials):
        effects = [rng.normal(0, s, n) for s, n in zip(spread, (25, 5, 3), strict=True)]
        scores = 0.5 + effects[0][:, None, None] + effects[1][None, :, None] + effects[2][None, None, :]
        scores = scores + rng.normal(0, 0.02, scores.shape)
        found = summary(scores, resamples=200).mean
        hits += found.low <= 0.5 <= found.high
    assert 0.91 <= hits / trials <= 0.995


@pytest.mark.parametrize("spread", [(0.04, 0.0, 0.0), (0.0, 0.03, 0.0), (0.0, 0.0, 0.03)])
def test_without_a_difference_few_are_found_even_where_seeds_matter_most(spread: tuple[float, float, float]):
    rng = np.random.default_rng(4)
    found, trials = 0, 300
    for _ in range(trials):
        effects = [rng.normal(0, s, n) for s, n in zip(spread, (20, 5, 3), strict=True)]
        gap = effects[0][:, None, None] + effects[1][None, :, None] + effects[2][None, None, :]
        gap = gap + rng.normal(0, 0.01, gap.shape)
        found += comparison(0.5 + gap, np.full(gap.shape, 0.5), resamples=200).p < 0.05
    assert found / trials <= 0.085


def test_a_clear_difference_is_found_and_its_sign_turns_with_the_sides():
    rng = np.random.default_rng(5)
    base = rng.normal(0.6, 0.1, (30, 4, 3))
    better = base + 0.05 + rng.normal(0, 0.01, base.shape)
    one, other = comparison(better, base), comparison(base, better)
    assert one.difference.estimate == pytest.approx(-other.difference.estimate)
    assert one.p == pytest.approx(other.p)
    assert one.p < 0.001
    assert (one.run_wins, one.runs, other.run_wins) == (12, 12, 0)
    assert one.wins > 0.99
    assert other.wins == pytest.approx(1 - one.wins)


def test_pairing_is_what_finds_a_small_gain_among_very_different_subjects():
    rng = np.random.default_rng(6)
    base = rng.uniform(0.2, 0.9, (20, 3, 1)) + np.zeros((20, 3, 2))
    gain = 0.02 + rng.normal(0, 0.005, base.shape)
    assert comparison(base + gain, base).p < 0.01
    assert comparison(base + gain, rng.permutation(base, axis=0)).p > 0.05


@given(st.floats(-0.1, 0.1), st.integers(0, 1000))
def test_p_is_below_alpha_just_where_the_interval_leaves_zero_out(shift: float, seed: int):
    gap = shift + np.random.default_rng(seed).normal(0, 0.05, (6, 3, 2))
    found = comparison(0.5 + gap, np.full(gap.shape, 0.5), resamples=100)
    assert (found.p < 0.05) == (found.difference.low > 0 or found.difference.high < 0)


def test_a_missing_run_is_left_out_and_not_taken_for_zero():
    scores = np.full((4, 2, 2), 0.7)
    scores[:, 1, 1] = np.nan
    found = summary(scores)
    assert found.mean.estimate == pytest.approx(0.7)
    assert (found.mean.low, found.mean.high) == (pytest.approx(0.7), pytest.approx(0.7))
    assert (found.draws, found.seeds, found.runs) == (2, 2, 3)
    assert comparison(scores, np.full(scores.shape, 0.6)).runs == 3


def test_one_draw_and_one_seed_leave_subjects_alone():
    values = np.random.default_rng(7).random((9, 1, 1))
    found = summary(values)
    assert found.mean.low < found.mean.estimate < found.mean.high
    assert (found.draws, found.seeds) == (1, 1)


def test_a_single_value_has_no_interval_and_no_p_value():
    found = comparison(np.full((1, 1, 1), 0.7), np.full((1, 1, 1), 0.5))
    assert (found.difference.low, found.difference.high) == (pytest.approx(0.2), pytest.approx(0.2))
    assert np.isnan(found.p)
    assert verdict(0.2, found.p, confidence=0.95) == "not distinguishable"


def test_nothing_at_all_gives_nan_and_no_warning():
    empty = np.full((3, 2, 2), np.nan)
    assert np.isnan(summary(empty).mean.estimate)
    assert summary(empty).runs == 0
    assert np.isnan(comparison(empty, empty).p)


def test_equal_arrays_differ_by_nothing_and_constant_gains_by_everything():
    scores = np.random.default_rng(8).random((5, 2, 2))
    same = comparison(scores, scores)
    assert (same.difference.estimate, same.p, same.wins, same.run_wins) == (0, 1, 0.5, 0)
    assert comparison(np.full((5, 2, 2), 0.75), np.full((5, 2, 2), 0.5)).p == 0


def test_shapes_that_are_not_paired_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 1, 1\) and \(3, 1, 1\)"):
        comparison(np.zeros((2, 1, 1)), np.zeros((3, 1, 1)))


def test_intervals_stay_within_the_bounds_of_a_score():
    scores = np.array([0.01, 0.99])[None, :, None] + np.zeros((5, 2, 1))
    found = summary(scores)
    assert (found.mean.low, found.mean.high) == (0, 1)


def test_the_same_seed_and_purpose_give_the_same_numbers_and_others_do_not():
    scores = np.random.default_rng(9).random((10, 3, 2))
    assert summary(scores) == summary(scores)
    assert summary(scores, purpose="other").mean.low != summary(scores).mean.low


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == [pytest.approx(0.03), pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([0.5, np.nan, 0.9])[0] == 1.0
    assert np.isnan(holm([0.5, np.nan])[1])
    assert holm([]) == []


@pytest.mark.parametrize(
    ("difference", "p", "expected"),
    [(0.1, 0.04, "better"), (-0.1, 0.04, "worse"), (0.1, 0.051, "not distinguishable"), (0.0, 0.0, "not distinguishable")],
)
def test_verdict_needs_a_small_corrected_p_value(difference: float, p: float, expected: str):
    assert verdict(difference, p, confidence=0.95) == expected
