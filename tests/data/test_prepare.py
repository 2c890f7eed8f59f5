"""Preparation: the same store however a volume is stored and however many workers there are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nifti_layouts import make_card, save
from scipy.ndimage import gaussian_filter

from glocalseg.data.cards.card import Card
from glocalseg.data.files.cases import require_cases
from glocalseg.data.images.volumes import Image
from glocalseg.data.slices.intensity import correct_bias, limits, normalise, outside_of
from glocalseg.data.slices.prepare import PrepareError, prepare, prepare_image
from glocalseg.data.slices.store import open_store


def card(**changes: Any) -> Card:
    base: dict[str, Any] = {"reader": "folders", "frame": {"spacing": [1, 1], "size": [16, 16]}}
    return make_card(**{**base, **changes})


def volume(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise of another scale for every seed, and a label that is 1 and 2 in the middle: (12, 20, 7)."""
    image = np.random.default_rng(seed).normal(100 * seed, 20, (12, 20, 7)).astype(np.float32)
    label = np.zeros(image.shape, np.uint8)
    label[4:8, 8:12, 1:6] = 1
    label[5:7, 9:11, 2:5] = 2
    return image, label


def write(root: Path, *, turned: bool = False, cases: int = 3) -> Path:
    affine = np.diag([1.0, 0.5, 2.0, 1.0])
    for seed in range(1, cases + 1):
        for folder, voxels in zip(("imagesTr", "labelsTr"), volume(seed), strict=True):
            file = nib.Nifti1Image(voxels, affine)
            if turned:
                file = file.as_reoriented(np.array([[2, -1], [0, 1], [1, -1]]))
            path = root / folder / f"case_{seed}.nii.gz"
            save(path, np.asarray(file.dataobj), file.affine)
    return root


def run(card: Card, root: Path, folder: Path, *, workers: int = 1) -> Path:
    record = folder / "manifest.json"
    cases = require_cases(card.reading, root)
    prepare(card.reading, card.preparation, cases, record, payload={"spec": {"identity": "x"}}, workers=workers)
    return record


def digests(record: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in record.parent.iterdir() if p != record}


def test_the_store_holds_every_slice_on_the_frame(tmp_path: Path) -> None:
    store = open_store(run(card(), write(tmp_path / "raw"), tmp_path / "store"))
    assert store.images.shape == store.labels.shape == (21, 16, 16)
    first = store.volumes.iloc[0]
    assert (first["depth"], first["height"], first["width"]) == (7, 12, 20)
    assert (first["spacing_depth"], first["spacing_height"], first["spacing_width"]) == (2, 1, 0.5)
    assert (first["resampled_height"], first["resampled_width"]) == (12, 10)
    image, label = volume(2)
    np.testing.assert_array_equal(store.native_label("case_2"), label.transpose(2, 0, 1))
    low, high = np.percentile(image, (1, 99))
    found = store.images[store.rows(["case_2"])][:, 2:14, 3:13]  # 12 x 10 in the middle of 16 x 16
    by_two = image.transpose(2, 0, 1).reshape(7, 12, 10, 2).mean(axis=3)  # linear at half the pixels: the mean of two
    np.testing.assert_allclose(found, (by_two - low) / (high - low), atol=1e-4)
    slices = pd.read_csv(tmp_path / "store/slices.csv")
    assert list(slices) == ["subject", "volume", "slice", "position"]
    assert slices["slice"][:9].tolist() == [*range(7), 0, 1]
    assert slices["position"][:7].tolist() == pytest.approx([(k + 0.5) / 7 for k in range(7)])
    assert store.manifest["spec"] == {"identity": "x"}
    assert store.manifest["preparation"] == card().preparation.model_dump(mode="json")


def test_labels_hold_no_new_value_and_sit_on_their_structure(tmp_path: Path) -> None:
    tiny = card(frame={"spacing": [0.7, 0.9], "size": [24, 24]})
    store = open_store(run(tiny, write(tmp_path / "raw"), tmp_path / "store"))
    assert set(np.unique(store.labels)) == {0, 1, 2}
    counts = [np.count_nonzero(store.labels == k) / np.count_nonzero(store.native_labels == k) for k in (1, 2)]
    assert counts == pytest.approx([0.5 / 0.63] * 2, rel=0.3)  # the ratio of the pixels' areas


def test_turned_and_flipped_files_give_the_same_store(tmp_path: Path) -> None:
    straight = run(card(), write(tmp_path / "a"), tmp_path / "store_a")
    turned = run(card(), write(tmp_path / "b", turned=True), tmp_path / "store_b")
    assert digests(straight) == digests(turned)
    other = run(card(slice_axis="I"), tmp_path / "a", tmp_path / "store_c")
    np.testing.assert_array_equal(open_store(other).images[:7], open_store(straight).images[:7][::-1])


def test_any_number_of_workers_writes_the_same_bits(tmp_path: Path) -> None:
    root = write(tmp_path / "raw", cases=4)
    assert digests(run(card(), root, tmp_path / "one")) == digests(run(card(), root, tmp_path / "two", workers=2))


def test_a_volume_without_a_label_has_zeros(tmp_path: Path) -> None:
    root = write(tmp_path / "raw")
    (root / "labelsTr" / "case_2.nii.gz").unlink()
    record = run(card(labels="some"), root, tmp_path / "store")
    store = open_store(record)
    assert store.volumes["labelled"].tolist() == [True, False, True]
    assert store.manifest["labelled"] == 2
    assert not store.labels[store.rows(["case_2"])].any()
    assert not store.native_label("case_2").any()
    assert store.images[store.rows(["case_2"])].any()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_volume_is_named(tmp_path: Path, workers: int) -> None:
    root = write(tmp_path / "raw")
    save(root / "labelsTr" / "case_2.nii.gz", np.full((12, 20, 7), 5, np.uint8), np.diag([1.0, 0.5, 2.0, 1.0]))
    with pytest.raises(PrepareError, match=r"case_2\.nii\.gz: expected label values \[0, 1, 2\], found also \[5"):
        run(card(), root, tmp_path / "store", workers=workers)
    assert not (tmp_path / "store").exists()


def normalised(image: np.ndarray, **changes: Any) -> np.ndarray:
    preparation = card(**changes).preparation
    outside = outside_of(preparation, image)
    ends = limits(preparation, image if outside is None else image[~outside])
    return normalise(preparation, image, outside, ends)


def test_every_bad_volume_is_named(tmp_path: Path) -> None:
    root = write(tmp_path / "raw")
    for n in (1, 3):
        (root / "imagesTr" / f"case_{n}.nii.gz").write_bytes(b"")
    with pytest.raises(PrepareError, match=r"case_1\.nii\.gz: expected a NIfTI file, found an empty file\n.*case_3"):
        run(card(), root, tmp_path / "store")


def test_constant_images_are_named() -> None:
    ones = Image(np.ones((9, 9, 4), np.float32), np.eye(4))
    said = r"x: expected different percentiles \(1.0, 99.0\) of its intensities, found 1.0 and 1.0"
    with pytest.raises(PrepareError, match=said):
        prepare_image(card().preparation, ones, name="x")
    with pytest.raises(PrepareError, match=r"found nothing but padding \(1\)"):
        prepare_image(card(padding=1).preparation, ones, name="x")


def test_intensities_are_scaled_by_percentiles_and_not_clipped() -> None:
    image = np.random.default_rng(0).normal(500, 50, (6, 20, 20)).astype(np.float32)
    before = image.copy()
    found = normalised(image)
    np.testing.assert_array_equal(image, before)
    assert found.dtype == np.float32
    assert np.percentile(found, (1, 99)) == pytest.approx((0, 1), abs=1e-4)
    assert found.min() < -0.05
    assert found.max() > 1.05


def test_a_window_becomes_0_and_1_and_is_clipped() -> None:
    image = np.array([[[-1000, -200, 0, 50, 300, 1500]]], np.float32)
    found = normalised(image, window=[-200, 300])
    assert found.dtype == np.float32
    assert found.ravel().tolist() == pytest.approx([0, 0, 0.4, 0.5, 1, 1])
    assert normalised(image, window=[-200, 300], padding=1500).ravel()[-1] == 0


def test_padding_is_in_no_percentile_and_becomes_0() -> None:
    image = np.random.default_rng(0).normal(500, 50, (6, 20, 20)).astype(np.float32)
    body = image[:, 4:]
    image[:, :4] = -3024
    found = normalised(image, padding=-3024)
    np.testing.assert_array_equal(found[:, 4:], normalised(body))
    assert not found[:, :4].any()
    assert np.ptp(normalised(image)[:, 4:]) < 0.2 * np.ptp(found[:, 4:])


def test_padding_does_not_bend_a_bias_field(tmp_path: Path) -> None:
    image = np.random.default_rng(1).normal(300, 20, (20, 20, 6)).astype(np.float32)
    image[:3] = -3024
    preparation = card(bias_correction=True, padding=-3024).preparation
    framed = prepare_image(preparation, Image(image, np.diag([1.0, 1.0, 2.0, 1.0])), name="x")
    assert not framed.image[:, 0].any()
    assert np.isfinite(framed.image).all()
    assert 0 < framed.image[:, 4:].mean() < 1


def test_bias_correction_flattens_a_bias_field() -> None:
    rng = np.random.default_rng(1)
    blobs = gaussian_filter(rng.normal(size=(6, 20, 20)), (1, 2, 2))
    tissue = np.where(blobs > 0, 200, 100) + rng.normal(0, 4, blobs.shape)
    biased = (tissue * np.exp(0.3 * np.cos(np.pi * (np.arange(20) + 0.5) / 20))).astype(np.float32)
    flat = correct_bias(biased, (5.0, 1.0, 1.0))
    assert flat.dtype == np.float32
    assert np.std(np.log(biased / tissue)) > 0.2
    assert np.std(np.log(flat / tissue)) < 0.05
