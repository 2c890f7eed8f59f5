"""From a scanner's grid to the network's frame: orientation, in-plane resampling, crop or pad (docs/method.md 2.2).

The way back, for probabilities, is ``geometry_torch.to_native``; both use the same pixel centres: pixel i of n covers
[i / n, (i + 1) / n] of the image's extent, whatever n is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from glocalseg.data.cards.reading import Axis

T = TypeVar("T", bound=np.generic)
OPPOSITE = {"R": "L", "A": "P", "S": "I", "L": "R", "P": "A", "I": "S"}


def to_canonical(
    array: NDArray[T], affine: NDArray[np.float64], slice_axis: Axis
) -> tuple[NDArray[T], tuple[float, float, float]]:
    """The volume as (depth, height, width), and its spacing in mm in that order; no voxel is interpolated.

    Args:
        array: (X, Y, Z), as stored.
        affine: (4, 4), voxel to RAS mm. An oblique grid is taken as the nearest right-angled one.
        slice_axis: depth is the axis nearest to this direction, slices counted towards it. Height and width are the two
            other axes in the order right, anterior, superior, each counted towards that direction.

    Raises:
        ValueError: if the affine does not span three directions.
    """
    change = _change(affine, slice_axis)
    turned: Any = nib.orientations.apply_orientation(array, change)
    return np.ascontiguousarray(turned), _spacing(change, affine)


def canonical_grid(
    shape: tuple[int, ...], affine: NDArray[np.float64], slice_axis: Axis
) -> tuple[tuple[int, int, int], tuple[float, float, float]]:
    """Depth, height and width that ``to_canonical`` would give, and the spacing in mm, of a volume that is not at hand.

    Args:
        shape, affine, slice_axis: as of ``to_canonical``.
    """
    change = _change(affine, slice_axis)
    turned = np.empty(3, np.int64)
    turned[change[:, 0].astype(int)] = shape
    return (int(turned[0]), int(turned[1]), int(turned[2])), _spacing(change, affine)


def resampled_size(native: tuple[int, int], spacing: tuple[float, float], target: tuple[float, float]) -> tuple[int, int]:
    """Rows and columns of a slice after resampling: the nearest whole number of target pixels, at least one.

    Args:
        native: rows and columns.
        spacing: mm, native (rows, columns).
        target: mm, wanted.
    """
    height, width = (max(1, int(n * s / t + 0.5)) for n, s, t in zip(native, spacing, target, strict=True))
    return height, width


def resample_image(volume: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Every slice at another size, linear, not anti-aliased, zero beyond the border: (D, h, w) to (D, *size) float32."""
    return _linear(_linear(volume, 1, size[0]), 2, size[1])


def resample_label(volume: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Every slice of a label at another size by the nearest pixel centre: (D, h, w) to (D, *size), no new value."""
    rows, columns = (_nearest(n, m) for n, m in zip(volume.shape[1:], size, strict=True))
    return volume[:, rows[:, None], columns[None, :]]


def fit(volume: NDArray[T], size: tuple[int, int]) -> NDArray[T]:
    """Every slice cut or zero-padded around its centre: (D, h, w) to (D, *size)."""
    out = np.zeros((len(volume), *size), volume.dtype)
    (from_rows, to_rows), (from_columns, to_columns) = (window(n, m) for n, m in zip(volume.shape[1:], size, strict=True))
    out[:, to_rows, to_columns] = volume[:, from_rows, from_columns]
    return out


def window(length: int, frame: int) -> tuple[slice, slice]:
    """What of an axis goes where in the frame: (part of the axis, part of the frame), floor offsets (docs/method.md 2.2.4)."""
    if length >= frame:
        start = (length - frame) // 2
        return slice(start, start + frame), slice(0, frame)
    start = (frame - length) // 2
    return slice(0, length), slice(start, start + length)


def _change(affine: NDArray[np.float64], slice_axis: Axis) -> NDArray[np.float64]:
    """nibabel's orientation array that turns stored axes to canonical ones. Raises ValueError."""
    stored = nib.orientations.io_orientation(affine)
    if np.isnan(stored).any():
        raise ValueError(f"expected an affine that spans three directions, found {np.asarray(affine).tolist()}")
    rest = [a for a in "RAS" if slice_axis not in (a, OPPOSITE[a])]
    return np.asarray(nib.orientations.ornt_transform(stored, nib.orientations.axcodes2ornt((slice_axis, *rest))))


def _spacing(change: NDArray[np.float64], affine: NDArray[np.float64]) -> tuple[float, float, float]:
    spacing = np.empty(3)
    spacing[change[:, 0].astype(int)] = nib.affines.voxel_sizes(affine)
    return float(spacing[0]), float(spacing[1]), float(spacing[2])


def _linear(volume: NDArray[np.float32], axis: int, size: int) -> NDArray[np.float32]:
    """Linear interpolation along one axis at the centres of ``size`` pixels, zero beyond the border."""
    length = volume.shape[axis]
    at = (np.arange(size) + 0.5) * (length / size) - 0.5
    low = np.floor(at).astype(np.int64)
    shape = [1] * volume.ndim
    shape[axis] = size
    weight = (at - low).astype(np.float32).reshape(shape)
    padded = np.pad(volume, [(1, 1) if a == axis else (0, 0) for a in range(volume.ndim)])
    below, above = np.take(padded, low + 1, axis), np.take(padded, np.minimum(low + 2, length + 1), axis)
    return (below * (1 - weight) + above * weight).astype(np.float32)


def _nearest(length: int, size: int) -> NDArray[np.int64]:
    """The pixel of an axis whose extent holds the centre of each of ``size`` pixels."""
    return (2 * np.arange(size, dtype=np.int64) + 1) * length // (2 * size)
