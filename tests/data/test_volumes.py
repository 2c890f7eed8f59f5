"""Files as they are: voxels and geometry of a header by every rule, and what is refused of it, each in one line."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nifti_headers import AFFINE, edit, write
from nifti_layouts import make_card

from glocalseg.data.images.volumes import (
    Label,
    compact,
    count_values,
    load_image,
    load_label,
    look_at_image,
    look_at_label,
    map_labels,
)
from glocalseg.data.readers.base import Problem, ReaderError

CARD = make_card()
VOXELS = np.random.default_rng(0).integers(0, 900, (20, 18, 6)).astype(np.int16)
METRE, MICRON = 1, 3
SFORM = (AFFINE * 0.001)[:3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "x.nii.gz", VOXELS)


def problem(path: Path, **changes: Any) -> Problem:
    """The one problem of an image file."""
    found = look_at_image(make_card(**changes).reading, path)
    assert found.voxels is None or found.affine is None
    (only,) = found.problems
    assert only.file == str(path)
    assert "\n" not in str(only)
    with pytest.raises(ReaderError):
        load_image(make_card(**changes).reading, path)
    return only


def notes(path: Path, **changes: Any) -> list[str]:
    found = look_at_image(make_card(**changes).reading, path)
    assert found.problems == []
    return [note.text for note in found.notes]


# ---------------------------------------------------------------- voxels


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("scaling", [(None, None), (2.5, 0.0), (1.0, -1024.0), (0.001, 3.0)])
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "|u1", ">u2", "<f4", ">f8", "<i4"])
def test_voxels_and_affine_are_those_that_nibabel_gives(tmp_path: Path, kind: Any, scaling: Any, dtype: str) -> None:
    affine = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.1, -0.05, 0.02) @ np.diag([1, 2, 3]), [1, -2, 30])
    image = kind((VOXELS % 128).astype(dtype), affine, kind.header_class(endianness=dtype[0].replace("|", "<")))
    image.header.set_data_dtype(dtype)
    image.header.set_qform(affine, 1)
    image.header.set_slope_inter(*scaling)
    for name in ("x.nii", "x.nii.gz"):
        image.to_filename(tmp_path / name)
        found, reference = load_image(CARD, tmp_path / name), nib.load(tmp_path / name)
        wanted = np.asanyarray(reference.dataobj)
        np.testing.assert_array_equal(found.voxels, wanted.astype(np.float32))
        np.testing.assert_array_equal(found.affine, reference.affine)
        np.testing.assert_array_equal(load_label(CARD, tmp_path / name).values, wanted)


def test_a_channel_is_read_alone(tmp_path: Path) -> None:
    four = np.stack([VOXELS, VOXELS + 1, VOXELS * 2], axis=3)
    path = write(tmp_path / "x.nii.gz", four)
    np.testing.assert_array_equal(load_image(make_card(channel=1), path).voxels, VOXELS + 1)
    assert problem(path, channel=3).found == "3 channels, shape (20, 18, 6, 3)"
    single = write(tmp_path / "y.nii.gz", VOXELS[..., None])
    np.testing.assert_array_equal(load_image(CARD, single).voxels, VOXELS)
    np.testing.assert_array_equal(load_label(CARD, single).values, VOXELS)
    assert "channel 1" in problem(single, channel=1).expected
    assert (
        "three dimensions" in problem(write(tmp_path / "z.nii.gz", VOXELS[..., None, None] * np.ones(3, np.int16))).expected
    )
    assert "three dimensions" in problem(write(tmp_path / "flat.nii.gz", VOXELS[..., 0])).expected


def test_a_label_with_a_channel_a_class_is_refused_and_says_so(tmp_path: Path) -> None:
    onehot = np.stack([VOXELS > 10, VOXELS <= 10], axis=3).astype(np.uint8)
    (one,) = look_at_label(CARD, write(tmp_path / "x.nii.gz", onehot)).problems
    assert one.expected == "three dimensions"
    assert "(20, 18, 6, 2): one channel a class?" in one.found


@pytest.mark.parametrize("dtype", [np.complex64, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])])
def test_colours_and_complex_numbers_are_refused(tmp_path: Path, dtype: Any) -> None:
    path = write(tmp_path / "x.nii.gz", np.zeros((20, 18, 6), dtype))
    assert problem(path).expected == "voxels that are whole or real numbers"


@pytest.mark.parametrize(
    ("fields", "expected", "found"),
    [
        ({"dim": [3, 0, 18, 6, 1, 1, 1, 1]}, "dimensions of at least one voxel", "(0, 18, 6)"),
        ({"dim": [3, 20, -18, 6, 1, 1, 1, 1]}, "dimensions of at least one voxel", "-18"),
        ({"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]}, "at most 2147483648 voxels", "32767"),
        (
            {"dim": [3, 1200, 1200, 1200, 1, 1, 1, 1]},
            "3456000000 bytes of voxels (1200 x 1200 x 1200 of type int16",
            "the end",
        ),
        ({"dim": [3, 20, 18, 7, 1, 1, 1, 1]}, "5040 bytes of voxels", "the end of the file before that"),
        ({"dim": [3, 20, 18, 5, 1, 1, 1, 1]}, "the end of the file after 20 x 18 x 5 voxels", "720 bytes more"),
        ({"datatype": 8, "bitpix": 32}, "8640 bytes of voxels", "the end"),
        ({"datatype": 2, "bitpix": 8}, "the end of the file after", "2160 bytes more"),
        ({"datatype": 77}, "a known type of voxels", "datatype 77"),
        ({"vox_offset": 0}, "voxels from byte 352 or later", "vox_offset 0"),
        ({"vox_offset": np.nan}, "voxels from byte 352 or later", "vox_offset nan"),
        ({"vox_offset": 1e30}, "4320 bytes of voxels", "the end"),
        ({"sizeof_hdr": 349}, "a header of 348 bytes", "349"),
        ({"magic": b"ni1"}, "header and voxels in one file", ".hdr and .img"),
        ({"magic": b""}, "a NIfTI file", "an Analyze header"),
        ({"scl_slope": np.inf}, "a scaling of finite numbers", "scl_slope inf"),
        ({"scl_slope": 2, "scl_inter": np.nan}, "a scaling of finite numbers", "scl_inter nan"),
    ],
)
def test_a_damaged_header_is_one_problem_and_asks_for_no_memory(path: Path, fields: Any, expected: str, found: str) -> None:
    tracemalloc.start()
    one = problem(edit(path, **fields))
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    assert expected in one.expected
    assert found in one.found


def test_a_file_that_is_none(tmp_path: Path) -> None:
    for content, found in ((b"", "an empty file"), (b"abc", "3 bytes"), (b"<html>Sign in</html>" * 30, "<html>Sign")):
        (tmp_path / "x.nii").write_bytes(content)
        assert found in problem(tmp_path / "x.nii").found
    assert problem(tmp_path / "y.nii").found == "no such file"
    (tmp_path / "d.nii").mkdir()
    assert "IsADirectory" in problem(tmp_path / "d.nii").found


def test_a_compressed_file_is_read_to_its_end(path: Path) -> None:
    whole = path.read_bytes()
    for broken in (whole[: len(whole) // 2], whole[:-6] + b"\xff" + whole[-5:], whole[:-8]):
        path.write_bytes(broken)
        assert problem(path).expected == "a gzip file that can be read to its end"


def test_scaling_that_is_none_is_not_used(path: Path) -> None:
    for slope in (0, np.nan):
        np.testing.assert_array_equal(load_image(CARD, edit(path, scl_slope=slope, scl_inter=np.nan)).voxels, VOXELS)
        assert notes(path) == []
    assert "scl_inter 5 is not used" in notes(edit(path, scl_slope=0, scl_inter=5))[0]


def test_a_few_bytes_more_are_told(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"\0" * 16))
    assert notes(path) == ["16 bytes after its last voxel are not used"]


# ---------------------------------------------------------------- geometry


def test_pixdim_against_sform_is_a_problem_with_both(path: Path) -> None:
    one = problem(edit(path, srow=np.eye(4)[:3]))
    assert one.expected == "one geometry in its header"
    assert one.found == (
        "voxels of 1 x 1 x 1 mm in sform and 1.5 x 1.5 x 8 mm in pixdim (in the card, 'header: sform' would take 1 x 1 x 1 mm "
        "and axes RAS; 'header: spacing' would take 1.5 x 1.5 x 8 mm and the axes as stored)"
    )
    np.testing.assert_array_equal(load_image(make_card(header="sform"), path).affine, np.eye(4))
    np.testing.assert_array_equal(load_image(make_card(header="spacing"), path).affine, AFFINE)
    assert "qform_code 0" in problem(path, header="qform").found
    for close in (1.509, 1.491):
        assert load_image(CARD, edit(path, srow=np.diag([close, 1.5, 8, 1])[:3])).affine[0, 0] == pytest.approx(close)


def test_sform_against_qform_is_a_problem_with_both(path: Path) -> None:
    turned = edit(path, qform_code=1, quatern_d=np.sin(np.radians(15)))  # 30 degrees about Z
    assert "sform and qform whose corners lie" in problem(turned).found
    assert "'header: qform' would take 1.5 x 1.5 x 8 mm and axes RAS" in problem(turned).found
    assert load_image(make_card(header="qform"), path).affine[0, 1] == pytest.approx(-0.75)
    assert load_image(make_card(header="sform"), path).affine[0, 1] == 0
    edit(path, quatern_d=0)
    assert notes(path) == []
    mirrored = edit(path, srow=np.diag([-1.5, 1.5, 8, 1])[:3])
    assert "of which one is mirrored (axes LAS and RAS)" in problem(mirrored).found
    edit(path, srow=AFFINE[:3], qoffset_x=0.14)  # a tenth of a voxel is 0.15 mm
    assert notes(path) == []
    assert "0.16 mm apart" in problem(edit(path, qoffset_x=0.16)).found


def test_without_codes_the_sides_count_and_the_axes_are_as_stored(path: Path) -> None:
    edit(path, sform_code=0)
    np.testing.assert_array_equal(load_image(CARD, path).affine, AFFINE)
    assert notes(path) == ["voxels of 1.5 x 1.5 x 8 mm, axes as stored: its header says nothing of orientation"]
    assert "says nothing of voxel sides or orientation" in notes(edit(path, pixdim=1))[0]
    assert "sform_code 0" in problem(path, header="sform").found
    assert "identity" in notes(edit(path, sform_code=2, srow=np.eye(4)[:3]))[0]


def test_units_are_used(path: Path) -> None:
    wanted = load_image(CARD, path)
    metres = edit(path, xyzt_units=METRE, pixdim=[0.0015, 0.0015, 0.008], srow=SFORM)
    assert notes(metres) == ["its lengths are in metres: turned into mm"]
    np.testing.assert_allclose(load_image(CARD, metres).affine, wanted.affine, rtol=1e-6)
    assert load_image(CARD, metres).content == wanted.content
    for header in ("sform", "spacing"):
        np.testing.assert_allclose(load_image(make_card(header=header), metres).affine, AFFINE, rtol=1e-6)
    micrometres = edit(path, xyzt_units=MICRON | 8, pixdim=[1500, 1500, 8000], srow=AFFINE[:3] * 1000)
    np.testing.assert_allclose(load_image(CARD, micrometres).affine, wanted.affine, rtol=1e-6)
    assert "unit 5" in problem(edit(path, xyzt_units=5)).found
    wrong = problem(edit(path, xyzt_units=METRE))
    assert "voxel sides of 0.01 to 50 mm" in wrong.expected
    assert wrong.found == "1.5e+06 x 1.5e+06 x 8e+06 mm (its lengths are in metres)"
    edit(path, xyzt_units=0, pixdim=[1.5, 1.5, 8], srow=AFFINE[:3])
    assert notes(path) == []


@pytest.mark.parametrize("bad", [0, -1.5, np.nan, np.inf])
def test_sides_that_are_none_are_a_problem(path: Path, bad: float) -> None:
    one = problem(edit(path, pixdim=[1.5, bad, 8]))
    assert one.expected == "voxel sides above 0 in its header"
    assert f"(1.5, {bad:g}, 8)" in one.found
    assert "'header: sform' would take 1.5 x 1.5 x 8 mm" in one.found
    assert load_image(make_card(header="sform"), path).affine[1, 1] == 1.5
    problem(path, header="spacing")
    edit(path, qform_code=1)
    problem(path)
    problem(path, header="qform")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"srow": np.zeros((3, 4))}, "an affine that can be inverted"),
        ({"srow": [[1.5, 1.5, 0, 0], [1.5, 1.5, 0, 0], [0, 0, 8, 0]]}, "an affine that can be inverted"),
        ({"srow": np.full((3, 4), np.nan)}, "a sform of finite numbers"),
        ({"srow": np.full((3, 4), 1e38)}, "an affine that can be inverted"),
        ({"sform_code": 77}, "a sform_code of 0 to 5"),
        ({"sform_code": -1}, "a sform_code of 0 to 5"),
        ({"sform_code": 0, "qform_code": 9}, "a qform_code of 0 to 5"),
        ({"sform_code": 0, "qform_code": 1, "quatern_b": 7}, "a rotation in its qform"),
        ({"sform_code": 0, "qform_code": 1, "qoffset_x": np.nan}, "a rotation in its qform"),
        ({"sform_code": 0, "pixdim": [0.002, 1, 1]}, "voxel sides of 0.01 to 50 mm"),
        ({"sform_code": 0, "pixdim": [1, 1, 60]}, "voxel sides of 0.01 to 50 mm"),
        ({"sform_code": 0, "pixdim": 0.05}, "2 to 3000 mm along its longest axis"),
    ],
)
def test_geometry_that_cannot_be_meant_is_a_problem(path: Path, fields: Any, expected: str) -> None:
    assert expected in problem(edit(path, **fields)).expected


def test_oblique_volumes_are_told(tmp_path: Path) -> None:
    for degrees, told in ((14, False), (20, True)):
        affine = nib.affines.from_matvec(nib.eulerangles.euler2mat(z=np.radians(degrees)) @ AFFINE[:3, :3])
        said = notes(write(tmp_path / "x.nii.gz", VOXELS, affine))
        assert any(f"{degrees} degrees off" in text for text in said) == told


def test_qfac_of_zero_stands_for_one(path: Path) -> None:
    edit(path, sform_code=0, qform_code=1)
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[76:80] = np.float32(0).tobytes()
    path.write_bytes(gzip.compress(bytes(raw)))
    np.testing.assert_allclose(load_image(CARD, path).affine, AFFINE)


# ---------------------------------------------------------------- labels and contents


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, ">i2", np.int64, np.uint64, np.float32, np.float64])
def test_whole_numbers_are_kept_small_and_have_one_content(dtype: Any) -> None:
    values = (VOXELS % 3).astype(dtype)
    label = Label(values, AFFINE)
    assert compact(values).dtype == np.uint8
    assert label.content == Label((VOXELS % 3).astype(np.uint8), AFFINE).content
    assert label.content != Label(values[::-1], AFFINE).content
    assert label.content != Label(values, AFFINE * 2).content
    classes, unknown = map_labels(CARD, values)
    np.testing.assert_array_equal(classes, values)
    assert unknown == []


@pytest.mark.parametrize("value", [0.9999999, -1.0, 3e9, np.nan, np.inf, 205.0])
def test_values_that_are_not_small_whole_numbers_stay(value: float) -> None:
    values = np.zeros((4, 4, 4))
    values[0, 0, 0] = value
    np.testing.assert_array_equal(compact(values), values)
    assert list(count_values(compact(values)).values()) in ([63, 1], [1, 63])
    assert map_labels(CARD, values)[1] == pytest.approx([value], nan_ok=True)
    assert count_values(np.array([[[300, -2, 300]]], ">i4")) == {-2.0: 1, 300.0: 2}
    assert count_values(np.array([[[2**40, 0]]])) == {0.0: 1, 2.0**40: 1}


def test_large_values_are_mapped() -> None:
    card = make_card(label_values={205: 1, 850: 2}, stray_values=[421])
    for dtype in (np.int16, np.float32, np.uint16):
        values = np.array([[[0, 205, 421, 850]]]).astype(dtype)
        classes, unknown = map_labels(card, values)
        assert classes.tolist() == [[[0, 1, 0, 2]]]
        assert unknown == []
