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
from glocalseg.data.readers.base import Note, ReaderError
from glocalseg.models.about import ModelError
from glocalseg.models.checks import summed
from glocalseg.models.images import images_in, not_labelled
from glocalseg.models.predict import predict_file, predict_files, predict_volume, reading_of
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
    (tmp_path / "lost.nii.gz").symlink_to(tmp_path / "nowhere")
    (tmp_path / "scan.mha").write_text("")
    with pytest.raises(ModelError, match=r"found imagesTs, lost\.nii\.gz \(a link to nothing \(.*nowhere\)\), scan\.mha$"):
        images_in(tmp_path)


# ---------------------------------------------------------------- files that are not labelled


def test_every_file_that_looks_like_an_image_is_labelled_or_named(model: TrainedModel, images: Path, tmp_path: Path) -> None:
    content = (images / "good.nii.gz").read_bytes()
    (images / "B.NII.GZ").write_bytes(content)
    (images / "lost.nii.gz").symlink_to(tmp_path / "nowhere")
    (images / "dir.nii.gz").mkdir()
    for name in ("c.mha", "._good.nii.gz", "notes.txt"):
        (images / name).write_text("something")
    (images / "without_ending").write_bytes(content)
    for name in ("more/x.nii.gz", "more/y.nii.gz", "labels/of_an_earlier_call.nii.gz"):
        (images / name).parent.mkdir(exist_ok=True)
        (images / name).write_bytes(content)
    out = images / "labels"  # labels are not images that nobody labelled
    found = images_in(images)
    assert [p.name for p in found] == ["B.NII.GZ", "good.nii.gz"]
    assert {p.name for p in run(model, images, out).written} == {"B.NII.GZ", "good.nii.gz"}
    assert gzip.decompress((out / "B.NII.GZ").read_bytes()) == gzip.decompress((out / "good.nii.gz").read_bytes())
    problems, notes = not_labelled(images, found, out)
    assert sorted(str(p).removeprefix(f"{images}/") for p in problems) == [
        "c.mha: expected a NIfTI image (.nii.gz or .nii), found a file of another name",
        "dir.nii.gz: expected an image, by its name, found a folder",
        f"lost.nii.gz: expected an image, by its name, found a link to nothing ({tmp_path}/nowhere)",
        "without_ending: expected a NIfTI image (.nii.gz or .nii), found a file of another name",
    ]
    assert [str(n).removeprefix(f"{images}") for n in notes] == [
        "/more: 2 files are not labelled, such as x.nii.gz",
        ": one hidden file is not labelled: ._good.nii.gz",
    ]
    assert not_labelled(images / "good.nii.gz", [images / "good.nii.gz"], out) == ([], [])


def test_two_images_never_share_a_label(model: TrainedModel, images: Path, tmp_path: Path) -> None:
    image, _, affine = volume(NUMBER + 1)
    write_nifti(images / "Good.nii.gz", image, affine)
    if len(images_in(images)) == 1:
        pytest.skip("this file system takes both names for one")
    found = run(model, images, tmp_path / "out")
    assert [p.name for p in found.written] == ["Good.nii.gz"]
    assert str(found.problems[0]).endswith(
        "good.nii.gz: expected a name that no other image's label has, found that of Good.nii.gz"
    )


# ---------------------------------------------------------------- what is odd and labelled all the same


def notes_of(model: TrainedModel, voxels: NDArray[Any], spacing: float, folder: Path) -> list[str]:
    path = write_nifti(folder / "a.nii.gz", voxels, np.diag([spacing, spacing, 4.0, 1.0]))
    return [n.text for n in predict_file(model, path)[1]]


@pytest.fixture
def plain(tmp_path: Path) -> TrainedModel:
    """A model of images with three dimensions; its frame has 32 x 32 pixels of 1.5 mm."""
    return TrainedModel.load(random_model(tmp_path / "plain", channel=0))


def test_what_lies_beyond_the_frame_is_told(plain: TrainedModel, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 900, (64, 40, 3)).astype(np.int16)
    told = "{} of its slices' area lies beyond what the model sees, 48 x 48 mm around the centre of a slice: all background there"
    assert notes_of(plain, noise, 1.5, tmp_path) == [told.format("60.0%")]  # 32 x 32 of 64 x 40
    assert notes_of(plain, noise[:32, :32], 1.5, tmp_path) == []
    assert notes_of(plain, noise[:20, :40], 1.5, tmp_path) == [told.format("20.0%")]  # 20 x 32 of 20 x 40
    large = np.random.default_rng(0).integers(0, 900, (232, 232, 3)).astype(np.int16)
    assert notes_of(plain, large, 1.5, tmp_path) == [told.format("98.1%")]
    label = label_of(write_label(plain, tmp_path))[0]
    label[100:132, 100:132] = 0
    assert not label.any()


def test_what_the_training_volumes_lost_too_is_not_told(tmp_path: Path) -> None:
    known = TrainedModel.load(random_model(tmp_path / "known", channel=0, beyond=0.2))
    noise = np.random.default_rng(0).integers(0, 900, (64, 40, 3)).astype(np.int16)
    assert notes_of(known, noise[:20, :40], 1.5, tmp_path) == []  # 20 x 32 of 20 x 40
    (note,) = notes_of(known, noise, 1.5, tmp_path)
    assert note.startswith("60.0% of its slices' area")
    assert note.endswith("all background there, where its training volumes had at most 20.0%")


def write_label(model: TrainedModel, folder: Path) -> Path:
    (folder / "label.nii").write_bytes(predict_file(model, folder / "a.nii.gz")[0])
    return folder / "label.nii"


def test_channels_that_are_not_used_are_told(model: TrainedModel, plain: TrainedModel, tmp_path: Path) -> None:
    series = np.random.default_rng(0).integers(0, 900, (32, 32, 3, 5)).astype(np.int16)
    text = "channel {} of 5 (counted from 0) is used, what the others show is not labelled"
    assert notes_of(plain, series, 1.5, tmp_path) == [text.format(0)]
    assert notes_of(model, series, 1.5, tmp_path) == [text.format(1)]
    assert notes_of(plain, series[..., :1], 1.5, tmp_path) == []


def test_padding_is_told_and_refused_where_it_takes_the_contrast(plain: TrainedModel, tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(1, 900, (32, 32, 3)).astype(np.int16)
    voxels[:, :18] = -32768
    with pytest.raises(ReaderError, match=r"found 56\.2% of its voxels hold -32768, .*: contrast shrinks"):
        notes_of(plain, voxels, 1.5, tmp_path)
    voxels[voxels < 0] = -300
    (note,) = notes_of(plain, voxels, 1.5, tmp_path)
    assert note.startswith("56.2% of its voxels hold -300, its smallest value, the next is 1: outside of what was scanned?")


def test_the_window_of_ct_is_looked_at(tmp_path: Path) -> None:
    windowed = TrainedModel.load(random_model(tmp_path / "ct", channel=0, window=[-160, 240]))
    hounsfield = np.random.default_rng(0).integers(-1000, 400, (32, 32, 3)).astype(np.int16)
    assert notes_of(windowed, hounsfield, 1.5, tmp_path) == []
    with pytest.raises(ReaderError, match=r"expected intensities that the card's window \(-160.0, 240.0\) keeps apart"):
        notes_of(windowed, hounsfield + 2000, 1.5, tmp_path)


def test_notes_that_say_the_same_are_one_line() -> None:
    lines = summed([Note("a", "odd"), Note("b", "odd"), Note("b", "odder")])
    assert lines == ["2 files, such as a: odd", "b: odder"]


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


def test_a_label_of_an_image_that_changed_is_not_kept(model: TrainedModel, images: Path, tmp_path: Path) -> None:
    out, (image, _, affine) = tmp_path / "out", volume(NUMBER)
    run(model, images, out)
    before = (out / "good.nii.gz").read_bytes()
    other, moved = volume(NUMBER + 1)[0], affine.copy()
    moved[0, 3] += 5
    one_voxel, unused = image.copy(), image.copy()
    one_voxel[3, 3, 3, 1] += 1
    unused[..., 0] += 1
    for changed, where, kept in (
        (other, affine, False),
        (one_voxel, affine, False),
        (image, moved, False),
        (unused, affine, True),  # a channel that the model does not see
        (image, affine, True),
    ):
        write_nifti(images / "good.nii.gz", changed, where)
        found = run(model, images, out)
        assert (len(found.kept), len(found.skipped), len(found.written)) == ((1, 0, 0) if kept else (0, 1, 0))
        assert (out / "good.nii.gz").read_bytes() == before
        if not kept:
            assert str(found.problems[0]).endswith(
                "good.nii.gz: expected the label of the image as it is now, found that of an image of other contents (FORCE=yes "
                "makes it again)"
            )
    write_nifti(images / "good.nii.gz", other, affine)
    assert run(model, images, out, overwrite=True).written
    assert label_of(out / "good.nii.gz")[0].shape == other.shape[:3]
    assert run(model, images, out).kept


def test_a_label_whose_header_or_voxels_changed_is_not_kept(model: TrainedModel, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(model, images, out)
    label, affine, header = label_of(out / "good.nii.gz")
    drawn = label.copy()
    drawn[0, 0, 0] = 85 if drawn[0, 0, 0] != 85 else 420
    shifted = affine.copy()
    shifted[2, 3] += 1
    for voxels, where, expected in (
        (drawn, affine, "a label as the model made it, found one that was changed after it was written"),
        (label, shifted, "a label with the header that its image has now, found another one"),
    ):
        nib.save(nib.Nifti1Image(voxels, where, header), out / "good.nii.gz")
        assert bytes(label_of(out / "good.nii.gz")[2]["descrip"]).startswith(b"glocalseg ")
        assert expected in str(run(model, images, out).problems[0])


def test_an_image_that_can_no_longer_be_used_is_named_though_its_label_is_there(
    model: TrainedModel, images: Path, tmp_path: Path
) -> None:
    run(model, images, tmp_path / "out")
    (images / "good.nii.gz").write_text("hello")
    found = run(model, images, tmp_path / "out")
    assert (found.kept, found.skipped) == ([], [images / "good.nii.gz"])
