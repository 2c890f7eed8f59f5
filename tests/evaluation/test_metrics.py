"""The metrics by hand, their rules for empty masks, their properties, and that they are medpy's numbers."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from medpy.metric.binary import assd, dc, hd95
from numpy.typing import NDArray

from glocalseg.evaluation.metrics import METRICS, PRIMARY, Masks, Metric, case_scores
from glocalseg.evaluation.overlap import dice, dice_scores
from glocalseg.evaluation.surfaces import surface, surface_distances

SPACING = (5.0, 2.0, 1.0)
SHAPE = (6, 12, 20)
DIAGONAL = math.sqrt(30**2 + 24**2 + 20**2)
WORST = {"dice": 0.0, "nsd": 0.0, "hd95": DIAGONAL, "assd": DIAGONAL, "lost": 1.0}


def volume(*boxes: tuple[slice, slice, slice], shape: tuple[int, int, int] = SHAPE) -> NDArray[np.uint8]:
    """Box i is class i + 1."""
    found = np.zeros(shape, np.uint8)
    for i, box in enumerate(boxes, 1):
        found[box] = i
    return found


def scores(a: NDArray[np.uint8], b: NDArray[np.uint8], names: dict[int, str] | None = None) -> dict[tuple[str, str], float]:
    """The values that there are."""
    rows = case_scores(a, b, spacing=SPACING, structures=names or {1: "x"})
    assert len(rows) == len(names or {1: "x"}) * len(METRICS)
    return {(name, metric): value for name, metric, value in rows if not math.isnan(value)}


@pytest.mark.parametrize(("axis", "millimetres", "near"), [(0, 5.0, 0.0), (1, 2.0, 1.0), (2, 1.0, 1.0)])
def test_two_voxels_one_step_apart_are_one_spacing_apart(axis: int, millimetres: float, near: float) -> None:
    a, b = volume(), volume()
    a[2, 5, 7] = 1
    at = [2, 5, 7]
    at[axis] += 1
    b[tuple(at)] = 1
    expected = {"dice": 0.0, "nsd": near, "hd95": millimetres, "assd": millimetres, "lost": 0.0}
    assert scores(a, b) == {("x", name): value for name, value in expected.items()}


def test_a_shifted_plate() -> None:
    """A plate one voxel thick, and the same shifted by two rows: every surface voxel is 2 x 2 mm from the other or on it."""
    a = volume(np.s_[3:4, 2:6, 5:6])
    b = volume(np.s_[3:4, 4:8, 5:6])
    found = scores(a, b)
    assert found["x", "dice"] == 0.5
    # rows 2, 3 of a are 4 and 2 mm from b, rows 4, 5 lie in b; the same the other way round
    assert found["x", "assd"] == pytest.approx((4 + 2 + 0 + 0) / 4)
    assert found["x", "hd95"] == pytest.approx(np.percentile([4, 2, 0, 0, 0, 0, 2, 4], 95))
    assert found["x", "nsd"] == 6 / 8  # one pixel is 2 mm: all but the farthest row of either


def test_distances_of_both_directions_are_pooled() -> None:
    a, b = volume(), volume()
    a[2, 5, 7] = 1
    b[2, 5, 7:11] = 1  # 0, 1, 2 and 3 mm from the single voxel
    found = scores(a, b)
    assert found["x", "assd"] == pytest.approx((0 + 0 + 1 + 2 + 3) / 5)
    assert found["x", "hd95"] == pytest.approx(np.percentile([0, 0, 1, 2, 3], 95))
    assert found["x", "dice"] == 0.4
    assert found["x", "nsd"] == 4 / 5


def test_perfect_and_disjoint() -> None:
    a = volume(np.s_[1:4, 2:8, 3:9], np.s_[4:6, 2:8, 3:9])
    names = {1: "x", 2: "y"}
    found = scores(a, a, names)
    perfect = {"dice": 1.0, "nsd": 1.0, "hd95": 0.0, "assd": 0.0, "lost": 0.0}
    assert found == {(name, metric): value for name in names.values() for metric, value in perfect.items()}
    assert scores(a, np.where(a == 1, 2, np.where(a == 2, 1, 0)).astype(np.uint8), names)["y", "dice"] == 0


def test_empty_rules() -> None:
    """D20: absent in the truth there is no value, and a stray prediction is counted; not predicted has the worst value."""
    some, nothing = volume(np.s_[1:3, 2:5, 2:5]), volume()
    assert scores(nothing, some) == pytest.approx({("x", name): value for name, value in WORST.items()})
    assert scores(some, nothing) == {("x", "stray"): 1}
    assert scores(nothing, nothing) == {("x", "stray"): 0}  # counted over the same volumes for every method
    assert set(WORST) == set(METRICS) - {"stray"}
    whole = {("x", name) for name in WORST}
    assert set(scores(some, some, {1: "x", 2: "y"})) == {*whole, ("y", "stray")}


def test_losing_a_structure_is_never_better_than_the_worst_of_finding_it() -> None:
    """Two voxels in opposite corners: no two surfaces of the volume lie farther apart."""
    a, b = volume(), volume()
    a[0, 0, 0] = b[-1, -1, -1] = 1
    found, missed = scores(a, b), scores(volume(), b)
    for name in WORST:
        metric, worse = METRICS[name], missed["x", name] - found["x", name]
        assert worse <= 0 if metric.better == "high" else worse >= 0, name


def test_dice_scores_follow_the_same_rules() -> None:
    a, b = volume(np.s_[1:3, 2:6, 2:6]), volume(np.s_[1:3, 4:8, 2:6], np.s_[4:5, 0:2, 0:2])
    names = {1: "x", 2: "y", 3: "z"}
    found = dice_scores(a, b, names)
    assert found["x"] == scores(a, b)["x", "dice"] == 0.5
    assert found["y"] == 0
    assert math.isnan(found["z"])
    assert math.isnan(dice_scores(b, a, names)["y"])  # only predicted: the truth lacks it


def test_another_shape_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"expected a prediction of shape \(6, 12, 20\), found \(6, 12, 21\)"):
        case_scores(volume(shape=(6, 12, 21)), volume(), spacing=SPACING, structures={1: "x"})


def test_a_distance_to_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected two masks with a voxel in each"):
        surface_distances(volume() > 0, volume(np.s_[1:2, 1:2, 1:2]) > 0, SPACING)


def test_every_metric_says_what_it_is_and_dice_is_the_primary_one() -> None:
    assert PRIMARY == "dice"
    for metric in METRICS.values():
        assert metric.label
        assert metric.sentence
        assert metric.sentence[0].islower() or metric.sentence[0].isdigit()
        assert not metric.sentence.endswith(".")
    assert METRICS["nsd"].sentence.startswith("share of both surfaces")


def test_a_new_metric_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    def relative_size(masks: Masks) -> float:
        """Size of the prediction by that of the truth."""
        return float(masks.prediction.sum() / masks.truth.sum())

    monkeypatch.setitem(METRICS, "size", Metric("Size", "", "high", "mean", 0.0, relative_size))
    a, b = volume(np.s_[1:3, 2:6, 2:6]), volume(np.s_[1:3, 2:6, 2:10])
    assert scores(a, b)["x", "size"] == 0.5
    assert scores(volume(), b)["x", "size"] == 0.0


def test_scoring_needs_no_torch() -> None:
    """Scores are made in thousands of short jobs: torch would take most of their time."""
    check = "import sys, glocalseg.evaluation.metrics, glocalseg.stages.score; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0


def test_selection_needs_no_scipy() -> None:
    check = "import sys, glocalseg.evaluation.overlap; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0


# ---------------------------------------------------------------- properties

masks = st.integers(0, 2**32 - 1)
densities = st.sampled_from([0.02, 0.3, 0.9])


def pair(seed: int, density: float, at_border: bool) -> NDArray[np.bool_]:
    """Two random masks, neither of them empty."""
    rng = np.random.default_rng(seed)
    both = np.zeros((2, 5, 9, 8), bool)
    box = np.s_[:, :, :, :] if at_border else np.s_[:, 1:4, 2:7, 1:5]
    both[box] = rng.random(both[box].shape) < density
    both[0, 2, 4, 3] = both[1, 2, 5, 3] = True
    return both


@settings(max_examples=60, deadline=None)
@given(seed=masks, density=densities, at_border=st.booleans())
def test_numbers_are_those_of_medpy(seed: int, density: float, at_border: bool) -> None:
    a, b = pair(seed, density, at_border)
    found = scores(a.astype(np.uint8), b.astype(np.uint8))
    assert found["x", "dice"] == dice(a, b) == dc(a, b)
    assert found["x", "hd95"] == hd95(a, b, voxelspacing=SPACING)
    assert found["x", "assd"] == assd(a, b, voxelspacing=SPACING)


def slow_surface(mask: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """Coordinates of voxels with a face neighbour that is outside the mask or the array."""
    found = []
    for at in zip(*np.nonzero(mask), strict=True):
        for axis, step in itertools.product(range(mask.ndim), (-1, 1)):
            neighbour = list(at)
            neighbour[axis] += step
            inside = all(0 <= i < n for i, n in zip(neighbour, mask.shape, strict=True))
            if not inside or not mask[tuple(neighbour)]:
                found.append(tuple(int(i) for i in at))
                break
    return found


def slow_nsd(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """By the definition: every surface voxel against every voxel of the other surface."""
    first, second = (np.array(slow_surface(m)) * SPACING for m in (a, b))
    gaps = np.sqrt(((first[:, None] - second[None]) ** 2).sum(axis=2))
    nearest = [*gaps.min(axis=1), *gaps.min(axis=0)]
    return sum(gap <= SPACING[1] for gap in nearest) / len(nearest)


@settings(max_examples=40, deadline=None)
@given(seed=masks, density=densities, at_border=st.booleans())
def test_surface_dice_is_that_of_its_slow_twin(seed: int, density: float, at_border: bool) -> None:
    a, b = pair(seed, density, at_border)
    assert [tuple(at) for at in np.argwhere(surface(a))] == slow_surface(a)
    assert scores(a.astype(np.uint8), b.astype(np.uint8))["x", "nsd"] == pytest.approx(slow_nsd(a, b), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=masks, density=densities)
def test_metrics_are_symmetric_bounded_and_do_not_depend_on_the_place(seed: int, density: float) -> None:
    a, b = (m.astype(np.uint8) for m in pair(seed, density, at_border=False))
    found = scores(a, b)
    assert scores(b, a) == pytest.approx(found, abs=1e-12)
    assert 0 <= found["x", "nsd"] <= 1
    assert 0 <= found["x", "dice"] <= 1
    assert 0 <= found["x", "assd"] <= DIAGONAL
    moved = [np.roll(m, (1, 2, -1), axis=(0, 1, 2)) for m in (a, b)]
    assert scores(*moved) == pytest.approx(found, abs=1e-12)
