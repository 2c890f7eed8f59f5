"""Dice, HD95 and ASSD by hand, their rules for empty masks, and that the cropped computation is medpy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from medpy.metric.binary import assd, dc, hd95
from numpy.typing import NDArray

from glocalseg.evaluation.metrics import case_scores, dice_scores, mean_dice

SPACING = (5.0, 2.0, 1.0)


def volume(*boxes: tuple[slice, slice, slice], shape: tuple[int, int, int] = (6, 12, 20)) -> NDArray[np.uint8]:
    """Box i is class i + 1."""
    found = np.zeros(shape, np.uint8)
    for i, box in enumerate(boxes, 1):
        found[box] = i
    return found


def scores(a: NDArray[np.uint8], b: NDArray[np.uint8], names: dict[int, str] | None = None) -> dict[tuple[str, str], float]:
    rows = case_scores(a, b, spacing=SPACING, structures=names or {1: "x"})
    return {(name, metric): value for name, metric, value in rows}


@pytest.mark.parametrize(("axis", "millimetres"), [(0, 5.0), (1, 2.0), (2, 1.0)])
def test_two_voxels_one_step_apart_are_one_spacing_apart(axis: int, millimetres: float) -> None:
    a, b = volume(), volume()
    a[2, 5, 7] = 1
    at = [2, 5, 7]
    at[axis] += 1
    b[tuple(at)] = 1
    assert scores(a, b) == {("x", "dice"): 0.0, ("x", "hd95"): millimetres, ("x", "assd"): millimetres}


def test_a_shifted_plate() -> None:
    """A plate one voxel thick, and the same shifted by two rows: every surface voxel is 2 x 2 mm from the other or on it."""
    a = volume(np.s_[3:4, 2:6, 5:6])
    b = volume(np.s_[3:4, 4:8, 5:6])
    found = scores(a, b)
    assert found["x", "dice"] == 0.5
    # rows 2, 3 of a are 4 and 2 mm from b, rows 4, 5 lie in b; the same the other way round
    assert found["x", "assd"] == pytest.approx((4 + 2 + 0 + 0) / 4)
    assert found["x", "hd95"] == pytest.approx(np.percentile([4, 2, 0, 0, 0, 0, 2, 4], 95))


def test_distances_of_both_directions_are_pooled() -> None:
    a, b = volume(), volume()
    a[2, 5, 7] = 1
    b[2, 5, 7:10] = 1  # 0, 1 and 2 mm from the single voxel
    found = scores(a, b)
    assert found["x", "assd"] == pytest.approx((0 + 0 + 1 + 2) / 4)
    assert found["x", "hd95"] == pytest.approx(np.percentile([0, 0, 1, 2], 95))
    assert found["x", "dice"] == 0.5


def test_perfect_and_disjoint() -> None:
    a = volume(np.s_[1:4, 2:8, 3:9], np.s_[4:6, 2:8, 3:9])
    names = {1: "x", 2: "y"}
    found = scores(a, a, names)
    assert {k: v for k, v in found.items() if k[1] == "dice"} == {("x", "dice"): 1.0, ("y", "dice"): 1.0}
    assert {v for k, v in found.items() if k[1] != "dice"} == {0.0}
    assert scores(a, np.where(a == 1, 2, np.where(a == 2, 1, 0)).astype(np.uint8), names)["y", "dice"] == 0


def test_empty_rules() -> None:
    """D20: absent in both is skipped; absent in one is Dice 0 with distances missing."""
    some, nothing = volume(np.s_[1:3, 2:5, 2:5]), volume()
    for a, b in ((some, nothing), (nothing, some)):
        found = scores(a, b)
        assert found["x", "dice"] == 0
        assert math.isnan(found["x", "hd95"])
        assert math.isnan(found["x", "assd"])
    assert all(math.isnan(v) for v in scores(nothing, nothing).values())
    two = case_scores(some, some, spacing=SPACING, structures={1: "x", 2: "y"})
    assert mean_dice(two) == 1.0
    assert math.isnan(mean_dice(case_scores(nothing, nothing, spacing=SPACING, structures={1: "x"})))


def test_dice_scores_follow_the_same_rules() -> None:
    a, b = volume(np.s_[1:3, 2:6, 2:6]), volume(np.s_[1:3, 4:8, 2:6], np.s_[4:5, 0:2, 0:2])
    found = dice_scores(a, b, {1: "x", 2: "y", 3: "z"})
    assert found["x"] == scores(a, b)["x", "dice"] == 0.5
    assert found["y"] == 0
    assert math.isnan(found["z"])


def test_another_shape_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"expected a prediction of shape \(6, 12, 20\), found \(6, 12, 21\)"):
        case_scores(volume(shape=(6, 12, 21)), volume(), spacing=SPACING, structures={1: "x"})


masks = st.integers(0, 2**32 - 1)


@settings(max_examples=60, deadline=None)
@given(seed=masks, density=st.sampled_from([0.02, 0.3, 0.9]), at_border=st.booleans())
def test_the_crop_changes_nothing(seed: int, density: float, at_border: bool) -> None:
    rng = np.random.default_rng(seed)
    a, b = np.zeros((2, 5, 9, 8), bool)
    box = np.s_[:, :, :] if at_border else np.s_[1:4, 2:7, 1:5]
    a[box] = rng.random(a[box].shape) < density
    b[box] = rng.random(b[box].shape) < density
    a[2, 4, 3] = b[2, 5, 3] = True
    found = scores(a.astype(np.uint8), b.astype(np.uint8))
    assert found["x", "dice"] == dc(a, b)
    assert found["x", "hd95"] == pytest.approx(hd95(a, b, voxelspacing=SPACING), rel=1e-12)
    assert found["x", "assd"] == pytest.approx(assd(a, b, voxelspacing=SPACING), rel=1e-12)
