"""Labels that contradict those of the other volumes are named, by structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nifti_layouts import make_card, save, write_msd

from glocalseg.data.acquire.examine.case import Examined, Facts
from glocalseg.data.acquire.examine.labels import centres_of, check_labels
from glocalseg.data.acquire.verify import verify
from glocalseg.data.readers.base import Case

SHAPE = (20, 20, 10)  # 4000 voxels
SPACING = (1.0, 1.0, 2.0)
ROOM = {"frame": {"spacing": [1, 1], "size": [32, 32]}, "subjects": 6}


def one(volume: str, values: dict[int, int], *, centres: Any = None, labelled: bool = True, **facts: Any) -> Examined:
    label = Path(f"{volume}_gt.nii.gz") if labelled else None
    whole = Facts(**{"shape": SHAPE, "spacing": SPACING, "orientation": "RAS", "values": values, **facts})
    return Examined(Case(volume, volume, Path(f"{volume}.nii.gz"), label), facts=whole, centres=centres or {})


def usual(n: int = 5) -> list[Examined]:
    return [one(f"v{i}", {1: 400 + 20 * i, 2: 200 + 10 * i}) for i in range(n)]


def told(*examined: Examined, **changes: Any) -> list[str]:
    notes = [str(note) for note in check_labels(make_card(**changes), examined)]
    assert not any("\n" in note for note in notes)
    return notes


def test_patients_differ() -> None:
    assert told(*usual(), one("large", {1: 1200, 2: 700}), one("small", {1: 60, 2: 30}), one("no two", {1: 400})) == []
    assert told(*usual(), one("none", {}), one("unlabelled", {}, labelled=False)) == []


def test_a_structure_of_another_size_is_told() -> None:
    assert told(*usual(), one("odd", {1: 30, 2: 220}), one("dot", {1: 420, 2: 12})) == [
        "tiny: 'one' has 840 mm3 in the median volume, 10 times more or less in odd (60 mm3)",
        "tiny: 'two' has 440 mm3 in the median volume, 10 times more or less in dot (24 mm3)",
    ]
    fine = one("fine", {1: 440 * 8, 2: 220 * 8}, shape=(40, 40, 20), spacing=(0.5, 0.5, 1.0))
    assert told(*usual(), fine) == []  # voxels are not what is compared
    assert told(*usual(), one("cm", {1: 440, 2: 220}, spacing=(0.1, 0.1, 0.2)))[0].endswith("in cm (0.88 mm3)")
    assert told(*usual(3), one("odd", {1: 30, 2: 220})) == []  # of four, nobody is usual


def test_values_that_are_one_class_are_one_structure() -> None:
    merged = {"label_values": {3: 1, 4: 1, 7: 2}}
    cases = [one(f"v{i}", {3: 200, 4: 200, 7: 200}) for i in range(5)]
    assert told(*cases, one("w", {4: 390, 7: 180}), **merged) == []
    assert "'one' has 800 mm3" in told(*cases, one("w", {4: 39, 7: 180}), **merged)[0]


def test_a_single_voxel_is_told() -> None:
    text = "tiny: 'two' is a single voxel in 1 of 6 volumes: dot"
    assert told(*usual(), one("dot", {1: 420, 2: 1})) == [text]
    assert told(one("a", {1: 4}), one("dot", {1: 1})) == ["tiny: 'one' is a single voxel in 1 of 2 volumes: dot"]


def test_a_label_without_background_is_told() -> None:
    assert told(one("v", {1: 400, 2: 200}), one("full", {1: 4000})) == [
        "tiny: no voxel of background in 1 of 2 labels: full"
    ]
    assert told(one("v", {1: 400}), one("nearly", {1: 3000, 9: 1000}), stray_values=[9]) == []


def test_an_inverted_label_is_told() -> None:
    half = [one(f"v{i}", {1: 1200 + 10 * i}) for i in range(5)]  # 30%, inverted 70%: not ten times more
    (text,) = told(*half, one("inverted", {1: 2800}))
    assert text == "tiny: an inverted label? 30.5% of the voxels are labelled in the median volume, most in inverted (70%)"
    assert told(*half, one("large", {1: 1990})) == []


def test_the_centre_of_a_structure() -> None:
    native = np.zeros((4, 5, 6), np.uint8)
    native[1:4, 2, 3] = 1
    native[0, 0, 4:6] = 3
    found = centres_of(native, (8.0, 1.5, 2.0), {1: "one", 2: "two", 3: "three"})
    assert found == {"one": (16.0, 3.0, 6.0), "three": (0.0, 0.0, 9.0)}


def pair(volume: str, *way: float) -> Examined:
    start = np.random.default_rng(len(volume)).normal(20, 3, 3)
    return one(volume, {1: 400, 2: 200}, centres={"one": tuple(start), "two": tuple(start + way)})


def test_structures_that_lie_the_other_way_round_are_told() -> None:
    same = [pair("v" * (i + 1), 2.0, 9.0 + i, -1.0) for i in range(5)]
    assert told(*same, pair("turned", 9, 2, 0)) == []  # a right angle
    assert told(*same, pair("swapped", -2, -10, 1)) == [
        "tiny: 'two' lies on the other side of 'one' than in 5 of 6 volumes (values swapped, or an axis reversed?): swapped"
    ]
    around = [pair("v" * (i + 1), *np.roll([9.0, 0, 0], i) * (-1) ** i) for i in range(6)]
    assert told(*around) == []  # no side is usual
    assert told(*(pair("v" * (i + 1), 0, 0, 0) for i in range(6))) == []  # one around the other


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: np.where(v == 1, 2, np.where(v == 2, 1, 0)), "'two' lies on the other side of 'one' than in 5 of 6"),
        (lambda v: v[:, ::-1], "'two' lies on the other side of 'one' than in 5 of 6"),
        (lambda v: v * 0 + 1, "no voxel of background in 1 of 6 labels: case_05"),
        (lambda v: np.where(v == 0, 1, 0), "an inverted label? 12.8% of the voxels are labelled in the median volume"),
        (lambda v: np.arange(v.size).reshape(v.shape) == 2105, "'one' is a single voxel in 1 of 6 volumes: case_05"),
    ],
)
def test_verification_tells_it(tmp_path: Path, change: Any, said: str) -> None:
    cases = [f"case_{i:02d}" for i in range(6)]
    write_msd(tmp_path, cases)
    for seed, name in enumerate(cases):
        label = np.zeros(SHAPE, np.uint8)
        label[6:13, 3:10, 2:8] = 1
        label[6 + seed % 2 : 12, 11:17, 2:8] = 2
        label = change(label).astype(np.uint8) if seed == 5 else label
        image = np.random.default_rng(seed).normal(100, 20, SHAPE).astype(np.float32)
        save(tmp_path / f"imagesTr/{name}.nii.gz", image, np.diag([1, 1, 2, 1]))
        save(tmp_path / f"labelsTr/{name}.nii.gz", label, np.diag([1, 1, 2, 1]))
    found = verify(make_card(**ROOM), tmp_path)
    assert found.problems == []
    assert any(said in str(note) for note in found.notes), found.notes
