"""The Latin square: by hand, against a least-squares twin, and by simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from glocalseg.evaluation.statistics.components import latin_square

SQUARE = [(d, p, (d + p) % 5) for d in range(5) for p in range(5)]


def draw(rng: np.random.Generator, sds: tuple[float, float, float, float], n: int = 5) -> np.ndarray:
    effects = [rng.normal(0, s, n) for s in sds[:3]]
    return np.array([effects[0][d] + effects[1][p] + effects[2][f] for d, p, f in SQUARE]) + rng.normal(0, sds[3], n * n)


def twin(values: np.ndarray, levels: list[tuple[int, int, int]]) -> list[float]:
    """Slow twin: sums of squares by least squares with and without each factor."""
    n = round(len(levels) ** 0.5)

    def left(factors: tuple[int, ...]) -> float:
        columns = [np.ones(len(levels))]
        columns += [np.array([level[f] == v for level in levels], float) for f in factors for v in {lv[f] for lv in levels}]
        design = np.column_stack(columns)
        return float(((values - design @ np.linalg.lstsq(design, values, rcond=None)[0]) ** 2).sum())

    rest = left((0, 1, 2)) / ((n - 1) * (n - 2))
    without = [left(tuple(g for g in range(3) if g != f)) - left((0, 1, 2)) for f in range(3)]
    return [(s / (n - 1) - rest) / n for s in without] + [rest]


def test_by_hand():
    # values = the choice's effect -1, 0, 1 alone: mean square 3 x 2 / 2 = 3, rest 0
    square = [(d, p, (d + p) % 3) for d, p in itertools.product(range(3), range(3))]
    found = latin_square(np.array([d - 1.0 for d, _, _ in square]), square, confidence=0.95)
    assert [c.source for c in found] == ["draw", "pretraining", "finetuning", "rest"]
    assert [c.variance.estimate for c in found] == [pytest.approx(1.0)] + [pytest.approx(0.0)] * 3
    assert [c.share for c in found] == [pytest.approx(1.0)] + [pytest.approx(0.0)] * 3
    assert [c.freedom for c in found] == [2, 2, 2, 2]


def test_against_least_squares_whatever_the_order_and_names_of_levels():
    rng = np.random.default_rng(0)
    values = draw(rng, (0.1, 0.2, 0.0, 0.1))
    renamed = [(10 - d, 3 * p, f + 100) for d, p, f in SQUARE]
    order = rng.permutation(25)
    found = latin_square(values[order], [renamed[i] for i in order], confidence=0.95)
    assert [c.variance.estimate for c in found] == pytest.approx(twin(values, SQUARE))


def test_a_negative_estimate_is_shown_as_it_is():
    rng = np.random.default_rng(1)
    found = next(
        c
        for c in (latin_square(draw(rng, (0, 0, 0, 0.1)), SQUARE, confidence=0.95) for _ in range(50))
        if c[0].variance.estimate < 0
    )
    assert found[0].sd == pytest.approx(-np.sqrt(-found[0].variance.estimate))
    assert found[0].variance.low == 0
    assert sum(c.share for c in found) == pytest.approx(1)


def test_estimates_are_not_biased_and_intervals_hold_the_truth():
    rng = np.random.default_rng(2)
    sds = (0.03, 0.0, 0.06, 0.04)
    found = [latin_square(draw(rng, sds), SQUARE, confidence=0.95) for _ in range(1000)]
    for i, sd in enumerate(sds):
        estimates = np.array([f[i].variance.estimate for f in found])
        assert estimates.mean() == pytest.approx(sd**2, abs=4 * estimates.std() / np.sqrt(1000))
        hits = np.mean([f[i].variance.low <= sd**2 <= f[i].variance.high for f in found])
        assert 0.93 <= hits <= 0.99  # Monte Carlo error 0.007
    assert np.mean([f[1].variance.estimate < 0 for f in found]) > 0.4  # what is not there is below zero half of the time


@pytest.mark.parametrize(
    ("levels", "found"),
    [
        (SQUARE[:-1], "24 runs"),
        ([(d, p, d) for d, p, _ in SQUARE], r"pairs \[25, 5, 25\]"),
        ([(d, p, (d + p) % 2) for d in range(2) for p in range(2)], "4 runs"),
    ],
)
def test_what_is_no_latin_square_is_refused(levels: list[tuple[int, int, int]], found: str):
    with pytest.raises(ValueError, match=found):
        latin_square(np.zeros(len(levels)), levels, confidence=0.95)


def test_a_missing_run_is_refused():
    values = np.ones(25)
    values[3] = np.nan
    with pytest.raises(ValueError, match="each of 25 runs, found 24"):
        latin_square(values, SQUARE, confidence=0.95)
