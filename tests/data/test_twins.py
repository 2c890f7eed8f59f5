"""An image that is there twice is found whatever was done to its file, and no two images are taken for one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nifti_layouts import make_card, save, write_list, write_msd

from glocalseg.data.acquire.verify import verify

SHAPE = (24, 20, 12)
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
CASES = ["case_01", "case_02", "case_03"]
COPY, FIRST = "imagesTr/case_03.nii.gz", "imagesTr/case_01.nii.gz"


def scan(seed: int) -> np.ndarray:
    """A body whose brightness falls off to one side, and noise of 3% of its contrast."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    body = (x**2 + y**2 < 0.8) * (300 + 100 * x - 60 * y + 40 * z)
    return (body + np.random.default_rng(seed).normal(0, 5, SHAPE)).astype(np.float32)


def mirrored(voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same place of every voxel, stored the other way."""
    affine = AFFINE.copy()
    affine[0] = [-1, 0, 0, SHAPE[0] - 1]
    return voxels[::-1], affine


def moved(voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    affine = AFFINE.copy()
    affine[:3, 3] = [30, -20, 5]
    return voxels, affine


def in_bytes(voxels: np.ndarray) -> np.ndarray:
    return np.round((voxels - voxels.min()) / np.ptp(voxels) * 255).astype(np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_msd(tmp_path, CASES)
    label = np.zeros(SHAPE, np.uint8)
    label[8:14, 6:12, 2:9] = 1
    for seed, name in enumerate(CASES):
        label[14, 6 + seed :, 3] = 2
        save(tmp_path / "imagesTr" / f"{name}.nii.gz", scan(seed), AFFINE)
        save(tmp_path / "labelsTr" / f"{name}.nii.gz", label, AFFINE)
    return tmp_path


def write_copy(root: Path, voxels: np.ndarray, affine: np.ndarray) -> None:
    label = np.zeros(voxels.shape, np.uint8)
    label[8:11, 6:10, 3:9] = 1
    label[11, 6:9, 5] = 2
    save(root / COPY, voxels, affine)
    save(root / COPY.replace("imagesTr", "labelsTr"), label, affine)


def problems(root: Path, **changes: Any) -> list[str]:
    card = make_card(**{"frame": {"spacing": [1, 1], "size": [32, 32]}, **changes})
    return [str(p).replace(f"{root}/", "") for p in verify(card, root).problems]


def test_scans_that_are_alike_are_different_images(root: Path) -> None:
    assert problems(root) == []


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (lambda v: moved(v), "under another header"),
        (lambda v: (v, np.diag([1.1, 1.1, 2.0, 1.0])), "under another header"),
        (lambda v: mirrored(v), "under another header"),
        (lambda v: (v[::-1], AFFINE), "mirrored or turned"),
        (lambda v: (v[:, ::-1, ::-1], AFFINE), "mirrored or turned"),
        (lambda v: (v.transpose(1, 0, 2), AFFINE), "mirrored or turned"),
        (lambda v: (v * 2.5 + 100, AFFINE), "on another scale of intensities"),
        (lambda v: (v * 1e-3, AFFINE), "on another scale of intensities"),
        (lambda v: (in_bytes(v), AFFINE), "on another scale of intensities"),
        (lambda v: (np.clip(v, *np.percentile(v, (0.5, 99.5))), AFFINE), "on another scale of intensities"),
        (lambda v: (in_bytes(v)[::-1], AFFINE), "mirrored or turned and on another scale of intensities"),
    ],
)  # fmt: skip
def test_a_copy_under_another_subject_is_found(root: Path, change: Callable[[np.ndarray], Any], how: str) -> None:
    write_copy(root, *change(scan(0)))
    assert problems(root) == [f"{COPY}: expected an image of its own, found the voxels of {FIRST}, {how}"]


def test_a_copy_without_a_label_is_found(root: Path) -> None:
    write_copy(root, *moved(scan(0)))
    (root / COPY.replace("imagesTr", "labelsTr")).unlink()
    write_list(root, CASES[:2], test=[f"./{COPY}"])
    (problem,) = problems(root, labels="some")
    assert problem.startswith(f"{COPY}: expected an image of its own, found the voxels of {FIRST}")


@pytest.mark.parametrize(
    "change",
    [
        lambda v: scan(0) + np.random.default_rng(9).normal(0, 5, SHAPE),  # scanned again
        lambda v: np.roll(v, 1, axis=0),
        lambda v: v[:, :, [*range(1, 12), 0]],
        lambda v: np.sort(v, axis=2),
        lambda v: np.where(v > 300, 300, v),
    ],
)
def test_a_changed_image_is_no_copy(root: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    write_copy(root, change(scan(0)).astype(np.float32), AFFINE)
    assert problems(root) == []


def test_images_without_noise_that_differ_between_the_voxels_kept_are_no_copies(root: Path) -> None:
    """What agrees on the lattice is compared whole."""
    clean = np.zeros((64, 64, 24), np.float32)
    clean[20:44, 20:44, 4:20] = 100
    spot = clean.copy()
    for k in range(20, 44, 6):  # between voxels that are kept, which lie six or seven apart
        spot[k + 1 : k + 3, 20:44, 4:20] = 180
    for image in (clean, spot):
        kept = (np.arange(64)[:, None] == 64 * (np.arange(5) + 0.5) // 10).any(1)
        image[kept | kept[::-1]] = clean[kept | kept[::-1]]
    for name, image in zip(CASES[1:], (clean, spot), strict=True):
        label = np.zeros(image.shape, np.uint8)
        label[20:44, 20:44, 4:20], label[24, 24, 4:9] = 1, 2
        save(root / f"imagesTr/{name}.nii.gz", image, AFFINE)
        save(root / f"labelsTr/{name}.nii.gz", label, AFFINE)
    assert problems(root, frame={"spacing": [1, 1], "size": [64, 64]}) == []
