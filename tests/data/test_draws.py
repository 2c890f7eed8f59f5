"""Draws: different sets of labelled volumes while there are enough, nested, and the same however many are asked for."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glocalseg.data.splits.draws import draw_order, repeated_draws


def pool_of(subjects: int, volumes: int = 1) -> dict[str, list[str]]:
    return {f"s{s:04d}": [f"v{s:04d}_{i}" for i in range(volumes)] for s in range(subjects)}


def orders(pool: dict[str, list[str]], seed: int, draws: int) -> list[tuple[str, ...]]:
    return [draw_order(pool, seed, draw) for draw in range(1, draws + 1)]


@given(st.integers(2, 40), st.integers(0, 10**6), st.integers(1, 2))
@settings(max_examples=40, deadline=None)
def test_as_many_draws_as_subjects_are_different_sets_at_every_budget(subjects: int, seed: int, volumes: int) -> None:
    found = orders(pool_of(subjects, volumes), seed, subjects)
    for budget in range(1, subjects):
        assert repeated_draws(found, budget) == []
    assert len({order[0].split("_")[0] for order in found}) == subjects  # first and last: each subject once
    assert len({order[-1].split("_")[0] for order in found}) == subjects


@given(st.integers(1, 12), st.integers(0, 10**6), st.integers(1, 20), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_a_draw_holds_every_subject_once(subjects: int, seed: int, draw: int, volumes: int) -> None:
    pool = pool_of(subjects, volumes)
    order = draw_order(pool, seed, draw)
    of = {volume: subject for subject, names in pool.items() for volume in names}
    assert sorted(of[volume] for volume in order) == sorted(pool)


@pytest.mark.parametrize(
    ("subjects", "volumes", "budget", "enough"), [(3, 1, 1, 3), (4, 1, 2, 6), (5, 1, 2, 10), (5, 2, 1, 10), (4, 3, 1, 12)]
)
def test_beyond_as_many_draws_as_subjects_the_smallest_budget_with_sets_left_comes_first(
    subjects: int, volumes: int, budget: int, enough: int
) -> None:
    for seed in range(10):
        found = orders(pool_of(subjects, volumes), seed, enough + 2)
        assert repeated_draws(found, budget) == [enough + 1, enough + 2]


def test_a_draw_depends_on_none_that_comes_after_it() -> None:
    pool = pool_of(17)
    few = orders(pool, 3, 5)
    assert orders(pool, 3, 30)[:5] == few
    assert draw_order(dict(pool), 3, 5) == few[4]
    code = (
        "from glocalseg.data.splits.draws import draw_order\n"
        "print(*draw_order({f's{s:04d}': [f'v{s:04d}_0'] for s in range(17)}, 3, 5))"
    )
    alone = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert tuple(alone.stdout.split()) == few[4]  # asked for first, in another process


def test_other_seeds_draw_others() -> None:
    assert len({draw_order(pool_of(9), seed, 1) for seed in range(20)}) == 20


@pytest.mark.parametrize("draw", [1, 2, 5])
def test_every_subject_is_as_likely_to_be_labelled_first(draw: int) -> None:
    subjects, seeds = 5, 1000
    pool = pool_of(subjects)
    first = [draw_order(pool, seed, draw)[0] for seed in range(seeds)]
    expected = seeds / subjects
    chi_square = sum((first.count(names[0]) - expected) ** 2 / expected for names in pool.values())
    assert chi_square < 18.5  # 4 degrees of freedom, p = 0.001


def test_every_volume_of_a_subject_is_as_likely() -> None:
    found = [draw_order(pool_of(4, 2), seed, 1)[0] for seed in range(600)]
    assert 230 < sum(volume.endswith("_0") for volume in found) < 370


def test_repeated_draws_are_those_whose_set_was_there() -> None:
    found = [("a", "b", "c"), ("b", "a", "d"), ("a", "c", "b"), ("c", "b", "a")]
    assert repeated_draws(found, 1) == [3]
    assert repeated_draws(found, 2) == [2]
    assert repeated_draws(found, 3) == [3, 4]


def test_a_large_pool_takes_no_time() -> None:
    began = time.perf_counter()
    orders(pool_of(1000, 2), 123, 50)
    assert time.perf_counter() - began < 3  # 0.2 s alone on a core
