"""Small copies of volumes on a common grid, by which slices at the same place of two subjects are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glocalseg.data.draft.measured.tone import Tone

PLACES = 16  # along the slice axis, relative to the volume, as partitions are
PIXELS = 64  # rows and columns
Extents = tuple[float, float, float]  # mm along R, A, S


@dataclass(frozen=True)
class Stack:
    """A volume cut along an axis: ``image`` (PLACES, PIXELS, PIXELS) float32, 0 to 1 between the percentiles 1 and 99;
    ``label`` of that shape, values as in the file, each slice's label moved to the centre; ``areas`` by value, (PLACES,), mm2."""

    image: NDArray[np.float32] | None
    label: NDArray[np.int32] | None
    areas: dict[int, NDArray[np.float64]]


def stack_of(
    voxels: NDArray[np.float32],
    labels: NDArray[Any] | None,
    spacing: tuple[float, float, float],
    axis: str,
    extents: Extents,
    tone: Tone | None,
) -> Stack:
    """The copy of a volume whose axes go towards R, A, S.

    Args:
        spacing: mm.
        axis: across the slices, one of R, A, S.
        extents: of the common grid; the larger of the two in the plane is both its sides.
        tone: of the volume; None: no image.
    """
    k = "RAS".index(axis)
    rest = [i for i in range(3) if i != k]
    side = max(extents[i] for i in rest)
    depth = voxels.shape[k]
    places = ((np.arange(PLACES) + 0.5) * depth / PLACES).astype(np.int64)
    steps = ((np.arange(PIXELS) + 0.5) / PIXELS - 0.5) * side
    at = [np.floor(steps / spacing[i] + voxels.shape[i] / 2).astype(np.int64) for i in rest]

    image = None
    if tone is not None:
        low, high = tone.percentiles[1], tone.percentiles[3]
        planes = _sampled(np.moveaxis(voxels, k, 0), places, at)
        image = np.clip((planes - np.float32(low)) / np.float32(max(high - low, 1e-6)), 0, 1).astype(np.float32)
    if labels is None:
        return Stack(image, None, {})
    cut = np.moveaxis(labels, k, 0)[places]
    found = np.nan_to_num(np.asarray(cut, np.float64)).astype(np.int32)
    pixel = spacing[rest[0]] * spacing[rest[1]]
    areas = {int(v): np.count_nonzero(found == v, axis=(1, 2)) * pixel for v in np.unique(found) if v}
    return Stack(image, np.stack([_centred(plane, steps, spacing, rest) for plane in found]), areas)


def _sampled(volume: NDArray[Any], places: NDArray[np.int64], at: list[NDArray[np.int64]]) -> NDArray[Any]:
    """Nearest voxels of some planes at rows and columns, 0 beyond the border."""
    rows, columns = at
    inside = [(i >= 0) & (i < n) for i, n in zip(at, volume.shape[1:], strict=True)]
    taken = volume[places][:, np.clip(rows, 0, volume.shape[1] - 1)][:, :, np.clip(columns, 0, volume.shape[2] - 1)]
    return np.where(inside[0][:, None] & inside[1][None, :], taken, 0)


def _centred(
    plane: NDArray[np.int32], steps: NDArray[np.float64], spacing: tuple[float, float, float], rest: list[int]
) -> NDArray[np.int32]:
    """A slice's label around the middle of what is labelled in it."""
    rows, columns = np.nonzero(plane)
    if not len(rows):
        return np.zeros((PIXELS, PIXELS), np.int32)
    middles = (rows.mean() + 0.5, columns.mean() + 0.5)
    at = [np.floor(steps / spacing[i] + middle).astype(np.int64) for i, middle in zip(rest, middles, strict=True)]
    sampled: NDArray[np.int32] = _sampled(plane[None], np.zeros(1, np.int64), at)[0]
    return sampled
