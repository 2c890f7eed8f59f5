"""Images of any orientation in, labels on the same grid out; a bad file is named and skipped, and nothing is overwritten."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from small_run import random_model, turned, volume, write_nifti

from glocalseg.data.images.volumes import Image, load_image
from glocalseg.data.readers.base import ReaderError
from glocalseg.models.about import ModelError
from glocalseg.models.predict import images_in, predict_file, predict_files, predict_volume, reading_of
from glocalseg.models.trained import TrainedModel

NUMBER = 2  # of the volume that most tests use


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return TrainedModel.load(random_model(tmp_path_factory.mktemp("models") / "one"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with one good image."""
    image, _, affine = volume(NUMBER)
    write_nifti(tmp_path / "images/good.nii.gz", image, affine)
    return tmp_path / "images"


def label_of(path: Path) -> tuple[NDArray[Any], NDArray[np.float64], Any]:
    found: Any = nib.load(path)
    return np.asanyarray(found.dataobj), found.affine, found.header


def run(model: TrainedModel, images: Path, out: Path, *, overwrite: bool = False) -> Any:
    return predict_files(model, images_in(images), out, overwrite=overwrite)


# ---------------------------------------------------------------- grids


@pytest.mark.parametrize("axes", ["LAS", "RPI", "SRA", "ALS", "PSL", "IAL"])
def test_an_image_stored_otherwise_gets_the_same_label_in_space(model: TrainedModel, axes: str, tmp_path: Path) -> None:
    image, _, affine = volume(NUMBER)
    write_nifti(tmp_path / "in/a.nii.gz", image, affine)
    stored, moved = turned(image, affine, axes)
    write_nifti(tmp_path / "in/b.nii.gz", stored, moved)
    assert not run(model, tmp_path / "in", tmp_path / "out").skipped
    (plain, _, _), (other, where, _) = label_of(tmp_path / "out/a.nii.gz"), label_of(tmp_path / "out/b.nii.gz")
    assert other.shape == stored.shape[:3]
    np.testing.assert_allclose(where, moved, atol=1e-5)
    np.testing.assert_array_equal(other, turned(plain, affine, axes)[0])
    assert len(np.unique(plain)) > 1


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("endian", ["<", ">"])
def test_the_header_keeps_its_geometry_and_loses_what_names_people(
    model: TrainedModel, kind: Any, endian: str, tmp_path: Path
) -> None:
    image, _, affine = volume(NUMBER)
    c, s = np.cos(0.2), np.sin(0.2)
    affine = np.array([[c, -s, 0, 9], [s, c, 0, -7], [0, 0, 1, 3], [0, 0, 0, 1]]) @ affine  # oblique, elsewhere
    made = kind(image, affine, kind.header_class(endianness=endian))
    made.set_sform(affine, code=1)
    made.set_qform(affine, code=1)
    made.header.set_xyzt_units("mm", "sec")
    made.header["descrip"], made.header["aux_file"], made.header["cal_max"] = b"Jane Doe", b"jane", 900
    made.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Jane Doe"))
    (tmp_path / "in").mkdir()
    nib.save(made, tmp_path / "in/a.nii.gz")
    assert not run(model, tmp_path / "in", tmp_path / "out").skipped
    label, where, header = label_of(tmp_path / "out/a.nii.gz")
    before = label_of(tmp_path / "in/a.nii.gz")[2]
    assert type(header) is type(before)
    assert header.endianness == endian
    assert label.shape == image.shape[:3]
    np.testing.assert_array_equal(where, nib.load(tmp_path / "in/a.nii.gz").affine)  # type: ignore[attr-defined]
    for name in ("srow_x", "srow_y", "srow_z", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
                 "sform_code", "qform_code", "xyzt_units"):  # fmt: skip
        np.testing.assert_array_equal(header[name], before[name])
    np.testing.assert_array_equal(header["pixdim"][:4], before["pixdim"][:4])
    assert b"Jane" not in gzip.decompress((tmp_path / "out/a.nii.gz").read_bytes())
    assert set(np.unique(label)) <= {0, 85, 420}


def test_an_uncompressed_image_gives_an_uncompressed_label(model: TrainedModel, tmp_path: Path) -> None:
    image, _, affine = volume(NUMBER)
    write_nifti(tmp_path / "in/a.nii", image, affine)
    write_nifti(tmp_path / "in/a.nii.gz", image, affine)
    assert [p.name for p in run(model, tmp_path / "in", tmp_path / "out").written] == ["a.nii", "a.nii.gz"]
    np.testing.assert_array_equal(label_of(tmp_path / "out/a.nii")[0], label_of(tmp_path / "out/a.nii.gz")[0])


def test_one_file_alone_and_the_library_give_the_same(model: TrainedModel, images: Path, tmp_path: Path) -> None:
    image, _, affine = volume(NUMBER)
    assert run(model, images / "good.nii.gz", tmp_path / "out").written == [tmp_path / "out/good.nii.gz"]
    written = label_of(tmp_path / "out/good.nii.gz")[0]
    read = predict_volume(model, load_image(reading_of(model), images / "good.nii.gz"))
    np.testing.assert_array_equal(read, written)
    by_hand = predict_volume(model, Image(image[..., 1].astype(np.float32), affine))
    np.testing.assert_array_equal(by_hand, written)


def test_the_same_file_comes_out_twice(model: TrainedModel, images: Path) -> None:
    first, _ = predict_file(model, images / "good.nii.gz")
    assert first == predict_file(model, images / "good.nii.gz")[0]


def test_the_header_that_counts_is_the_cards(tmp_path: Path) -> None:
    image, _, affine = volume(NUMBER)
    made = nib.Nifti1Image(image, affine)
    made.set_sform(affine, code=1)
    made.set_qform(np.diag([2.0, 2.0, 4.0, 1.0]), code=1)
    (tmp_path / "in").mkdir()
    nib.save(made, tmp_path / "in/a.nii.gz")
    strict = TrainedModel.load(random_model(tmp_path / "strict"))
    sform = TrainedModel.load(random_model(tmp_path / "sform", header="sform"))
    with pytest.raises(ReaderError, match="expected one geometry in its header"):
        predict_file(strict, tmp_path / "in/a.nii.gz")
    assert not run(sform, tmp_path / "in", tmp_path / "out").skipped


# ---------------------------------------------------------------- bad files


def bad_array(change: Callable[[NDArray[np.float32]], Any]) -> Callable[[Path], object]:
    image, _, affine = volume(NUMBER)
    floats = image.astype(np.float32)
    return lambda path: write_nifti(path, np.asarray(change(floats), np.float32), affine)


def put_nan(image: NDArray[np.float32]) -> NDArray[np.float32]:
    image[3, 3, 3, 1] = np.nan
    return image


def cut_off(path: Path) -> None:
    bad_array(lambda image: image)(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def put_one(image: NDArray[np.float32]) -> NDArray[np.float32]:
    image[:] = 0
    image[3, 3, 3, 1] = 1
    return image


def flat_affine(path: Path) -> None:
    bad_array(lambda image: image)(path)
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[312:328] = bytes(16)  # srow_z
    path.write_bytes(gzip.compress(content))


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (cut_off, "a gzip file that can be read to its end"),
    "text": (lambda path: path.write_text("hello"), "a NIfTI file"),
    "empty": (lambda path: path.write_bytes(b""), "a NIfTI file"),
    "packed_text": (lambda path: path.write_bytes(gzip.compress(b"hello")), "a NIfTI file"),
    "one_channel": (bad_array(lambda image: image[..., 0]), "channel 1"),
    "two_dimensions": (bad_array(lambda image: image[:, :, 0, 0]), "three dimensions"),
    "five_dimensions": (bad_array(lambda image: image[..., None] * np.ones(2)), "three dimensions"),
    "constant": (bad_array(lambda image: image * 0 + 7), "an image that is not constant"),
    "nearly_constant": (bad_array(put_one), "different percentiles"),
    "nan": (bad_array(put_nan), "finite voxels"),
    "flat": (flat_affine, "an affine that can be inverted"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_named_and_the_others_are_labelled(
    model: TrainedModel, images: Path, tmp_path: Path, what: str
) -> None:
    make, expected = BAD[what]
    make(images / "bad.nii.gz")
    (images / "._good.nii.gz").write_text("a shadow")
    outcome = run(model, images, tmp_path / "out")
    assert [p.name for p in outcome.written] == ["good.nii.gz"]
    assert [p.name for p in outcome.skipped] == ["bad.nii.gz"]
    (problem,) = outcome.problems
    assert problem.file == str(images / "bad.nii.gz")
    assert expected in str(problem)
    assert "\n" not in str(problem)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"good.nii.gz"}


def test_slices_of_no_size_are_refused_before_anything_large_is_made(model: TrainedModel) -> None:
    voxels = np.random.default_rng(0).random((4, 4, 4)).astype(np.float32)
    for side, found in ((1.0, "3 x 3"), (1e6, "2666667 x 2666667")):
        with pytest.raises(ReaderError, match=f"pixels on a side at the spacing of the model's frame, found {found}"):
            predict_volume(model, Image(voxels, np.diag([side, side, 1.0, 1.0])))
    with pytest.raises(ReaderError, match="expected an image that can be prepared"):
        predict_volume(model, Image(voxels, np.zeros((4, 4))))


def test_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere: expected an image, or a folder of images, found nothing there"):
        images_in(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"right in it, found nothing$"):
        images_in(tmp_path)
    (tmp_path / "imagesTs").mkdir()
    (tmp_path / "scan.mha").write_text("")
    with pytest.raises(ModelError, match=r"right in it, found imagesTs, scan.mha$"):
        images_in(tmp_path)


# ---------------------------------------------------------------- what is there already


def test_labels_that_are_there_stay_unless_they_are_to_be_made_again(
    model: TrainedModel, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(model, images, out)
    before = (out / "good.nii.gz").stat()
    again = run(model, images, out)
    assert (again.written, again.kept, again.skipped) == ([], [out / "good.nii.gz"], [])
    assert (out / "good.nii.gz").stat().st_ino == before.st_ino
    assert run(model, images, out, overwrite=True).written == [out / "good.nii.gz"]
    assert (out / "good.nii.gz").stat().st_ino != before.st_ino


def test_a_label_of_somebody_else_is_not_taken_for_this_models(model: TrainedModel, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    other = TrainedModel.load(random_model(tmp_path / "other", seed=1))
    run(other, images, out)
    label, affine, _ = label_of(out / "good.nii.gz")
    found = run(model, images, out)
    assert found.skipped == [images / "good.nii.gz"]
    assert f"found one of 'glocalseg {other.key}'" in str(found.problems[0])
    write_nifti(out / "good.nii.gz", label, affine)
    assert "found a file that no model wrote" in str(run(model, images, out).problems[0])
    assert run(model, images, out, overwrite=True).written
    content = (out / "good.nii.gz").read_bytes()
    (out / "good.nii.gz").write_bytes(content[:-40])
    assert "gzip file that can be read to its end" in str(run(model, images, out).problems[0])
