"""A few small made-up volumes as files, in the layout that a reader reads. NumPy and nibabel alone make them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

SHAPE = (20, 18, 7)
AFFINES = (np.diag([1.5, 1.2, 4.0, 1.0]), np.array([[0, -1.2, 0.1, 5], [1.4, 0, 0, 2], [0, 0.1, -4.0, 0], [0, 0, 0, 1.0]]))


def _image(seed: int, channels: int = 1) -> NDArray[np.float32]:
    shape = SHAPE if channels == 1 else (*SHAPE, channels)
    x = np.linspace(0, 3, SHAPE[0]).reshape(-1, *[1] * (len(shape) - 1))
    return np.random.default_rng(seed).normal(100 + 20 * x, 10, shape).astype(np.float32)


def _label(seed: int, values: tuple[int, ...]) -> NDArray[np.int16]:
    return np.random.default_rng(100 + seed).choice(np.array((0, *values), np.int16), SHAPE)


def _save(path: Path, voxels: NDArray[Any], seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, AFFINES[seed % len(AFFINES)]), path)


def _folders(root: Path, values: tuple[int, ...], channels: int) -> None:
    for seed in range(3):
        for images, labels in (("imagesTr", "labelsTr"), ("images", "labels")):
            _save(root / images / f"case_{seed}.nii.gz", _image(seed, channels), seed)
            _save(root / labels / f"case_{seed}.nii.gz", _label(seed, values), seed)


def _msd(root: Path, values: tuple[int, ...], channels: int) -> None:
    _folders(root, values, channels)
    listed = [{"image": f"./imagesTr/case_{i}.nii.gz", "label": f"./labelsTr/case_{i}.nii.gz"} for i in range(3)]
    (root / "dataset.json").write_text(json.dumps({"training": listed}), encoding="utf-8")


def _acdc(root: Path, values: tuple[int, ...], channels: int) -> None:
    for seed in range(3):
        folder = root / "training" / f"patient{seed:03d}"
        for i, frame in enumerate((1, 12)):
            _save(folder / f"{folder.name}_frame{frame:02d}.nii.gz", _image(2 * seed + i, channels), seed)
            _save(folder / f"{folder.name}_frame{frame:02d}_gt.nii.gz", _label(2 * seed + i, values), seed)
        (folder / "Info.cfg").write_text("ED: 1\nES: 12\nGroup: DCM\nNbFrame: 30\n", encoding="utf-8")


def _mmwhs(root: Path, values: tuple[int, ...], channels: int) -> None:
    for seed in range(3):
        _save(root / f"mr_train_{1001 + seed}_image.nii.gz", _image(seed, channels), seed)
        _save(root / f"mr_train_{1001 + seed}_label.nii.gz", _label(seed, values), seed)


# Reader to what writes its layout: (root, label values, channels). A reader that is not here has no golden run.
LAYOUTS: dict[str, Callable[[Path, tuple[int, ...], int], None]] = {
    "acdc": _acdc,
    "folders": _folders,
    "mmwhs": _mmwhs,
    "msd": _msd,
}
