"""The voxels of a case: what its two files hold, the image as it is stored, the labels mapped to the card's classes."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, SpatialImage
from numpy.typing import NDArray

from glocalseg.data.readers.base import Problem, ReaderError

if TYPE_CHECKING:
    from glocalseg.data.reading import Preparation, Reading


@dataclass(frozen=True)
class Image:
    """An image in memory as it is stored: ``voxels`` (X, Y, Z) float32 in the file's own intensities; ``affine`` (4, 4) float64,
    voxel indices to mm in RAS+, by the geometry that the card lets count."""

    voxels: NDArray[np.float32]
    affine: NDArray[np.float64]

    @property
    def content(self) -> str:
        """What stands for it in a data set's identity: the sha256 of shape, voxels and affine."""
        return _digest(self.voxels.astype("<f4"), self.affine)


@dataclass(frozen=True)
class Label:
    """A label in memory as it is stored: ``values`` (X, Y, Z) in the file's type; ``affine`` as an image's."""

    values: NDArray[np.generic]
    affine: NDArray[np.float64]

    @property
    def content(self) -> str:
        """What stands for it in a data set's identity: the sha256 of shape, values and affine, whatever type holds them."""
        return _digest(self.values.astype("<f8"), self.affine)


def _digest(values: NDArray[np.generic], affine: NDArray[np.float64]) -> str:
    where = np.round(affine, 4) + 0.0  # no -0.0
    return hashlib.sha256(f"{values.shape}".encode() + values.tobytes() + where.astype("<f8").tobytes()).hexdigest()


def load_image(reading: Reading, path: Path) -> Image:
    """The card's channel of an image file. Raises ReaderError."""
    opened = open_nifti(path)
    return Image(image_array(reading, opened, path), np.asarray(opened.affine, np.float64))


def load_label(reading: Reading, path: Path) -> Label:
    """A label file, its values as they are. Raises ReaderError."""
    opened = open_nifti(path)
    return Label(label_array(opened, path), np.asarray(opened.affine, np.float64))


def open_nifti(path: Path) -> SpatialImage:
    """An opened NIfTI file, its voxels not yet read. Raises ReaderError."""
    try:
        return nib.load(path)  # type: ignore[return-value]
    except FileNotFoundError:
        raise ReaderError([Problem(str(path), "a NIfTI file", "no such file")]) from None
    except (ImageFileError, HeaderDataError, OSError, EOFError, zlib.error, ValueError) as error:
        raise ReaderError([Problem(str(path), "a readable NIfTI file", _said(error))]) from None


def image_array(reading: Reading, image: SpatialImage, path: Path) -> NDArray[np.float32]:
    """The card's channel of an image, (X, Y, Z) float32, with the header's scaling applied. Raises ReaderError."""
    pixels = _voxels(image, path)
    if pixels.ndim == 4:
        if reading.channel >= pixels.shape[3]:
            found = f"{pixels.shape[3]} channels"
            raise ReaderError([Problem(str(path), f"channel {reading.channel} (counted from 0)", found)])
        pixels = pixels[..., reading.channel]
    elif reading.channel != 0:
        raise ReaderError([Problem(str(path), f"channel {reading.channel} (counted from 0)", f"shape {pixels.shape}")])
    if pixels.ndim != 3:
        raise ReaderError([Problem(str(path), "three dimensions, or four with channels last", f"shape {pixels.shape}")])
    return np.ascontiguousarray(pixels, dtype=np.float32)


def label_array(label: SpatialImage, path: Path) -> NDArray[np.generic]:
    """The values of a label file, (X, Y, Z), in the type that the file gives. Raises ReaderError."""
    values = _voxels(label, path)
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise ReaderError([Problem(str(path), "three dimensions", f"shape {values.shape}")])
    return values


def map_labels(preparation: Preparation, values: NDArray[np.generic]) -> tuple[NDArray[np.uint8], list[float]]:
    """Classes of a label array, same shape, uint8, and the values that the card does not know (background there).

    A value listed in ``stray_values`` is background, as docs/method.md 2.1 has it for 421 in MMWHS (there everything beyond
    the known values is; here only what the card lists, so that a new stray value is noticed).
    """
    found = np.unique(values)
    known = class_of(preparation)
    classes = np.zeros(values.shape, np.uint8)
    for value, number in known.items():
        if number:
            classes[values == value] = number
    return classes, [float(v) for v in found if float(v) not in known]


def class_of(preparation: Preparation) -> dict[int, int]:
    """Value in a label file to class, for every value that the card knows."""
    named = preparation.label_values or {number: number for number in preparation.structures}
    return {0: 0, **dict.fromkeys(preparation.stray_values, 0), **named}


def known_values(preparation: Preparation) -> list[int]:
    """The label values that a file may hold, in order."""
    return sorted(class_of(preparation))


def _voxels(image: SpatialImage, path: Path) -> NDArray[np.generic]:
    if image.get_data_dtype().kind not in "biuf":
        found = f"type {image.get_data_dtype()}"
        raise ReaderError([Problem(str(path), "voxels that are whole or real numbers", found)])
    try:
        return np.asanyarray(image.dataobj)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ReaderError([Problem(str(path), "voxels that can be read to the end", _said(error))]) from None


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
