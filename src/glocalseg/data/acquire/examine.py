"""Looking at one case: everything that is wrong with its two files, what is odd about them, and what becomes of it on the frame."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from glocalseg.data.readers.base import Case, Note, Problem, ReaderError
from glocalseg.data.reading import Preparation, Reading
from glocalseg.data.slices.geometry import resample_label
from glocalseg.data.slices.prepare import Prepared, PrepareError, prepare_volume
from glocalseg.data.volumes import Image, Label, known_values, load_image, load_label, map_labels

AFFINE_TOLERANCE = 0.1  # share of the smallest voxel side by which a corner of image and label may lie apart
SHOWN = 5  # values named in one problem


@dataclass(frozen=True)
class Facts:
    """What a case's files hold, as they are stored: ``values`` counts the voxels of every label value but 0."""

    shape: tuple[int, int, int]  # X, Y, Z
    spacing: tuple[float, float, float]  # mm, in that order
    orientation: str  # towards where X, Y and Z go, such as RAS
    values: dict[int, int]


@dataclass(frozen=True)
class Loss:
    """What is left of a structure of a volume, in mm2 summed over its slices: as labelled, after resampling, on the frame."""

    native: float
    resampled: float
    framed: float


@dataclass(frozen=True)
class Examined:
    """What one case gave: ``image`` and ``label`` are the digests of their contents, ``losses`` by name of the structure.

    What could not be found out is None; ``prepared`` also where there are problems, or where a bias field is to be removed.
    """

    case: Case
    problems: tuple[Problem, ...] = ()
    notes: tuple[Note, ...] = ()
    image: str | None = None
    label: str | None = None
    facts: Facts | None = None
    losses: dict[str, Loss] = field(default_factory=dict)
    prepared: Prepared | None = None


def examine(reading: Reading, preparation: Preparation, case: Case) -> Examined:
    """Everything that can be said of one case."""
    problems: list[Problem] = []
    image: Image | None = None
    label: Label | None = None
    try:
        _read_whole(case.image)
        image = load_image(reading, case.image)
        problems += _check_image(case.image, image.voxels)
    except ReaderError as error:
        problems += error.problems
    if case.label is not None:
        try:
            _read_whole(case.label)
            label = load_label(reading, case.label)
            problems += _check_label(preparation, case.label, label.values)
        except ReaderError as error:
            problems += error.problems
    if image is not None and label is not None:
        problems += _check_pair(case, image, label)
    prepared = None
    if not problems and not preparation.bias_correction:
        try:
            prepared = prepare_volume(reading, preparation, case)
        except PrepareError as error:
            problems.append(Problem(str(case.image), "a volume that can be prepared", str(error)))
    return Examined(
        case=case,
        problems=tuple(problems),
        image=image.content if image else None,
        label=label.content if label else None,
        facts=_facts(image, label) if image and not problems else None,
        losses=_losses(preparation, prepared) if prepared and case.label is not None else {},
        prepared=prepared,
    )


def _facts(image: Image, label: Label | None) -> Facts:
    values, counts = np.unique(label.values, return_counts=True) if label else (np.zeros(0), np.zeros(0))
    x, y, z = image.voxels.shape
    sides = nib.affines.voxel_sizes(image.affine)
    return Facts(
        shape=(x, y, z),
        spacing=(float(sides[0]), float(sides[1]), float(sides[2])),
        orientation="".join(nib.orientations.aff2axcodes(image.affine)),
        values={int(v): int(n) for v, n in zip(values, counts, strict=True) if v},
    )


def _losses(preparation: Preparation, prepared: Prepared) -> dict[str, Loss]:
    native = prepared.native_label
    resampled = resample_label(native, prepared.resampled)
    pixel = prepared.spacing[1] * prepared.spacing[2]
    target = pixel * native.shape[1] * native.shape[2] / (prepared.resampled[0] * prepared.resampled[1])
    counts = [np.bincount(a.ravel(), minlength=preparation.classes) for a in (native, resampled, prepared.label)]
    return {
        name: Loss(float(counts[0][k] * pixel), float(counts[1][k] * target), float(counts[2][k] * target))
        for k, name in preparation.structures.items()
    }


def _read_whole(path: Path) -> None:
    """Read a compressed file to its end: readers stop before the checksum. Raises ReaderError."""
    if path.name.endswith(".gz") and path.is_file():
        try:
            with gzip.open(path) as f:
                while f.read(1 << 22):
                    pass
        except (OSError, EOFError, zlib.error) as error:
            expected = "a gzip file that can be read to its end"
            raise ReaderError([Problem(str(path), expected, f"{type(error).__name__}: {error}")]) from None


def _check_image(path: Path, image: NDArray[np.float32]) -> Iterator[Problem]:
    bad = int(np.count_nonzero(~np.isfinite(image)))
    if bad:
        yield Problem(str(path), "finite voxels", f"{bad} of {image.size} are NaN or infinite")
    elif image.size == 0 or image.min() == image.max():
        found = f"{image.flat[0]:g} everywhere" if image.size else f"shape {image.shape}"
        yield Problem(str(path), "an image that is not constant", found)


def _check_label(preparation: Preparation, path: Path, label: NDArray[np.generic]) -> Iterator[Problem]:
    unknown = map_labels(preparation, label)[1]
    broken = [v for v in unknown if not float(v).is_integer()]  # NaN and infinity are no whole numbers either
    if broken:
        yield Problem(str(path), "whole numbers", _some(broken))
    if strange := [v for v in unknown if v not in broken and float(v).is_integer()]:
        yield Problem(str(path), f"label values of {known_values(preparation)}", _some(strange))


def _check_pair(case: Case, image: Image, label: Label) -> Iterator[Problem]:
    if image.voxels.shape != label.values.shape:
        yield Problem(str(case.label), f"shape {image.voxels.shape}, as the image has", f"{label.values.shape}")
        return
    for path, affine in ((case.image, image.affine), (case.label, label.affine)):
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            yield Problem(str(path), "an affine that can be inverted", str(affine.tolist()))
            return
    last = np.array(image.voxels.shape) - 1
    corners = np.array([[*(np.array(i) * last), 1] for i in np.ndindex(2, 2, 2)], np.float64)
    apart = float(np.linalg.norm((corners @ (image.affine - label.affine).T)[:, :3], axis=1).max())
    voxel = float(np.linalg.norm(image.affine[:3, :3], axis=0).min())
    if apart > AFFINE_TOLERANCE * voxel:
        expected = f"the image's affine (corners within {AFFINE_TOLERANCE * voxel:.3g} mm)"
        yield Problem(str(case.label), expected, f"one whose corners lie {apart:.3g} mm away")


def _some(values: list[float]) -> str:
    shown = ", ".join(f"{v!r}" for v in values[:SHOWN])
    return shown if len(values) <= SHOWN else f"{shown} and {len(values) - SHOWN} more values"
