"""Tiny volumes in every layout, and cards for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from glocalseg.data.cards.card import Card
from glocalseg.data.files.cases import require_cases, scan_cases
from glocalseg.data.readers.base import Case, Scan

SHAPE = (6, 5, 4)


def make_card(**changes: Any) -> Card:
    """A card of three subjects in MSD layout; keyword arguments replace fields."""
    base: dict[str, Any] = {
        "name": "tiny",
        "title": "Tiny",
        "modality": "MR",
        "subjects": 3,
        "licence": "none",
        "citation": ["nobody"],
        "source": {"kind": "folder", "path": "unused"},
        "reader": "msd",
        "structures": {1: "one", 2: "two"},
        "slice_axis": "S",
        "frame": {"spacing": [0.5, 0.5], "size": [16, 16]},
        "subject": {"pattern": r"^(case_\d+)$"},
        "splits": {"kind": "rule", "test": 1, "validation": 1, "seed": 0},
    }
    return Card.model_validate({**base, **changes})


def cases_of(card: Card, root: Path) -> list[Case]:
    """The cases that a card's reader finds. Raises ReaderError."""
    return require_cases(card.reading, root)


def scan_of(card: Card, root: Path) -> Scan:
    """All that a card's reader finds, and what was met."""
    return scan_cases(card.reading, root)


def image_voxels(seed: int, shape: tuple[int, ...] = SHAPE) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)


def label_voxels(values: tuple[float, ...] = (1, 2), dtype: Any = np.uint8) -> NDArray[Any]:
    label = np.zeros(SHAPE, dtype)
    for i, value in enumerate(values):
        label[1 + i % 4, 2, :] = value
    return label


def save(path: Path, voxels: NDArray[Any], affine: NDArray[np.float64] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, np.diag([1.0, 1.0, 2.0, 1.0]) if affine is None else affine), path)


def write_msd(root: Path, names: list[str], *, channels: int = 1) -> None:
    """Cases, ``dataset.json``, and the ``._`` files that the decathlon's archives hold."""
    for seed, name in enumerate(names):
        shape = SHAPE if channels == 1 else (*SHAPE, channels)
        save(root / "imagesTr" / f"{name}.nii.gz", image_voxels(seed, shape))
        save(root / "labelsTr" / f"{name}.nii.gz", label_voxels())
        (root / "imagesTr" / f"._{name}.nii.gz").write_bytes(b"\x00\x05\x16\x07 not an image")
    write_list(root, names)


def write_list(root: Path, names: list[str], *, labels_folder: str = "labelsTr", ending: str = "", **more: Any) -> None:
    """``dataset.json``; further keyword arguments are further keys of it."""
    training = [{"image": f"./imagesTr/{n}{ending}.nii.gz", "label": f"./{labels_folder}/{n}.nii.gz"} for n in names]
    content = {"name": "Tiny", "training": training, **more}
    (root / "dataset.json").write_text(json.dumps(content), encoding="utf-8")


def write_acdc(root: Path, frames: dict[str, tuple[int, int]]) -> None:
    """Patients with their (ED, ES) frames, below ``training``."""
    for seed, (patient, (ed, es)) in enumerate(frames.items()):
        folder = root / "training" / patient
        for k, frame in enumerate((ed, es)):
            save(folder / f"{patient}_frame{frame:02d}.nii.gz", image_voxels(2 * seed + k))
            save(folder / f"{patient}_frame{frame:02d}_gt.nii.gz", label_voxels())
        save(folder / f"{patient}_4d.nii.gz", image_voxels(99, (*SHAPE, 2)))
        (folder / "Info.cfg").write_text(
            f"ED: {ed}\nES: {es}\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n", encoding="utf-8"
        )


MMWHS_VALUES = {0: 0, 205: 1, 420: 2, 500: 3, 550: 4, 600: 5, 820: 6, 850: 7}


def mmwhs_card(**changes: Any) -> Card:
    names = {i: f"s{i}" for i in range(1, 8)}
    rule = {"pattern": r"^mr_train_(\d{4})$"}
    fixed = {"structures": names, "label_values": MMWHS_VALUES, "stray_values": [421], "subject": rule}
    return make_card(**{"reader": "mmwhs", **fixed, **changes})
