"""The phantom's scanner: from tissues to an image as balanced cine would show it, and to its label.

Partial volume in all three directions, contrast that changes from patient to patient, uneven blood, a bias field, slices that
shift between breath-holds, and Rician noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from glocalseg.data.phantom.anatomy import F, Heart, SmoothField, Surroundings, Tissue, draw_field
from glocalseg.data.phantom.tissues import tissues

FINE = 2  # points per pixel and direction in the plane
THROUGH = (-0.3, 0.0, 0.3)  # planes per slice, as shares of the slice spacing
LABEL = {Tissue.RV: 1, Tissue.RV_TRABECULA: 1, Tissue.MYOCARDIUM: 2, Tissue.LV: 3, Tissue.PAPILLARY: 3}  # as in ACDC
BRIGHTNESS = {
    Tissue.LUNG: 0.06, Tissue.VESSEL: 0.4, Tissue.FAT: 0.85, Tissue.MUSCLE: 0.32, Tissue.LIVER: 0.42, Tissue.BONE: 0.5,
    Tissue.STOMACH: 0.75, Tissue.AORTA: 0.95, Tissue.RV_WALL: 0.34, Tissue.RV: 0.9, Tissue.RV_TRABECULA: 0.45,
    Tissue.MYOCARDIUM: 0.34, Tissue.LV: 0.95, Tissue.PAPILLARY: 0.4,
}  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """Where the voxels are: shape (X, Y, Z), spacing in mm, depth of the first slice below the base, shifts in mm."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    first: float
    shifts: NDArray[np.float64]  # (Z, 2), of the body against the grid, slice by slice

    def points(self, k: int, fine: int) -> tuple[F, F]:
        """x (X * fine,) and y (Y * fine,) in mm of ``fine`` points a pixel and direction in slice k, float32."""
        x, y = (
            ((np.arange(n * fine) + 0.5) / fine - n / 2) * s - shift
            for n, s, shift in zip(self.shape[:2], self.spacing[:2], self.shifts[k], strict=True)
        )
        return x.astype(np.float32), y.astype(np.float32)

    def depth(self, k: int) -> float:
        """Depth in mm below the base of the middle of slice k."""
        return self.first + k * self.spacing[2]


@dataclass(frozen=True)
class Contrast:
    """How bright everything is in one scan, and what the coil and the noise add."""

    levels: NDArray[np.float32]  # by Tissue
    gamma: float
    mottle: SmoothField  # uneven blood and organs
    mottle_size: float
    bias: SmoothField
    bias_size: float
    tilt: tuple[float, float]  # of the coil's sensitivity, per metre, on a logarithmic scale
    blur: float  # pixels
    noise: float  # of the brightness of blood
    scale: float  # scanner units


def draw_grid(rng: Generator, matrix: int, length: float) -> Grid:
    """A stack of 6 to 12 slices from just below the base to about the apex of a heart of the given length in mm."""
    pixel, thick = rng.uniform(1.3, 1.8), rng.uniform(8.0, 10.0)
    sides = matrix * 1.6 * rng.uniform(0.94, 1.08, 2)
    first = rng.uniform(1.0, 8.0)
    slices = int(np.clip(np.ceil((length - first + rng.uniform(-8, 8)) / thick), 6, 12))
    shape = (round(float(sides[0] / pixel)), round(float(sides[1] / pixel)), slices)
    return Grid(shape, (pixel, pixel, thick), first, rng.normal(0, 1.3, (slices, 2)).clip(-3.5, 3.5))


def draw_contrast(rng: Generator) -> Contrast:
    """The look of one scan."""
    levels = np.array([BRIGHTNESS[tissue] for tissue in Tissue]) * np.exp(rng.normal(0, 0.16, len(Tissue)))
    muscle = rng.uniform(0.7, 1.8)  # contrast of blood against muscle is what differs most between scans
    for tissue in (Tissue.RV_WALL, Tissue.RV_TRABECULA, Tissue.MYOCARDIUM, Tissue.PAPILLARY):
        levels[tissue] = BRIGHTNESS[tissue] * muscle * np.exp(rng.normal(0, 0.04))
    return Contrast(
        levels=levels.astype(np.float32),
        gamma=rng.uniform(0.75, 1.35),
        mottle=draw_field(rng, 5, (9, 35)),
        mottle_size=rng.uniform(0.03, 0.09),
        bias=draw_field(rng, 3, (110, 240)),
        bias_size=rng.uniform(0.08, 0.25),
        tilt=(float(rng.normal(0, 3.0)), float(rng.normal(2.5, 3.0))),
        blur=rng.uniform(0.4, 0.75),
        noise=rng.uniform(0.03, 0.1),
        scale=rng.uniform(150, 900),
    )


def label_of(heart: Heart, around: Surroundings, grid: Grid) -> NDArray[np.uint8]:
    """The label at every voxel's centre, (X, Y, Z): 0 background, 1 RV, 2 myocardium, 3 LV."""
    values = np.array([LABEL.get(tissue, 0) for tissue in Tissue], np.uint8)
    planes = [values[tissues(heart, around, *grid.points(k, 1), grid.depth(k))] for k in range(grid.shape[2])]
    return np.stack(planes, axis=2)


def image_of(heart: Heart, around: Surroundings, grid: Grid, contrast: Contrast, rng: Generator) -> NDArray[np.int16]:
    """The scan, (X, Y, Z) int16; ``rng`` is the noise's."""
    clean = np.stack([_slice(heart, around, grid, contrast, k) for k in range(grid.shape[2])], axis=2)
    sharp = gaussian_filter(clean, (contrast.blur, contrast.blur, 0))
    real, imaginary = rng.normal(0, contrast.noise, (2, *grid.shape))
    return np.round(contrast.scale * np.hypot(sharp + real, imaginary)).astype(np.int16)


def _slice(heart: Heart, around: Surroundings, grid: Grid, contrast: Contrast, k: int) -> F:
    """One slice before blur and noise, (X, Y) float32."""
    x, y = grid.points(k, FINE)
    planes = [tissues(heart, around, x, y, grid.depth(k) + share * grid.spacing[2]) for share in THROUGH]
    fine = np.mean([contrast.levels[plane] for plane in planes], axis=0)
    mean = fine.reshape(grid.shape[0], FINE, grid.shape[1], FINE).mean(axis=(1, 3))
    x, y = grid.points(k, 1)
    mottled = mean * (1 + contrast.mottle_size * contrast.mottle(x, y, grid.depth(k)))
    coil = contrast.bias_size * contrast.bias(x, y, grid.depth(k)) + _tilt(contrast, x, y)
    return (np.maximum(mottled, 0) ** contrast.gamma * np.exp(coil)).astype(np.float32)


def _tilt(contrast: Contrast, x: F, y: F) -> F:
    """Logarithm of the coil's sensitivity, falling off along a line: x (n,), y (m,) to (n, m)."""
    return np.add.outer(np.float32(contrast.tilt[0] / 1000) * x, np.float32(contrast.tilt[1] / 1000) * y)
