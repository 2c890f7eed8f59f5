"""A volume as a strip of slices: what the network sees, turned upright for the eye, with the outlines of the label."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glocalseg.data.slices.geometry import OPPOSITE
from glocalseg.report.text.colours import structure_colour

if TYPE_CHECKING:
    from glocalseg.data.cards.reading import Axis

SLICES = 8  # of a volume, evenly spaced
QUALITY = 72  # of the images, of 100
EFFORT = 2  # of making them small, of 6: 7% larger than at 4, in half the time
THICK = 120  # pixels of a slice from which outlines are two pixels wide
GAP = 2  # pixels between slices
GROUND = (32, 36, 42)
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Sides:
    """Where the patient's sides are on a slice that is shown."""

    left: str
    right: str
    top: str
    bottom: str


def sides(axis: Axis) -> Sides:
    """The letters of the four edges: the patient's right or front on the left, front or head on top, as radiologists have it."""
    across, up = (a for a in "RAS" if axis not in (a, OPPOSITE[a]))
    return Sides(left=across, right=OPPOSITE[across], top=up, bottom=OPPOSITE[up])


def evenly(depth: int, count: int = SLICES) -> list[int]:
    """Up to ``count`` slices of a volume, the middles of as many equal parts, from 0."""
    shown = min(depth, count)
    return [int((2 * i + 1) * depth // (2 * shown)) for i in range(shown)]


def strip(
    images: NDArray[np.float32],
    labels: NDArray[np.uint8],
    *,
    spacing: tuple[float, float],
    side: int,
) -> bytes:
    """Slices side by side as WebP.

    Args:
        images: (n, H, W) as the network gets them; 0 is black and 1 is white.
        labels: (n, H, W) classes.
        spacing: mm of the frame's pixels, (rows, columns).
        side: pixels of a slice's longer side.
    """
    tiles = [tile(image, label, spacing=spacing, side=side) for image, label in zip(images, labels, strict=True)]
    height, width = tiles[0].shape[:2]
    whole = np.full((height, len(tiles) * (width + GAP) - GAP, 3), GROUND, np.uint8)
    for i, one in enumerate(tiles):
        whole[:, i * (width + GAP) : i * (width + GAP) + width] = one
    made = io.BytesIO()
    Image.fromarray(whole).save(made, "WEBP", quality=QUALITY, method=EFFORT)
    return made.getvalue()


def tile(image: NDArray[np.float32], label: NDArray[np.uint8], *, spacing: tuple[float, float], side: int) -> Pixels:
    """One slice, (height, width, 3) uint8: rows of the array run from right to left, columns upwards (see ``sides``)."""
    rows, columns = image.shape[0] * spacing[0], image.shape[1] * spacing[1]  # mm
    scale = side / max(rows, columns)
    size = (max(1, round(rows * scale)), max(1, round(columns * scale)))  # width, height: rows lie across
    grey = np.round(255 * np.clip(np.nan_to_num(image), 0, 1)).astype(np.uint8)
    shown = np.asarray(Image.fromarray(upright(grey)).resize(size, Image.Resampling.BILINEAR))
    coloured = np.repeat(shown[:, :, None], 3, axis=2)
    turned, line = upright(label), 2 if side >= THICK else 1
    for number in sorted(set(np.unique(turned).tolist()) - {0}):
        coloured[outline(enlarged(turned == number, size), line)] = _rgb(structure_colour(number))
    return coloured


def upright(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A slice as it is shown: the first axis of the array runs from right to left, the second upwards."""
    return np.ascontiguousarray(array.T[::-1, ::-1])


def enlarged(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask at another size (width, height): what is small stays visible where it is made smaller."""
    grey = Image.fromarray(mask.astype(np.uint8) * 255)
    if size[0] >= mask.shape[1] and size[1] >= mask.shape[0]:
        return np.asarray(grey.resize(size, Image.Resampling.NEAREST)) > 0
    part = np.asarray(grey.resize(size, Image.Resampling.BOX))
    return part >= 128 if (part >= 128).any() else part > 0


def outline(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """The outermost pixels of a mask, same shape, in a line of so many pixels."""
    inside = mask
    for _ in range(width):
        padded = np.pad(inside, 1)
        inside = inside & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inside


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
