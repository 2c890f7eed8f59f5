"""Simulations that hold intervals, tests and verdicts to their word: coverage, false positives, power.

The truth is known, the noise is that of real runs: variances of the paired gain and of the Dice of a cell as estimated from a
published benchmark (hippocampus, 60 test subjects), in standard deviations:

- H, healthy: subject .006; repeat .010 (choice), .005 (seed), .020 (both together); within .006, .010, .045;
- M, seeds that vary: as H with seed .020;
- F, a repeat fails with a chance of 1/5 or 1/3: half of these with both methods, half with one; a failed run loses a drop of
  those that were observed (mean .32). "Shift" adds the gain to every repeat, "rescue" is a method that only spares a part of
  the baseline's drops.

Ten repeats. Bounds are the nominal value and three Monte Carlo errors, sqrt(p (1 - p) / data sets): at 5% and 1000 data sets
0.007. Measured (share of 1000 data sets; 0.014 Monte Carlo error at most):

| noise, gain | interval holds the truth | sign flip < 5% | verdict better or worse |
|---|---|---|---|
| H 0, .02, .05 | .961 | .039, .647, 1 | .037, .644, 1 |
| M 0, .02, .05 | .953 | .043, .439, .995 | .042, .427, .995 |
| F 1/5: 0, .02, .05, .10 shift | .983 | .041, .306, .514, .668 | .014, .160, .417, .654 |
| F 1/3: 0, .02, .05, .10 shift | .982 | .050, .152, .274, .451 | .015, .070, .209, .423 |
| F 1/5, 1/3: .10 rescue | .800, .886 | .140, .328 | .034, .207 |
| F 1/5, 1/3: .05 shift, without failed runs | .955, .970 | | interval above zero: .905, .748 (all runs: .400, .230) |

The mean of a cell at one and eight volumes: .959, .956; seeds that vary .946; runs that fail .819 and .905. Eighteen
comparisons, no difference: one or more found in .045 (H) and .055 (M); share found of .02 and .05: .22 and 1, .11 and .98.
Random weights against themselves at three budgets: .037, .037, .023, .037 (H, M, F 1/5, F 1/3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from glocalseg.evaluation.statistics.arrays import generator
from glocalseg.evaluation.statistics.failures import compare_failures, conditional, failed_flags
from glocalseg.evaluation.statistics.intervals import gain_of, mean_of
from glocalseg.evaluation.statistics.signflip import sign_flips
from glocalseg.evaluation.statistics.verdicts import compare, verdict

SUBJECTS, REPEATS, SETS = 60, 10, 1000
SEED_SD = {"H": 0.005, "M": 0.020, "F5": 0.005, "F3": 0.005}
CHANCE = {"H": 0.0, "M": 0.0, "F5": 1 / 5, "F3": 1 / 3}
# published hippocampus, random weights: mean of two healthy seeds - the failed one, by choice and budget
DROPS = np.array([0.390, 0.062, 0.265, 0.372, 0.282, 0.420, 0.106, 0.022, 0.528, 0.457, 0.509, 0.218, 0.513, 0.178, 0.448])
OPTIONS = {"margin": 0.01, "confidence": 0.95}


@dataclass(frozen=True)
class Shares:
    """Of the data sets: truth inside the interval, zero outside it, sign flip below 5%, and each verdict."""

    cover: float
    outside: float
    flips: float
    better: float
    worse: float
    equivalent: float


def at_most(p: float, sets: int = SETS) -> float:
    """The nominal share and three Monte Carlo errors."""
    return p + 3 * np.sqrt(p * (1 - p) / sets)


def healthy(rng: np.random.Generator, kind: str, sets: int, repeats: int) -> np.ndarray:
    """(sets, subjects, repeats) noise of a gain."""
    by_repeat = np.sqrt(0.010**2 + SEED_SD[kind] ** 2 + 0.020**2)
    within = np.sqrt(0.006**2 + 0.010**2 + 0.045**2)
    gap = rng.normal(0, within, (sets, SUBJECTS, repeats))
    return gap + rng.normal(0, 0.006, (sets, SUBJECTS, 1)) + rng.normal(0, by_repeat, (sets, 1, repeats))


def drops(rng: np.random.Generator, kind: str, sets: int, repeats: int) -> tuple[np.ndarray, np.ndarray]:
    """What the method and the baseline lose, each (sets, 1, repeats): a quarter the method alone, a quarter the baseline."""
    bad, who = rng.random((sets, 1, repeats)) < CHANCE[kind], rng.integers(0, 4, (sets, 1, repeats))
    lost = rng.choice(DROPS, (2, sets, 1, repeats)) * bad
    return lost[0] * (who != 1), lost[1] * (who != 0)


def gaps(kind: str, gain: float, *, rescue: bool = False, sets: int = SETS) -> np.ndarray:
    """(sets, subjects, repeats) paired differences with a true mean of ``gain``."""
    rng = generator(0, f"coverage {kind}")
    noise = healthy(rng, kind, sets, REPEATS)
    if rescue:  # every failure is the baseline's, and the method spares a part of it
        bad = rng.random((sets, 1, REPEATS)) < CHANCE[kind]
        return noise + gain / (CHANCE[kind] * DROPS.mean()) * bad * rng.choice(DROPS, (sets, 1, REPEATS))
    method, baseline = drops(rng, kind, sets, REPEATS)
    return noise + gain - method + baseline


def shares(differences: np.ndarray, gain: float) -> Shares:
    """What interval, sign flip and verdict of a single comparison make of every data set."""
    p = sign_flips(differences.mean(axis=1), generator(0, "flips")).p  # one by one: the p value knows no family
    rows = []
    for gap, single in zip(differences, p, strict=True):
        i = mean_of(gap, confidence=0.95, bounds=(-1, 1)).interval
        said = verdict(i, float(single), REPEATS, **OPTIONS)
        rows.append([i.low <= gain <= i.high, i.low > 0 or i.high < 0, single < 0.05])
        rows[-1] += [said == word for word in ("better", "worse", "equivalent")]
    return Shares(*(float(v) for v in np.mean(rows, axis=0)))


@pytest.mark.parametrize("kind", ["H", "M", "F5", "F3"])
def test_without_a_difference_few_are_found(kind: str):
    found = shares(gaps(kind, 0.0), 0.0)
    assert found.cover >= 1 - at_most(0.05)
    assert found.flips <= at_most(0.05)
    assert found.better + found.worse <= at_most(0.05)


@pytest.mark.parametrize(
    ("kind", "gain", "power"),
    [("H", 0.02, 0.55), ("H", 0.05, 0.99), ("M", 0.02, 0.38), ("M", 0.05, 0.97), ("F5", 0.10, 0.55), ("F3", 0.10, 0.38)],
)
def test_a_gain_is_found_and_its_interval_holds_it(kind: str, gain: float, power: float):
    found = shares(gaps(kind, gain), gain)
    assert found.cover >= 1 - at_most(0.05)
    assert found.better >= power
    assert found.worse == 0


@pytest.mark.parametrize(("kind", "cover"), [("F5", 0.75), ("F3", 0.87)])
def test_where_a_method_only_spares_failures_intervals_are_too_narrow_and_that_is_known(kind: str, cover: float):
    """Ten repeats may hold no failure, or one: no interval of a mean survives that. Hence failures are counted apart."""
    found = shares(gaps(kind, 0.10, rescue=True), 0.10)
    assert cover <= found.cover < 0.95
    assert found.worse < 0.01


def test_equivalence_is_claimed_where_it_is_true_and_hardly_where_it_is_not():
    rng = generator(0, "equivalence")
    steady = rng.normal(0, 0.007, (SETS, 1, REPEATS)) + rng.normal(0, 0.04, (SETS, SUBJECTS, REPEATS))
    assert shares(steady, 0.0).equivalent >= 0.70
    assert shares(steady + 0.01, 0.01).equivalent <= at_most(0.025)  # the truth is at the margin itself
    assert shares(gaps("M", 0.0), 0.0).equivalent < 0.05  # where repeats vary, "no difference found" is no equality


@pytest.mark.parametrize(
    ("kind", "by_subject", "by_repeat", "within", "cover"),
    [
        ("H", 0.058, 0.078, 0.076, 0.95),  # one labelled volume
        ("H", 0.053, 0.010, 0.038, 0.95),  # eight
        ("M", 0.053, 0.022, 0.038, 0.95),
        ("F5", 0.053, 0.010, 0.038, 0.78),
        ("F3", 0.053, 0.010, 0.038, 0.88),
    ],
)
def test_the_mean_of_a_cell(kind: str, by_subject: float, by_repeat: float, within: float, cover: float):
    """Of runs that train at its word; where runs fail only as the bound says (and no interval here does better)."""
    rng = generator(0, f"mean {kind} {by_repeat}")
    bad = rng.random((SETS, 1, REPEATS)) < CHANCE[kind]
    scores = 0.75 + rng.normal(0, by_subject, (SETS, SUBJECTS, 1)) + rng.normal(0, by_repeat, (SETS, 1, REPEATS))
    scores += rng.normal(0, within, (SETS, SUBJECTS, REPEATS)) - bad * rng.choice(DROPS, (SETS, 1, REPEATS))
    truth = 0.75 - CHANCE[kind] * DROPS.mean()
    intervals = [mean_of(s, confidence=0.95).interval for s in scores]
    assert np.mean([i.low <= truth <= i.high for i in intervals]) >= 1 - at_most(1 - cover)


def arms(kind: str, gain: float, purpose: str, sets: int, repeats: int = REPEATS) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Scores of a method and of its baseline, (subjects, repeats) each, for every data set."""
    rng = generator(0, purpose)
    shared = 0.7 + rng.normal(0, 0.05, (sets, SUBJECTS, 1)) + rng.normal(0, 0.03, (sets, 1, repeats))
    method, baseline = drops(rng, kind, sets, repeats)
    noise = healthy(rng, kind, sets, repeats)
    yield from zip(shared + gain + noise / 2 - method, shared - noise / 2 - baseline, strict=True)


@pytest.mark.parametrize("kind", ["H", "M", "F5", "F3"])
def test_random_weights_against_random_weights_again(kind: str):
    """The A/A row, at three budgets, through the function that the report calls: at most one report in twenty finds one."""
    sets = 300
    budgets = [arms(kind, 0.0, f"same {kind} {budget}", sets) for budget in (1, 2, 8)]
    wrong = 0
    for pairs in zip(*budgets, strict=True):
        found = compare(dict(enumerate(pairs)), rng=generator(0, "flips"), **OPTIONS)
        wrong += any(c.verdict in ("better", "worse") for c in found.values())
    assert wrong / sets <= at_most(0.05, sets)


@pytest.mark.parametrize("repeats", [1, 2, 5])
def test_too_few_repeats_find_nothing_at_all(repeats: int):
    """One seed found a difference that is not there in 11 to 56% of benchmarks, before."""
    for pair in arms("M", 0.0, "few", 50, repeats):
        found = compare({"same": pair}, rng=generator(0, "flips"), **OPTIONS)["same"]
        assert found.verdict is None
        assert np.isnan(found.p)
        assert np.isnan(found.gain.mean.interval.low) == (repeats == 1)


@pytest.mark.parametrize(("kind", "small", "large"), [("H", 0.15, 0.99), ("M", 0.08, 0.90)])
def test_a_family_of_eighteen(kind: str, small: float, large: float):
    """Six methods at three budgets; half of the variance of a gain is the baseline's, and so is common to six of them."""
    sets, fewer = 200, 50
    rng = generator(0, f"family {kind}")
    methods = healthy(rng, kind, sets * 18, REPEATS).reshape(sets, 3, 6, SUBJECTS, REPEATS) / np.sqrt(2)
    baselines = healthy(rng, kind, sets * 3, REPEATS).reshape(sets, 3, 1, SUBJECTS, REPEATS) / np.sqrt(2)
    noise = (methods - baselines).reshape(sets, 18, SUBJECTS, REPEATS)
    zero = np.zeros((SUBJECTS, REPEATS))

    def found(gain: float, families: np.ndarray) -> np.ndarray:
        """(families, 18) whether a difference was found."""
        compared = [
            compare({i: (gap + gain, zero) for i, gap in enumerate(family)}, rng=generator(0, "flips"), **OPTIONS)
            for family in families
        ]
        return np.array([[c.verdict in ("better", "worse") for c in family.values()] for family in compared])

    assert found(0.0, noise).any(axis=1).mean() <= at_most(0.05, sets)
    assert found(0.02, noise[:fewer]).mean() >= small
    assert found(0.05, noise[:fewer]).mean() >= large


@pytest.mark.parametrize("kind", ["F5", "F3"])
def test_without_failed_runs_the_gain_of_those_that_trained_is_found_again(kind: str):
    """The conditional table: the rule takes out what failed, and the gain of the rest is measured nearly as in H."""
    sets, cover, better, all_runs = 400, 0, 0, 0
    for method, baseline in arms(kind, 0.05, f"conditional {kind}", sets):
        failed = failed_flags(method[None]), failed_flags(baseline[None])
        i = gain_of(conditional(method, *failed), conditional(baseline, *failed), confidence=0.95).mean.interval
        everything = gain_of(method, baseline, confidence=0.95).mean.interval
        cover += i.low <= 0.05 <= i.high
        better += i.low > 0
        all_runs += everything.low > 0
    assert cover / sets >= 1 - at_most(0.05, sets)
    assert better / sets >= 0.55
    assert better > 1.2 * all_runs


def test_failures_of_random_weights_alone_are_seldom_found_by_ten_repeats_and_mostly_by_thirty():
    """McNemar's exact test, a third of the baseline's runs failing and none of the method's."""
    rng = generator(0, "mcnemar")
    power = {
        repeats: np.mean(
            [compare_failures(np.zeros(repeats), 1.0 * (rng.random(repeats) < 1 / 3)).p < 0.05 for _ in range(SETS)]
        )
        for repeats in (10, 30)
    }
    assert power[10] == pytest.approx(0.077, abs=0.03)  # six or more of ten: the binomial says 0.077
    assert power[30] >= 0.9
