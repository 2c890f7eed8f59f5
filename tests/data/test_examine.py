"""One case: each kind of fault is one problem with the right value, what is odd is a note, and losses are counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nifti_headers import edit, write
from nifti_layouts import make_card

from glocalseg.data.acquire.examine.case import Examined, Facts, Loss, examine
from glocalseg.data.images.volumes import load_image, load_label
from glocalseg.data.readers.base import Case
from glocalseg.data.slices.prepare import PrepareError, prepare_volume

SHAPE = (32, 30, 8)
AFFINE = np.diag([1.5, 1.5, 8.0, 1.0])
MIRRORED = np.diag([-1.5, 1.5, 8.0, 1.0])
SHIFTED = nib.affines.from_matvec(AFFINE[:3, :3], [0.1, 0.1, 0.1])
FRAME = {"spacing": [1.5, 1.5], "size": [32, 32]}
IMAGE, LABEL = "image.nii.gz", "label.nii.gz"


def label_voxels() -> np.ndarray:
    x, y, z = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    r = np.hypot(x - 15, y - 14)
    inside = (z > 0) & (z < 7)
    return (np.where(r < 4, 2, np.where(r < 8, 1, 0)) * inside).astype(np.uint8)


def image_voxels(seed: int = 0) -> np.ndarray:
    """Air about 0, structure 1 about 100, structure 2 about 150."""
    where = label_voxels()
    noise = np.random.default_rng(seed).normal(0, 10, SHAPE)
    return (100 * (where > 0) + 50 * (where == 2) + noise).astype(np.float32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / IMAGE, image_voxels(), AFFINE)
    write(tmp_path / LABEL, label_voxels(), AFFINE)
    return tmp_path


def look(root: Path, *, label: bool = True, **changes: Any) -> Examined:
    card = make_card(**{"frame": FRAME, **changes})
    return examine(card.reading, card.preparation, Case("x", "x", root / IMAGE, root / LABEL if label else None))


def notes(found: Examined) -> list[str]:
    assert found.problems == ()
    return [note.text for note in found.notes]


def test_a_sound_case(root: Path) -> None:
    card = make_card(frame=FRAME)
    found = look(root)
    assert (found.problems, found.notes) == ((), ())
    assert found.image == load_image(card.reading, root / IMAGE).content
    assert found.label == load_label(card.reading, root / LABEL).content
    counts = np.bincount(label_voxels().ravel())
    assert found.facts == Facts(SHAPE, (1.5, 1.5, 8.0), "RAS", {1: int(counts[1]), 2: int(counts[2])})
    json.dumps([*found.facts.shape, *found.facts.spacing, found.facts.values])  # plain numbers
    area = 2.25
    assert found.losses == {n: Loss(*[float(counts[k] * area)] * 3) for k, n in ((1, "one"), (2, "two"))}
    again = prepare_volume(card.reading, card.preparation, found.case)
    assert found.prepared is not None
    for name in ("image", "label", "native_label"):
        np.testing.assert_array_equal(getattr(found.prepared, name), getattr(again, name))
    assert (found.prepared.spacing, found.prepared.resampled) == (again.spacing, again.resampled)


def test_a_case_without_a_label(root: Path) -> None:
    found = look(root, label=False)
    assert notes(found) == []
    assert (found.label, found.losses) == (None, {})
    assert found.facts is not None
    assert found.facts.values == {}
    assert found.prepared is not None
    assert not found.prepared.native_label.any()


def test_a_bias_field_is_not_removed_here(root: Path) -> None:
    found = look(root, bias_correction=True)
    assert found.prepared is None
    assert found.losses == look(root).losses
    write(root / IMAGE, np.where(label_voxels() == 9, 1, np.arange(8) == 4).astype(np.float32) * 5, AFFINE)
    (problem,) = look(root, bias_correction=True, percentiles=[1, 50]).problems
    assert "different percentiles" in problem.expected


def _image(change: Callable[[np.ndarray], Any]) -> Callable[[Path], None]:
    def write_it(root: Path) -> None:
        voxels = image_voxels()
        changed = change(voxels)
        write(root / IMAGE, voxels if changed is None else changed, AFFINE)

    return write_it


def _label(value: float, dtype: Any) -> Callable[[Path], None]:
    def write_it(root: Path) -> None:
        voxels = label_voxels().astype(dtype)
        voxels[0, 0, :3] = value
        write(root / LABEL, voxels, AFFINE)

    return write_it


def _flat(root: Path) -> None:
    voxels = np.zeros(SHAPE, np.float32)
    voxels[15:17, 15:17, 3] = 5
    write(root / IMAGE, voxels, AFFINE)


def _both(**fields: Any) -> Callable[[Path], None]:
    return lambda root: [edit(root / name, **fields) for name in (IMAGE, LABEL)] and None


@pytest.mark.parametrize(
    ("break_it", "file", "expected", "found"),
    [
        (lambda r: (r / IMAGE).unlink(), IMAGE, "a NIfTI file", "no such file"),
        (lambda r: (r / LABEL).unlink(), LABEL, "a NIfTI file", "no such file"),
        (_image(lambda v: v.__setitem__((0, 0, slice(0, 2)), np.nan)), IMAGE, "finite voxels", "2 of 7680 are NaN"),
        (_image(lambda v: v.__setitem__((0, 0, 0), -np.inf)), IMAGE, "finite voxels", "1 of 7680 are infinite"),
        (_image(lambda v: v * 0 + 3), IMAGE, "an image that is not constant", "3 everywhere"),
        (_flat, IMAGE, "different percentiles (1.0, 99.0) of its intensities", "0.0 and 0.0"),
        (_label(7, np.uint8), LABEL, "label values of [0, 1, 2]", "7 (3 voxels)"),
        (_label(-1, np.int16), LABEL, "label values of [0, 1, 2]", "-1 (3 voxels)"),
        (_label(0.9999999, np.float32), LABEL, "whole numbers", "0.9999998807907104 (3 voxels)"),
        (_label(2.0000001, np.float64), LABEL, "whole numbers", "2.0000001 (3 voxels)"),
        (_label(np.nan, np.float32), LABEL, "whole numbers", "nan (3 voxels)"),
        (lambda r: write(r / LABEL, label_voxels()[..., :5], AFFINE), LABEL, "shape (32, 30, 8)", "(32, 30, 5)"),
        (lambda r: write(r / LABEL, label_voxels(), MIRRORED), LABEL, "the image's affine", "LAS, the image's RAS"),
        (lambda r: edit(r / LABEL, srow=SHIFTED[:3]), LABEL, "the image's affine (corners within 0.15 mm)", "0.173 mm away"),
        (_both(srow=np.eye(4)[:3]), IMAGE, "one geometry in its header", "1.5 x 1.5 x 8 mm in pixdim"),
    ],
)  # fmt: skip
def test_each_fault_is_one_problem(
    root: Path, break_it: Callable[[Path], Any], file: str, expected: str, found: str
) -> None:
    break_it(root)
    one = look(root)
    problem = one.problems[0]
    assert len(one.problems) == (2 if problem.expected == "one geometry in its header" else 1)  # image and label have it
    assert problem.file == str(root / file)
    assert expected in problem.expected
    assert found in problem.found
    assert "\n" not in str(problem)
    assert one.prepared is None


def test_all_problems_of_a_case_are_told_at_once(root: Path) -> None:
    _image(lambda v: v.__setitem__((0, 0, 0), np.nan))(root)
    edit(root / IMAGE, srow=np.eye(4)[:3])
    _label(9, np.uint8)(root)
    assert [p.expected for p in look(root).problems] == [
        "one geometry in its header",
        "finite voxels",
        "label values of [0, 1, 2]",
    ]


def test_a_label_that_is_the_image_is_refused(root: Path) -> None:
    values = (np.arange(32 * 30 * 8) % 3).reshape(SHAPE)
    write(root / IMAGE, values.astype(np.float32), AFFINE)
    write(root / LABEL, values.astype(np.int16), AFFINE)
    assert [p.expected for p in look(root).problems] == ["a label of its own"]


def test_slices_of_a_few_pixels_and_volumes_of_one_slice_are_refused(root: Path) -> None:
    _both(pixdim=[0.3, 0.3, 8], srow=np.diag([0.3, 0.3, 8, 1])[:3])(root)
    (problem,) = look(root).problems
    assert problem.expected == "slices of 8 to 2048 pixels on a side"
    assert problem.found == "6 x 6 at the frame's spacing, 1.5 x 1.5 mm (stored: 32 x 30 of 0.3 x 0.3 mm)"
    _both(pixdim=[40, 40, 8], srow=np.diag([40, 40, 8, 1])[:3])(root)
    assert "853 x 800" not in str(look(root).problems)
    (problem,) = look(root, frame={"spacing": [0.5, 0.5], "size": [32, 32]}).problems
    assert problem.found.startswith("2560 x 2400 at the frame's spacing")
    for name, voxels in ((IMAGE, image_voxels()), (LABEL, label_voxels())):
        write(root / name, voxels[..., 3:4], AFFINE)
    (problem,) = look(root).problems
    assert (problem.expected, problem.found) == ("at least 2 slices", "1 (shape (32, 30, 1), slice_axis S)")


def test_metres_give_the_same_as_millimetres(root: Path) -> None:
    wanted = look(root)
    _both(xyzt_units=1, pixdim=[0.0015, 0.0015, 0.008], srow=AFFINE[:3] * 0.001)(root)
    found = look(root)
    assert set(notes(found)) == {"its lengths are in metres: turned into mm"}
    assert (found.image, found.label, found.losses) == (wanted.image, wanted.label, wanted.losses)
    assert found.prepared is not None
    assert wanted.prepared is not None
    np.testing.assert_array_equal(found.prepared.image, wanted.prepared.image)
    assert found.prepared.spacing == pytest.approx(wanted.prepared.spacing)


# ---------------------------------------------------------------- intensities


def outside() -> np.ndarray:
    x, y = np.meshgrid(np.arange(32), np.arange(30), indexing="ij")
    return np.hypot(x - 15.5, y - 14.5) > 14


def contrast(found: Examined) -> float:
    assert found.problems == ()
    assert found.prepared is not None
    image, label = found.prepared.image, found.prepared.label
    return float(image[label == 2].mean() - image[label == 1].mean())


@pytest.mark.parametrize("value", [-1024, -2000, -3024, -32768, 32767])
def test_padding_that_eats_contrast_is_a_problem_and_can_be_named(root: Path, value: int) -> None:
    body = np.where(outside()[..., None], np.nan, image_voxels())
    low, high = np.nanpercentile(body, (1, 99))
    inner = body[label_voxels() == 2].mean() - body[label_voxels() == 1].mean()
    _image(lambda v: v.__setitem__(outside(), value))(root)
    (problem,) = look(root).problems
    assert problem.expected == "percentiles (1.0, 99.0) of what was scanned"
    share = outside().mean()
    assert f"{share:.1%} of its voxels hold {value}, its {'smallest' if value < 0 else 'largest'} value" in problem.found
    assert f"'padding: {value}' in the card" in problem.found
    named = look(root, padding=value)
    assert notes(named) == []
    assert (named.padded, look(root, padding=value - 1).padded) == (True, False)
    assert contrast(named) == pytest.approx(inner / (high - low), rel=0.01)
    assert named.prepared is not None
    around = np.pad(outside(), ((0, 0), (1, 1)), constant_values=True)  # 32 x 30 on a frame of 32 x 32
    assert not named.prepared.image[:, around].any()
    windowed = look(root, window=[0, 200])
    assert notes(windowed) == []
    assert contrast(windowed) == pytest.approx(inner / 200, rel=0.02)


def test_padding_near_the_body_is_told(root: Path) -> None:
    _image(lambda v: v.__setitem__(outside(), -100))(root)
    (text,) = notes(look(root))
    assert "hold -100, its smallest value" in text
    assert "'padding: -100' in the card leaves it out" in text
    write(root / IMAGE, np.clip(image_voxels(), -20, 150), AFFINE)  # a scanner's range: the next value is near
    assert notes(look(root)) == []


def test_zero_around_an_organ_is_no_problem(root: Path) -> None:
    _image(lambda v: np.where(label_voxels() > 0, v + 1000, 0))(root)
    (text,) = notes(look(root))
    assert "'padding: 0'" in text
    _image(lambda v: np.where(outside()[..., None], 0, v + 40))(root)
    assert notes(look(root)) == []


def test_a_second_padding_value_is_found_beside_the_named_one(root: Path) -> None:
    def two(voxels: np.ndarray) -> None:
        voxels[outside()] = -3024
        voxels[:, :2] = -9999

    _image(two)(root)
    (problem,) = look(root, padding=-3024).problems
    assert "-9999" in problem.found


def test_an_image_of_two_values_is_told(root: Path) -> None:
    _image(lambda v: (v > 50) * 3.0)(root)
    assert notes(look(root)) == ["an image of two values only, 0 and 3"]


def test_nothing_but_padding_is_a_problem(root: Path) -> None:
    _image(lambda v: np.where(v == v.max(), np.float32(-6), np.float32(-5)))(root)
    (problem,) = look(root, padding=-5).problems
    assert "different percentiles" in problem.expected


# ---------------------------------------------------------------- windows

SOFT = [-160, 240]  # Hounsfield units


def hounsfield(voxels: np.ndarray) -> np.ndarray:
    """Air around and fat in a body; structure 1 about 60, structure 2 about 100."""
    body = np.where(label_voxels() == 2, 100, np.where(label_voxels() == 1, 60, -90))
    return np.where(outside()[..., None], -1000, body) + voxels - image_voxels()


def scan(root: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    noise = np.random.default_rng(0).normal(0, 10, SHAPE).astype(np.float32)
    hu = hounsfield(image_voxels() + noise)
    write(root / IMAGE, change(hu).astype(np.float32), AFFINE)


def test_air_outside_of_a_window_is_what_it_is_for(root: Path) -> None:
    scan(root, lambda hu: hu)
    assert notes(look(root, window=SOFT)) == []
    assert notes(look(root, window=SOFT, label=False)) == []
    scan(root, lambda hu: np.where(outside()[..., None], -1024, hu))
    assert notes(look(root, window=SOFT)) == []


@pytest.mark.parametrize("label", [True, False])
def test_a_window_beside_the_intensities_is_a_problem(root: Path, label: bool) -> None:
    (problem,) = look(root, window=[1000, 2000], label=label).problems
    assert problem.expected == "intensities that the card's window (1000.0, 2000.0) keeps apart"
    assert problem.found.endswith(": all become 0")
    (problem,) = look(root, window=[-2000, -1000], label=label).problems
    assert problem.found.split(": ", 1)[1].startswith("all become 1")
    (problem,) = look(root, window=[-100000, 200000], label=label).problems
    assert "of the window" in problem.found


def test_ct_without_its_intercept_is_a_problem_by_name(root: Path) -> None:
    scan(root, lambda hu: hu + 1024)  # air is about 24, within the window
    (problem,) = look(root, window=SOFT).problems
    assert problem.expected == "structures within the card's window (-160.0, 240.0)"
    median = float(np.median(load_image(make_card().reading, root / IMAGE).voxels[label_voxels() > 0]))
    assert f"whose median is {median:g}, 0.0% become 0 and 100.0% become 1" in problem.found
    assert "without their rescale intercept" in problem.found
    (text,) = notes(look(root, window=SOFT, label=False))  # more than a quarter of it is body
    assert "without their rescale intercept" in text


@pytest.mark.parametrize("label", [True, False])
def test_a_body_that_becomes_one_value_is_a_problem_whatever_lies_around_it(root: Path, label: bool) -> None:
    scan(root, lambda hu: np.where(outside()[..., None], 0, hu + 1024))
    (problem,) = look(root, window=SOFT, label=label).problems
    found = problem.found
    assert found.split("of which ")[1].startswith("0.0% become 0 and 100.0% become 1; hardly any") or "median" in found
    assert "rescale intercept" in found
    (problem,) = look(root, window=SOFT, label=label, padding=0).problems
    assert "all become 1" in problem.found


def test_structures_that_a_window_clips_are_told(root: Path) -> None:
    scan(root, lambda hu: np.where(label_voxels() > 0, hu + 400, hu))
    (text,) = notes(look(root, window=SOFT))
    assert "of the labelled voxels, whose median is 46" in text
    assert text.endswith("0.0% become 0 and 100.0% become 1 by the card's window (-160.0, 240.0)")
    scan(root, lambda hu: np.where(label_voxels() > 0, hu - 900, hu))  # lungs
    (text,) = notes(look(root, window=SOFT))
    assert "100.0% become 0 and 0.0% become 1" in text


# ---------------------------------------------------------------- losses


def test_what_resampling_and_frame_lose_is_counted(root: Path) -> None:
    losses = look(root, frame={"spacing": [0.75, 1.5], "size": [16, 32]}).losses  # 16 rows of 0.75 mm: 12 mm of 48
    rows = label_voxels()[12:20]
    assert losses["one"].resampled == losses["one"].native
    assert losses["one"].framed == pytest.approx(np.count_nonzero(rows == 1) * 2.25)
    assert losses["two"].framed == pytest.approx(np.count_nonzero(rows == 2) * 2.25)
    thin = np.zeros(SHAPE, np.uint8)
    thin[4, :, 3] = 1
    write(root / LABEL, thin, AFFINE)
    coarse = look(root, frame={"spacing": [3.75, 3.75], "size": [16, 16]}).losses
    assert coarse == {"one": Loss(30 * 2.25, 0.0, 0.0)}  # between the centres of two rows of 3.7 mm


def test_prepare_refuses_unknown_label_values_too(root: Path) -> None:
    _label(7, np.uint8)(root)
    card = make_card(frame=FRAME)
    with pytest.raises(PrepareError, match=r"label\.nii\.gz: expected label values \[0, 1, 2\], found also \[7"):
        prepare_volume(card.reading, card.preparation, Case("x", "x", root / IMAGE, root / LABEL))
