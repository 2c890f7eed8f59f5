"""Distances between the surfaces of two masks, in millimetres: computed once, for every metric that asks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt


@dataclass(frozen=True)
class SurfaceDistances:
    """From every surface voxel of a mask to the nearest surface voxel of the other: (n,) float64 in mm, both ways."""

    from_a: NDArray[np.float64]
    from_b: NDArray[np.float64]

    @property
    def both(self) -> NDArray[np.float64]:
        """Both directions in one array."""
        return np.concatenate([self.from_a, self.from_b])


def surface_distances(a: NDArray[np.bool_], b: NDArray[np.bool_], spacing: tuple[float, ...]) -> SurfaceDistances:
    """The distances between the surfaces of two masks of one shape, neither of them empty.

    Args:
        a, b: boolean masks.
        spacing: mm, in the order of the axes.

    Raises:
        ValueError: if a mask is empty, for then there is no distance.
    """
    if not (a.any() and b.any()):
        raise ValueError("surface distances: expected two masks with a voxel in each, found an empty one")
    box = _box(a | b)
    a, b = surface(a[box]), surface(b[box])
    return SurfaceDistances(_distance_to(b, spacing)[a], _distance_to(a, spacing)[b])


def surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The voxels of a mask that have a face neighbour outside it; outside is also what lies beyond the array (as medpy)."""
    return mask & ~binary_erosion(mask)


def _distance_to(surface: NDArray[np.bool_], spacing: tuple[float, ...]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = distance_transform_edt(~surface, sampling=spacing)
    return found


def _box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Bounds of a mask, the array's own border never touching it: no surface or distance changes, and it is 10 times faster."""
    bounds = [np.flatnonzero(mask.any(axis=tuple(set(range(mask.ndim)) - {axis}))) for axis in range(mask.ndim)]
    return tuple(slice(max(0, int(b[0]) - 1), int(b[-1]) + 2) for b in bounds)
