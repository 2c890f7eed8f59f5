"""A slice of a volume drawn in millimetres: image, truth filled, prediction outlined, with its sides and a bar of its scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from glocalseg.data.slices.geometry import window
from glocalseg.report.figures.figure import INK, ON_DARK
from glocalseg.report.look.strips import Sides
from glocalseg.report.text.colours import structure_colour

GROUND = "#20242a"  # where there is no image, on light and dark pages alike
_ON_IMAGES = ON_DARK[INK]
FILL = 0.42  # how much of the truth's colour hides the image
_ROOM = 0.14  # around the structures, of their size
_FAR = 2.0  # what is predicted far from the truth widens a view up to so many times the truth's size
BAR = 0.4  # of a panel's width that a bar of scale may have
DPI = 150  # of images, as pages show them
_Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]
Pixels = NDArray[np.uint8]
Numbers = TypeVar("Numbers", float, NDArray[Any])


@dataclass(frozen=True)
class View:
    """What is shown of slices, in mm from the corner of the grid, along its first axis (x) and its second (y)."""

    x: float
    y: float
    width: float
    height: float

    def around(self, width: float, height: float, grid: tuple[float, float]) -> View:
        """Another size around the same middle, moved as far as it takes to stay on a grid of so many mm, if it is smaller."""
        x, y = self.x + (self.width - width) / 2, self.y + (self.height - height) / 2
        return View(_moved(x, width, grid[0]), _moved(y, height, grid[1]), width, height)


def _moved(start: float, length: float, grid: float) -> float:
    return min(max(start, 0.0), grid - length) if length < grid else (grid - length) / 2


@dataclass(frozen=True)
class Place:
    """Where a view lies on a sheet, whose x runs to the right and y downwards, both in inches."""

    view: View
    left: float
    top: float
    width: float
    height: float

    def inches(self, mm: float) -> float:
        """How long so many mm are."""
        return mm / self.view.width * self.width

    def mm(self, x: Numbers, y: Numbers) -> tuple[Numbers, Numbers]:
        """What lies there: the inverse of ``x`` and ``y``."""
        view = self.view
        return (
            view.x + view.width - (x - self.left) / self.width * view.width,
            view.y + view.height - (y - self.top) / self.height * view.height,
        )

    def x(self, mm: Numbers) -> Numbers:
        """The first axis of a slice runs from right to left."""
        return self.left + (self.view.x + self.view.width - mm) / self.view.width * self.width

    def y(self, mm: Numbers) -> Numbers:
        """The second axis of a slice runs upwards."""
        return self.top + (self.view.y + self.view.height - mm) / self.view.height * self.height


def shown_slices(truth: Labels, count: int) -> tuple[int, ...]:
    """At most ``count`` slices of a volume, from 0, evenly spaced inside the extent of the truth, or of all where there is none.

    Args:
        truth: (D, H, W) classes.
    """
    filled = np.flatnonzero(truth.any(axis=(1, 2)))
    first, last = (filled[0], filled[-1]) if len(filled) else (0, len(truth) - 1)
    return tuple(sorted({int(d) for d in np.linspace(first, last, count + 2)[1:-1].round()}))


def wrongest_slice(truth: Labels, predictions: Sequence[Labels]) -> int:
    """The slice on which predictions have the most wrong pixels together."""
    return int(np.sum([(labels != truth).sum(axis=(1, 2)) for labels in predictions], axis=0).argmax())


def view_of(truth: Labels, predictions: Sequence[Labels], spacing: tuple[float, float]) -> View:
    """A view of the structures, and of what is predicted near them, with some room.

    Args:
        truth: (n, H, W) of the slices that are shown.
        predictions: the same of every prediction.
        spacing: mm, (rows, columns).
    """
    there, found = (truth > 0).any(axis=0), np.zeros(truth.shape[1:], np.bool_)
    for prediction in predictions:
        found |= (prediction > 0).any(axis=0)
    base = there if there.any() else found if found.any() else np.ones_like(there)
    ends = [_reach(np.any(base, axis=1 - k), np.any(found, axis=1 - k)) for k in (0, 1)]
    (x, right), (y, top) = ((low * s, high * s) for (low, high), s in zip(ends, spacing, strict=True))
    room = 2 * _ROOM * max(right - x, top - y)
    return View(x - room / 2, y - room / 2, right - x + room, top - y + room)


def leaves(view: View, labels: Labels, spacing: tuple[float, float]) -> bool:
    """Whether something of a label (n, H, W) lies beyond a view."""
    x, y = (np.flatnonzero(labels.any(axis=axes)) * mm for axes, mm in zip(((0, 2), (0, 1)), spacing, strict=True))
    if not len(x):
        return False
    outside = (x < view.x) | (x + spacing[0] > view.x + view.width), (y < view.y) | (y + spacing[1] > view.y + view.height)
    return bool(any(o.any() for o in outside))


def _reach(base: _Mask, found: _Mask) -> tuple[int, int]:
    """From where to where along an axis: the base, and what was found as far as it is near."""
    at = np.flatnonzero(base)
    low, high = int(at[0]), int(at[-1]) + 1
    most = int((_FAR - 1) / 2 * (high - low))
    near = np.flatnonzero(found[max(0, low - most) : high + most]) + max(0, low - most)
    return (min(low, int(near[0])), max(high, int(near[-1]) + 1)) if len(near) else (low, high)


def paint(pixels: Pixels, place: Place, image: NDArray[np.float32], truth: Labels, spacing: tuple[float, float]) -> None:
    """One slice put on a sheet of pixels, DPI to the inch, upright as ``look.strips.sides`` says: the truth on the image.

    Args:
        pixels: (height, width, 4) uint8, of the whole sheet; what the slice covers is changed.
        image: (h, w) on a grid of the same extent as the truth's, NaN where nothing is known.
        truth: (H, W) classes on the native grid.
        spacing: mm of the native grid, (rows, columns).
    """
    across, down = (
        slice(round(start * DPI), round((start + length) * DPI))
        for start, length in ((place.left, place.width), (place.top, place.height))
    )
    x, y = place.mm(_middles(across) / DPI, _middles(down) / DPI)
    grid = (truth.shape[0] * spacing[0], truth.shape[1] * spacing[1])
    inside = ((x >= 0) & (x < grid[0]))[:, None] & ((y >= 0) & (y < grid[1]))
    grey = _between(image, x / grid[0], y / grid[1])
    known = inside & np.isfinite(grey)
    low, high = np.percentile(grey[known], [1, 99]) if known.any() else (0.0, 1.0)
    shown = np.clip((grey - low) / max(high - low, 1e-6), 0, 1)[:, :, None] * np.full(3, 255.0)
    rows, columns = (
        np.clip((at / mm).astype(int), 0, n - 1) for at, mm, n in zip((x, y), spacing, truth.shape, strict=True)
    )
    classes = truth[rows[:, None], columns]
    shown = np.where(known[:, :, None], shown, 255 * np.array(to_rgb(GROUND)))
    for k in _classes(classes):
        there = inside & (classes == k)
        shown[there] = (1 - FILL) * shown[there] + FILL * 255 * np.array(to_rgb(structure_colour(k)))
    pixels[down, across, :3] = np.round(shown).astype(np.uint8).transpose(1, 0, 2)
    pixels[down, across, 3] = 255


def outline(axes: Axes, place: Place, prediction: Labels, spacing: tuple[float, float]) -> None:
    """The borders of every structure of a predicted slice (H, W), on a sheet whose axes are in inches."""
    frame = Rectangle((place.left, place.top), place.width, place.height, transform=axes.transData)
    for k in _classes(prediction):
        lines = LineCollection(_border(np.equal(prediction, k), place, spacing), colors=structure_colour(k), linewidths=1.3)
        axes.add_collection(lines, autolim=False)
        lines.set_clip_path(frame)


def _middles(of: slice) -> NDArray[np.float64]:
    return np.arange(of.start, of.stop) + 0.5


def _between(image: NDArray[np.float32], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bilinear between the centres of pixels at shares of the two axes, (len(x), len(y)); NaN beside what is not known."""
    ends = []
    for share, n in zip((x, y), image.shape, strict=True):
        at = np.clip(share * n - 0.5, 0, n - 1)
        low = np.minimum(at.astype(int), max(n - 2, 0))
        ends.append((low, np.minimum(low + 1, n - 1), at - low))
    (x0, x1, dx), (y0, y1, dy) = ends
    rows = image[x0] * (1 - dx)[:, None] + image[x1] * dx[:, None]
    return np.asarray(rows[:, y0] * (1 - dy) + rows[:, y1] * dy)


def letter(axes: Axes, place: Place, sides: Sides, size: float) -> None:
    """The patient's sides at the four edges of a slice."""
    right, bottom, room = place.left + place.width, place.top + place.height, 0.03
    middle, centre = place.left + place.width / 2, place.top + place.height / 2
    _write(axes, place.left + room, centre, sides.left, size, "left", "center")
    _write(axes, right - room, centre, sides.right, size, "right", "center")
    _write(axes, middle, place.top + room, sides.top, size, "center", "top")
    _write(axes, middle, bottom - room, sides.bottom, size, "center", "bottom")


def scale_bar(axes: Axes, place: Place, mm: float) -> None:
    """A bar of so many mm in the lower left corner."""
    x, y = place.left + 0.05, place.top + place.height - 0.06
    (line,) = axes.plot([x, x + place.inches(mm)], [y, y], color=_ON_IMAGES, linewidth=2, solid_capstyle="butt")
    line.set_path_effects([withStroke(linewidth=3.4, foreground=GROUND)])


def round_length(most: float) -> float:
    """The longest of 1, 2 or 5 times a power of ten mm that is no longer than ``most``, which is above 0."""
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(step for k in (1, 2, 5) if (step := k * power) <= most * (1 + 1e-9)))


def unframe(frame: NDArray[np.float32], resampled: tuple[int, int]) -> NDArray[np.float32]:
    """A frame's slice put back on the whole resampled slice, NaN where the frame did not reach (docs/method.md 2.2, step 4)."""
    whole = np.full(resampled, np.nan, np.float32)
    (to_rows, from_rows), (to_columns, from_columns) = (window(n, m) for n, m in zip(resampled, frame.shape, strict=True))
    whole[to_rows, to_columns] = frame[from_rows, from_columns]
    return whole


def _write(axes: Axes, x: float, y: float, text: str, size: float, across: str, along: str) -> None:
    written = axes.text(x, y, text, fontsize=size, color=_ON_IMAGES, ha=across, va=along)
    written.set_path_effects([withStroke(linewidth=2, foreground=GROUND)])


def _classes(labels: Labels) -> list[int]:
    return sorted(set(np.unique(labels).tolist()) - {0})


def _border(mask: _Mask, place: Place, spacing: tuple[float, float]) -> list[NDArray[np.float64]]:
    """Strokes (2, 2) on the sheet along the edges of a mask's pixels: exact, however few pixels there are."""
    padded, parts = np.pad(mask, 1).astype(np.int8), list[NDArray[np.float64]]()
    for axis in (0, 1):
        changes = np.diff(padded, axis=axis)
        line, start, end = _strokes(changes if axis == 0 else changes.T)
        across, along = line * spacing[axis], np.stack([start - 1, end - 1]) * spacing[1 - axis]
        both = np.stack([across, across])
        ends = (place.x(both), place.y(along)) if axis == 0 else (place.x(along), place.y(both))
        parts.append(np.stack(ends, axis=-1).swapaxes(0, 1))
    return [*parts[0], *parts[1]]


def _strokes(changes: NDArray[np.int8]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Lines, starts and ends of what is not zero side by side in a line: fewer strokes than one for each pixel."""
    line, at = np.nonzero(changes)
    new = np.ones(len(line), np.bool_)
    new[1:] = (np.diff(line) != 0) | (np.diff(at) != 1)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(line))[: len(first)] - 1
    return line[first], at[first], at[last] + 1
