"""Volumes whose lengths are unlike those of the others, and images that are small on the frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nifti_layouts import image_voxels, make_card, save, write_msd

from glocalseg.data.acquire.examine.case import Examined, Facts
from glocalseg.data.acquire.examine.outliers import check_lengths
from glocalseg.data.acquire.verify import verify
from glocalseg.data.readers.base import Case

CINE = ((220, 240, 10), (1.5, 1.4, 8.0))  # as ACDC's
FRAME = {"spacing": [1.36719, 1.36719], "size": [192, 192]}
ADVICE = "(lengths in cm, or in m? correct the header, or leave the volume out)"


def one(
    volume: str,
    shape: tuple[int, int, int] = CINE[0],
    spacing: tuple[float, float, float] = CINE[1],
    orientation: str = "RAS",
) -> Examined:
    facts = Facts(shape, spacing, orientation, {1: 100})
    return Examined(Case(volume, volume, Path(f"{volume}.nii.gz"), Path(f"{volume}_gt.nii.gz")), facts=facts)


def usual(n: int = 6) -> list[Examined]:
    return [one(f"v{i}") for i in range(n)]


def told(*examined: Examined, **changes: Any) -> tuple[list[str], list[str]]:
    problems, notes = check_lengths(make_card(**{"frame": FRAME, **changes}), examined)
    assert not any("\n" in str(line) for line in [*problems, *notes])
    return [str(p) for p in problems], [str(n) for n in notes]


def test_what_scanners_differ_in_needs_no_word() -> None:
    fields = [(0.7, 428, 5.0, 18), (1.9, 154, 10.0, 6), (1.37, 256, 6.5, 12), (1.56, 216, 10.0, 8), (1.68, 240, 10.0, 9)]
    assert told(*(one(f"v{i}", (n, n, d), (s, s, z)) for i, (s, n, z, d) in enumerate(fields))) == ([], [])
    abdomen = [(0.61, 5.0, 31), (0.98, 1.5, 168), (0.79, 5.0, 90), (0.8, 8.0, 51), (0.9, 2.5, 100)]  # CT of one task
    assert told(*(one(f"v{i}", (512, 512, d), (s, s, z)) for i, (s, z, d) in enumerate(abdomen))) == ([], [])
    crops = [one(f"v{i}", (31 + 3 * i, 59 - 4 * i, 24 + 5 * i), (1.0, 1.0, 1.0)) for i in range(5)]
    assert told(*crops, slice_axis="A", frame={"spacing": [1.25, 1.25], "size": [32, 32]}) == ([], [])


@pytest.mark.parametrize("slice_axis", ["S", "I"])
@pytest.mark.parametrize(
    ("shape", "spacing", "orientation"),
    [(*CINE, "RAS"), (*CINE, "LPS"), ((10, 220, 240), (8.0, 1.5, 1.4), "SRA")],
)
def test_a_volume_whose_slices_lie_nearer_than_in_all_others_is_told(
    slice_axis: str, shape: tuple[int, int, int], spacing: tuple[float, float, float], orientation: str
) -> None:
    short = tuple(1.5 if side == 8.0 else side for side in spacing)
    problems, notes = told(*usual(), one("odd", shape, short, orientation), slice_axis=slice_axis)  # type: ignore[arg-type]
    assert problems == []
    assert notes == ["tiny: distance from slice to slice: 8 mm is the median, far from it odd (1.5 mm)"]


def test_a_volume_of_small_slices_is_told() -> None:
    problems, notes = told(*usual(), one("odd", spacing=(0.5, 0.5, 8.0)))
    assert problems == []
    assert notes == [
        "tiny: height of the slices: 330 mm is the median, far from it odd (110 mm)",
        "tiny: width of the slices: 336 mm is the median, far from it odd (120 mm)",
    ]
    two = one("odd", spacing=(0.5, 1.4, 8)), one("even", spacing=(0.45, 1.4, 8))
    assert "odd (110 mm), even (99 mm)" in told(*usual(), *two)[1][0]


@pytest.mark.parametrize(("times", "said"), [(0.1, "33"), (10.0, "3300")])
def test_a_volume_in_another_unit_is_an_error(times: float, said: str) -> None:
    x, y, z = (times * side for side in CINE[1])
    problems, notes = told(*usual(), one("odd", spacing=(x, y, z)))
    assert notes == []
    assert problems[0] == (
        "odd.nii.gz: expected a height of the slices less than 8 times off the median of all volumes, 330 mm, "
        f"found odd ({said} mm) {ADVICE}"
    )
    assert len(problems) == 3  # height, width and distance


def test_half_of_the_volumes_in_another_unit() -> None:
    problems, _ = told(*usual(3), *(one(f"w{i}", spacing=(0.15, 0.14, 0.8)) for i in range(3)))
    assert len(problems) == 4  # of either half it cannot be known which one is right; the median is small on the frame then
    assert "v0.nii.gz and 2 more" in problems[1]


def test_thin_slices_and_many_of_them_are_no_error() -> None:
    thick = [one(f"v{i}", (512, 512, 60), (0.8, 0.8, 5.0)) for i in range(5)]
    problems, notes = told(*thick, one("thin", (512, 512, 600), (0.8, 0.8, 0.5)))
    assert problems == []
    assert notes == ["tiny: distance from slice to slice: 5 mm is the median, far from it thin (0.5 mm)"]
    assert told(*thick, one("part", (512, 512, 10), (0.8, 0.8, 5.0)))[1] == [
        "tiny: length of all slices together: 300 mm is the median, far from it part (50 mm)"
    ]


def test_two_volumes_say_nothing_of_each_other() -> None:
    assert told(one("a"), one("b", spacing=(0.5, 0.5, 1))) == ([], [])


def test_all_volumes_in_centimetres_are_an_error() -> None:
    problems, notes = told(*(one(f"v{i}", spacing=(0.15, 0.14, 0.8)) for i in range(4)))
    assert notes == []
    assert problems == [
        "tiny: expected a median slice that fills 20% of the frame's rows or columns, or more, found 33 x 33.6 mm, 13% of the "
        "rows and 13% of the columns of 192 x 192 pixels of 1.36719 x 1.36719 mm (lengths in cm, or in m? if not, the card's "
        "frame is too large)"
    ]
    assert told(one("a", spacing=(0.15, 0.14, 0.8)))[0] == problems  # one is enough
    problems, notes = told(*(one(f"v{i}", (60, 55, 10), (1.2, 1.2, 8)) for i in range(4)))
    assert problems == []
    assert notes == [
        "tiny: the median slice is small on the frame: 72 x 66 mm, 27% of the rows and 25% of the columns of 192 x 192 pixels of "
        "1.36719 x 1.36719 mm"
    ]
    assert told(*(one(f"v{i}", (60, 220, 10), (1.2, 1.2, 8)) for i in range(4))) == ([], [])  # narrow


def test_verification_tells_it(tmp_path: Path) -> None:
    cases = [f"case_{i:02d}" for i in range(5)]
    write_msd(tmp_path, cases)
    label = np.zeros((24, 24, 6), np.uint8)
    label[6:18, 6:18, 1:5] = 1
    label[9:12, 9:12, 2:4] = 2
    for seed, name in enumerate(cases):
        affine = np.diag([0.7, 0.7, 1.2, 1.0] if seed == 3 else [2.0, 2.0, 8.0, 1.0])
        save(tmp_path / f"imagesTr/{name}.nii.gz", image_voxels(seed, label.shape), affine)
        save(tmp_path / f"labelsTr/{name}.nii.gz", label, affine)
    found = verify(make_card(subjects=5, frame={"spacing": [1, 1], "size": [48, 48]}), tmp_path)
    assert [n.text for n in found.notes if "is the median" in n.text] == [
        "height of the slices: 48 mm is the median, far from it case_03 (16.8 mm)",
        "width of the slices: 48 mm is the median, far from it case_03 (16.8 mm)",
        "distance from slice to slice: 8 mm is the median, far from it case_03 (1.2 mm)",
    ]
