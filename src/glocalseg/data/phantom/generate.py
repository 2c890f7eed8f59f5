"""The embedded data set: made-up short-axis cardiac cine, written in ACDC's layout so that ACDC's reader reads it.

``training/patient001/Info.cfg``, ``patient001_frame01.nii.gz`` (end-diastole), ``patient001_frame01_gt.nii.gz``, and the same for
the end-systolic frame. Slices run from base to apex along the third array axis, which the header calls superior; as in ACDC the
header says nothing of the oblique plane. Every number is a function of (seed, patient, purpose).
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from glocalseg.data.phantom.anatomy import GROUPS, Heart, contract, draw_heart, draw_surroundings
from glocalseg.data.phantom.imaging import Grid, draw_contrast, draw_grid, image_of, label_of

FRAMES = 30  # of the cine that the two frames are said to come from


class Purpose(IntEnum):
    """What a stream of random numbers is for; one more never changes the others."""

    HEART = 0
    SURROUNDINGS = 1
    GRID = 2
    CONTRAST = 3
    SYSTOLE = 4
    NOISE_ED = 5
    NOISE_ES = 6
    PERSON = 7


def generate(root: Path, subjects: int, *, seed: int, matrix: int) -> None:
    """Write every patient below ``root / "training"``; the same numbers give the same bytes.

    Args:
        root: created when missing.
        subjects: number of patients; one more never changes the others.
        seed: of everything that is drawn.
        matrix: pixels of 1.6 mm along a side, before variation.
    """
    for number in range(1, subjects + 1):
        _write_patient(seed, matrix, number, root / "training" / f"patient{number:03d}")


def stream(seed: int, number: int, purpose: Purpose) -> Generator:
    """The random numbers of one patient (from 1) and purpose."""
    return np.random.default_rng([seed, number, int(purpose)])


def group_of(number: int) -> str:
    """The diagnosis of a patient, one of GROUPS in turn."""
    return GROUPS[(number - 1) % len(GROUPS)]


def _write_patient(seed: int, matrix: int, number: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    group = group_of(number)
    diastole = draw_heart(stream(seed, number, Purpose.HEART), group)
    systole = contract(diastole, stream(seed, number, Purpose.SYSTOLE), group)
    grid = draw_grid(stream(seed, number, Purpose.GRID), matrix, diastole.length)
    person = stream(seed, number, Purpose.PERSON)
    last = int(person.integers(9, 14))
    for frame, heart, purpose in ((1, diastole, Purpose.NOISE_ED), (last, systole, Purpose.NOISE_ES)):
        _write_frame(seed, number, heart, grid, purpose, folder / f"{folder.name}_frame{frame:02d}")
    lines = {
        "ED": 1,
        "ES": last,
        "Group": group,
        "Height": round(float(person.uniform(155, 195)), 1),
        "NbFrame": FRAMES,
        "Weight": round(float(person.uniform(50, 110)), 1),
    }
    (folder / "Info.cfg").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()), encoding="utf-8")


def _write_frame(seed: int, number: int, heart: Heart, grid: Grid, purpose: Purpose, stem: Path) -> None:
    around = draw_surroundings(stream(seed, number, Purpose.SURROUNDINGS))
    contrast = draw_contrast(stream(seed, number, Purpose.CONTRAST))
    image = image_of(heart, around, grid, contrast, stream(seed, number, purpose))
    _write_nifti(stem.with_name(f"{stem.name}.nii.gz"), image, grid)
    _write_nifti(stem.with_name(f"{stem.name}_gt.nii.gz"), label_of(heart, around, grid), grid)


def _write_nifti(path: Path, array: NDArray[Any], grid: Grid) -> None:
    affine = np.diag([*grid.spacing, 1.0])
    affine[:3, 3] = [-s * (n - 1) / 2 for n, s in zip(grid.shape, grid.spacing, strict=True)]
    nib.save(nib.Nifti1Image(array, affine), path)
