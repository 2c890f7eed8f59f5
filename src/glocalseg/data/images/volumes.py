"""The voxels of a case: what its two files hold, the image as it is stored, the labels mapped to the card's classes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glocalseg.data.images.nifti import read_nifti
from glocalseg.data.images.placement import place
from glocalseg.data.readers.base import Note, Problem, ReaderError

if TYPE_CHECKING:
    from glocalseg.data.cards.reading import Preparation, Reading

COUNTED = 1 << 16  # values between the smallest and the largest up to which a table is kept
PIECE = 1 << 22  # voxels at a time


@dataclass(frozen=True)
class Image:
    """An image in memory as it is stored: ``voxels`` (X, Y, Z) float32 in the file's own intensities; ``affine`` (4, 4) float64,
    voxel indices to mm in RAS+, by the geometry that the card lets count."""

    voxels: NDArray[np.float32]
    affine: NDArray[np.float64]

    @property
    def content(self) -> str:
        """What stands for it in a data set's identity: the sha256 of shape, voxels and affine."""
        return _digest(self.voxels, "<f4", self.affine)


@dataclass(frozen=True)
class Label:
    """A label in memory as it is stored: ``values`` (X, Y, Z) in the file's type, whole numbers in a smaller one where they fit;
    ``affine`` as an image's."""

    values: NDArray[np.generic]
    affine: NDArray[np.float64]

    @property
    def content(self) -> str:
        """What stands for it in a data set's identity: the sha256 of shape, values and affine, whatever type holds them."""
        values = compact(self.values)
        return _digest(values, "u1" if values.dtype == np.uint8 else "<f8", self.affine)


@dataclass(frozen=True)
class Found:
    """What could be read of a file: ``affine`` and ``voxels`` (X, Y, Z), None without them, and what was met.

    ``channels`` is how many volumes the file holds, of which ``voxels`` are one.
    """

    voxels: NDArray[Any] | None
    affine: NDArray[np.float64] | None
    problems: list[Problem]
    notes: list[Note]
    channels: int = 1


def look_at_image(reading: Reading, path: Path) -> Found:
    """The card's channel of an image file, and all that is wrong with the file."""
    return _look(reading, path, reading.channel)


def look_at_label(reading: Reading, path: Path) -> Found:
    """The values of a label file, whole numbers in a smaller type where they fit, and all that is wrong with the file."""
    found = _look(reading, path, None)
    if found.voxels is None:
        return found
    return Found(compact(found.voxels), found.affine, found.problems, found.notes)


def load_image(reading: Reading, path: Path) -> Image:
    """The card's channel of an image file. Raises ReaderError."""
    found = look_at_image(reading, path)
    if found.voxels is None or found.affine is None:
        raise ReaderError(found.problems)
    return Image(found.voxels, found.affine)


def load_label(reading: Reading, path: Path) -> Label:
    """A label file, its values as they are. Raises ReaderError."""
    found = look_at_label(reading, path)
    if found.voxels is None or found.affine is None:
        raise ReaderError(found.problems)
    return Label(found.voxels, found.affine)


def count_values(values: NDArray[np.generic]) -> dict[float, int]:
    """How many voxels have each value, by rising value; NaN last. A label's values, not an image's."""
    if values.size and values.dtype.kind in "iu":
        low, high = int(values.min()), int(values.max())
        if high - low < COUNTED:
            counts = np.zeros(high - low + 1, np.int64)
            for piece in _pieces(values):
                counts += np.bincount(piece if low == 0 else piece.astype(np.int64) - low, minlength=len(counts))
            return {float(low + i): int(counts[i]) for i in np.flatnonzero(counts)}
    found, numbers = np.unique(values, return_counts=True)
    return {float(v): int(n) for v, n in zip(found, numbers, strict=True)}


def map_labels(preparation: Preparation, values: NDArray[np.generic]) -> tuple[NDArray[np.uint8], list[float]]:
    """Classes of a label array, same shape, uint8, and the values that the card does not know (background there).

    A value listed in ``stray_values`` is background, as docs/method.md 2.1 has it for 421 in MMWHS (there everything beyond
    the known values is; here only what the card lists, so that a new stray value is noticed).
    """
    values = compact(values)
    known = class_of(preparation)
    counts = count_values(values)
    if values.dtype == np.uint8:
        table = np.zeros(256, np.uint8)
        for value, number in known.items():
            if 0 <= value < 256:
                table[value] = number
        classes = table[values]
    else:
        classes = np.zeros_like(values, np.uint8)
        for value, number in known.items():
            if number and value in counts:
                classes[values == value] = number
    return classes, [v for v in counts if v not in known]


def class_of(preparation: Preparation) -> dict[int, int]:
    """Value in a label file to class, for every value that the card knows."""
    named = preparation.label_values or {number: number for number in preparation.structures}
    return {0: 0, **dict.fromkeys(preparation.stray_values, 0), **named}


def known_values(preparation: Preparation) -> list[int]:
    """The label values that a file may hold, in order."""
    return sorted(class_of(preparation))


def compact(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """The same values as uint8, or as int32 where they were real numbers, if every one fits; otherwise as they are."""
    for smaller in (np.uint8, np.int32) if values.dtype.kind == "f" else (np.uint8,):
        if values.dtype == smaller:
            return values
        bounds = np.iinfo(smaller)
        if values.size and bounds.min <= values.min() and values.max() <= bounds.max:  # false for NaN
            small: NDArray[np.generic] = values.astype(smaller)
            if values.dtype.kind in "iu" or all(
                np.array_equal(small[..., k], values[..., k]) for k in range(values.shape[-1])
            ):
                return small
    return values


def _look(reading: Reading, path: Path, channel: int | None) -> Found:
    try:
        read = read_nifti(path, channel=channel)
    except ReaderError as error:
        return Found(None, None, error.problems, [])
    where = place(read.header, read.values.shape, path, counts=reading.header)
    return Found(read.values, where.affine, where.problems, [*read.notes, *where.notes], read.channels)


def _digest(values: NDArray[np.generic], kind: str, affine: NDArray[np.float64]) -> str:
    """The sha256 of shape, values and affine, the values in the order of a NIfTI file: X runs fastest."""
    made = hashlib.sha256(f"{values.shape} {kind}".encode())
    for k in range(values.shape[-1]):
        made.update(np.asfortranarray(values[..., k], kind).tobytes(order="F"))
    where = np.round(affine, 4) + 0.0  # no -0.0
    made.update(where.astype("<f8").tobytes())
    return made.hexdigest()


def _pieces(values: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    """Views of all values, some at a time, in the order of memory."""
    flat = values.ravel(order="K")
    return [flat[start : start + PIECE] for start in range(0, flat.size, PIECE)]
