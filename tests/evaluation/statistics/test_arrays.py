"""From score rows to arrays, by hand."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from glocalseg.evaluation.statistics.arrays import dense, generator, paired, repeat_means, subject_scores, trim

MODULES = ("arrays", "intervals", "signflip", "verdicts", "failures", "power", "efficiency", "components", "rising")


def test_structures_are_averaged_first_then_volumes_of_a_subject():
    rows = [
        ("s1", "v1", "a", 0.2),
        ("s1", "v1", "b", 0.4),
        ("s1", "v2", "a", 0.9),
        ("s1", "v2", "b", np.nan),
        ("s2", "v3", "a", 1),
    ]
    table = pd.DataFrame(rows, columns=["subject", "volume", "structure", "value"])
    table = table.assign(dataset="d", method="m", budget="1", repeat=0)
    found = subject_scores(table).set_index("subject")["value"]
    assert found["s1"] == pytest.approx((0.3 + 0.9) / 2)  # not (0.2 + 0.4 + 0.9) / 3
    assert found["s2"] == 1


def test_dense_puts_every_value_in_its_place_and_leaves_the_rest_missing():
    table = pd.DataFrame({"subject": ["b", "a"], "repeat": [5, 7], "value": [0.25, 0.75]})
    array = dense(table, ["a", "b"], [5, 7, 9])
    np.testing.assert_array_equal(array, [[np.nan, 0.75, np.nan], [0.25, np.nan, np.nan]])


def test_dense_refuses_a_row_of_a_subject_or_repeat_that_is_not_asked_for():
    table = pd.DataFrame({"subject": ["b"], "repeat": [5], "value": [0.25]})
    with pytest.raises(KeyError):
        dense(table, ["a"], [5])
    with pytest.raises(KeyError):
        dense(table, ["b"], [6])


def test_trim_leaves_out_levels_without_a_value_and_no_others():
    scores = np.array([[1, np.nan, 2], [np.nan, np.nan, np.nan], [np.nan, np.nan, 3]])
    np.testing.assert_array_equal(trim(scores), [[1, 2], [np.nan, 3]])
    np.testing.assert_array_equal(repeat_means(scores), [1, np.nan, 2.5])


def test_shapes_that_are_not_paired_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 1\) and \(3, 1\)"):
        paired(np.zeros((2, 1)), np.zeros((3, 1)))


def test_random_numbers_depend_on_seed_and_purpose():
    first = generator(0, "a").random(3)
    np.testing.assert_array_equal(first, generator(0, "a").random(3))
    assert not np.array_equal(first, generator(1, "a").random(3))
    assert not np.array_equal(first, generator(0, "b").random(3))


def test_importing_statistics_imports_neither_scipy_nor_pandas():
    names = ", ".join(f"glocalseg.evaluation.statistics.{m}" for m in MODULES)
    code = f"import sys, {names}; print([m for m in ('scipy', 'pandas', 'sklearn') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
