"""The paper's three cohorts, made up of few voxels, in the layouts of ACDC, Prostate (Task05) and MM-WHS, oddities included.

Each ``write_...`` makes the folder that a person gets, with as many volumes as the shipped card counts. What is odd is named
there: some of it others report of the public data, the rest is what files and folders come to look like in people's hands.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

SHADOW = b"\x00\x05\x16\x07 what macOS knows of a file"


@dataclass(frozen=True)
class Part:
    """An ellipsoid: its label value, how bright it is, where its centre lies and how far it reaches, in mm towards R, A and S."""

    value: int
    bright: float
    centre: tuple[float, float, float]
    reach: tuple[float, float, float]


# What comes later covers what comes before; the first is the body.
HEART = (
    Part(0, 0.35, (0, 0, 0), (70, 62, 200)),
    Part(1, 0.90, (-28, 4, 6), (26, 32, 36)),
    Part(2, 0.30, (14, 0, 0), (34, 34, 44)),
    Part(3, 1.00, (14, 0, 4), (22, 22, 38)),
)
PROSTATE = (
    Part(0, 0.50, (0, 0, 0), (58, 46, 200)),
    Part(1, 1.00, (0, -4, 0), (25, 19, 16)),
    Part(2, 0.70, (0, 3, 1), (17, 12, 13)),
)
WHOLE_HEART = (
    Part(0, 0.30, (0, 0, 0), (84, 75, 95)),
    Part(550, 0.75, (34, 4, 4), (22, 28, 26)),  # right atrium
    Part(420, 0.80, (-8, -30, 18), (26, 22, 22)),  # left atrium
    Part(600, 0.85, (18, 30, -22), (26, 28, 26)),  # right ventricle
    Part(205, 0.35, (-30, 6, -22), (34, 38, 36)),  # myocardium
    Part(500, 1.00, (-30, 6, -22), (23, 28, 26)),  # left ventricle
    Part(820, 0.95, (4, 8, 52), (14, 17, 24)),  # ascending aorta
    Part(850, 0.90, (-24, 14, 48), (13, 17, 18)),  # pulmonary artery
)


def stream(*numbers: int) -> Generator:
    """The random numbers of a cohort's volume."""
    return np.random.default_rng(numbers)


def scan(
    parts: Sequence[Part], shape: tuple[int, int, int], sides: tuple[float, float, float], rng: Generator
) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
    """An image, about 0 to 1000, and its label, both (X, Y, Z) towards R, A and S; everybody's parts lie a little elsewhere."""
    axes = [(np.arange(n) - (n - 1) / 2) * side for n, side in zip(shape, sides, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    image, label = np.full(shape, 0.05), np.zeros(shape, np.int16)
    moved, grown = rng.normal(0, 1.5, 3), rng.uniform(0.9, 1.05)
    for part in parts:
        centre = np.add(part.centre, moved).reshape(3, 1, 1, 1)
        reach = np.multiply(part.reach, grown).reshape(3, 1, 1, 1)
        inside = (((points - centre) / reach) ** 2).sum(axis=0) < 1
        image[inside], label[inside] = part.bright * rng.uniform(0.9, 1.1), part.value
    coil = np.exp(0.002 * rng.normal(0, 1, 3) @ points.reshape(3, -1)).reshape(shape)
    noisy = 1000 * (image * coil + rng.normal(0, 0.04, shape))
    return np.maximum(noisy, 0).astype(np.float32), label


def centred(shape: tuple[int, ...], sides: tuple[float, ...]) -> NDArray[np.float64]:
    """An affine towards R, A and S whose zero is the middle of the volume."""
    affine = np.diag([*sides, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * side for n, side in zip(shape[:3], sides, strict=True)]
    return affine


def save(path: Path, voxels: NDArray[Any], affine: NDArray[np.float64], codes: str = "RAS") -> None:
    """A volume that is given towards R, A and S by its affine, its axes stored towards ``codes``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(voxels, affine)
    turn = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(codes))
    image = image.as_reoriented(turn)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)


# ---------------------------------------------------------------- ACDC


def write_acdc(root: Path) -> None:
    """``training/patient001`` to ``patient100``, each with Info.cfg, the whole cine, and image and label of two frames.

    Odd: numbers and distances of slices differ, and the pixels' sides too; the stack of every fourth patient ends before the
    apex; patient090's end-diastole is frame 11, patient002's headers give sides and no place, patient003 is stored towards L, P,
    S; frames have one digit in Info.cfg and two in names; a text lies among the patients.
    """
    for number in range(1, 101):
        rng, patient = stream(1, number), f"patient{number:03d}"
        folder = root / "training" / patient
        ed, es = (11, 4) if number == 90 else (1, 9 + number % 5)
        slices = 5 + number % 4  # every fourth with 6, of which the lowest is missing
        side = 8.5 + 0.25 * (number % 3)
        shape, sides = (18, 16 + number % 3, slices), (side, side, 84 / slices)
        affine = centred(shape, sides)
        for frame in (ed, es):
            image, label = scan(HEART, shape, sides, rng)
            for end, voxels in (("", image.astype(np.int16)), ("_gt", label.astype(np.uint8))):
                voxels = voxels[..., 1:] if number % 4 == 1 else voxels
                path = folder / f"{patient}_frame{frame:02d}{end}.nii.gz"
                save(path, voxels, affine, "LPS" if number == 3 else "RAS")
                if number == 2:
                    unplaced(path)
        save(folder / f"{patient}_4d.nii.gz", np.stack([image, image], axis=3).astype(np.int16), affine)
        lines = {"ED": ed, "ES": es, "Group": "DCM", "Height": "184.0", "NbFrame": 30, "Weight": "95.0"}
        (folder / "Info.cfg").write_text("".join(f"{k}: {v}\n" for k, v in lines.items()), encoding="utf-8")
    (root / "training/readme.txt").write_text("How to cite the challenge.\n", encoding="utf-8")


def unplaced(path: Path) -> None:
    """Take sform and qform out of a file's header: what is left are the sides of its voxels."""
    image = nib.load(path)
    voxels = np.asanyarray(image.dataobj)
    image.header["sform_code"] = image.header["qform_code"] = 0
    bare = nib.Nifti1Image(voxels, None, image.header)
    nib.save(bare, path)


# ---------------------------------------------------------------- Prostate


LABELLED = (
    0, 1, 2, 4, 6, 7, 10, 13, 14, 16, 17, 18, 20, 21, 24, 25, 28, 29, 31, 32, 34, 35, 37, 38, 39, 40, 41, 42, 43, 44, 46, 47,
)  # fmt: skip


def write_prostate(root: Path) -> None:
    """``Task05_Prostate`` as its archive has it: dataset.json, 32 volumes with labels and 16 without, channels T2 and ADC.

    Odd: a hidden ``._`` file beside every other one; prostate_18 and prostate_32 have no transition zone, as the card tells;
    sides and numbers of slices differ; prostate_06 is stored towards L, A, S; an archive lies in a subfolder.
    """
    for number in range(48):
        rng, name = stream(2, number), f"prostate_{number:02d}"
        slices = 6 + number % 3
        shape, sides = (22, 20, slices), (5.2 + 0.2 * (number % 2), 5.2 + 0.2 * (number % 2), 4.2)
        parts = PROSTATE[:2] if number in (18, 32) else PROSTATE
        image, label = scan(parts, shape, sides, rng)
        both = np.stack([image, 1500 - image + rng.normal(0, 30, shape)], axis=3).astype(np.float32)
        affine, codes = centred(shape, sides), "LAS" if number == 6 else "RAS"
        if number in LABELLED:
            save(root / "labelsTr" / f"{name}.nii.gz", label.astype(np.float32), affine, codes)
        save(root / ("imagesTr" if number in LABELLED else "imagesTs") / f"{name}.nii.gz", both, affine, codes)
    names = [f"prostate_{number:02d}.nii.gz" for number in range(48)]
    known = {f"prostate_{number:02d}.nii.gz" for number in LABELLED}
    about = {
        "name": "PROSTATE", "description": "Prostate transitional zone and peripheral zone segmentation",
        "reference": "Radboud University, Nijmegen Medical Centre", "licence": "CC-BY-SA 4.0", "relase": "1.0 04/05/2018",
        "tensorImageSize": "4D", "modality": {"0": "T2", "1": "ADC"}, "labels": {"0": "background", "1": "PZ", "2": "TZ"},
        "numTraining": 32, "numTest": 16,
        "training": [{"image": f"./imagesTr/{n}", "label": f"./labelsTr/{n}"} for n in names if n in known],
        "test": [f"./imagesTs/{n}" for n in names if n not in known],
    }  # fmt: skip
    (root / "dataset.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    for path in [p for p in root.rglob("*") if p.is_file()]:
        (path.parent / f"._{path.name}").write_bytes(SHADOW)
    pack(root / "original/prostate.zip")


# ---------------------------------------------------------------- MM-WHS

STORED = ("RAS", "LPS", "PIR", "ASL", "SAR", "LIP")  # towards where axes are stored, which differs from file to file


def write_mmwhs(root: Path) -> None:
    """``mr_train/mr_train_1001_image.nii.gz`` and ``_label`` to 1020, with the challenge's other folders beside them.

    Odd: axes are stored in six orders and ways, every fourth volume lies obliquely, sides and sizes differ; the label of 1010
    has the value 421, which the public data has too, in some voxels of the left atrium; that of 1004 is stored as real numbers,
    that of 1007 with a fourth dimension of one; the aorta of 1005 is two voxels; an archive lies beside the folders.
    """
    for number in range(1001, 1021):
        rng = stream(3, number)
        shape, sides = (20 + number % 3, 11 + number % 4, 22), (8.5, 12.0 + 0.5 * (number % 2), 8.5)
        image, label = scan(WHOLE_HEART, shape, sides, rng)
        if number == 1010:
            label[tuple(np.argwhere(label == 420)[:3].T)] = 421
        if number == 1005:
            label[tuple(np.argwhere(label == 820)[:-2].T)] = 0
        stored: NDArray[Any] = label.astype(np.float64) if number == 1004 else label
        stored = stored[..., np.newaxis] if number == 1007 else stored
        affine = turned(10.0 if number % 4 == 0 else 0.0) @ centred(shape, sides)
        stem = root / "mr_train" / f"mr_train_{number}"
        codes = STORED[number % len(STORED)]
        save(stem.with_name(f"{stem.name}_image.nii.gz"), image.astype(np.int16), affine, codes)
        save(stem.with_name(f"{stem.name}_label.nii.gz"), stored, affine, codes)
    for name in ("ct_train/ct_train_1001_image", "ct_train/ct_train_1001_label", "mr_test/mr_test_2001_image"):
        save(root / f"{name}.nii.gz", image.astype(np.int16), affine)
    pack(root / "MM-WHS 2017 Dataset.zip")


def turned(degrees: float) -> NDArray[np.float64]:
    """An affine that turns about the axis towards S."""
    angle = np.deg2rad(degrees)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return affine


def pack(path: Path) -> None:
    """An archive that somebody left there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "what was unpacked beside it")
