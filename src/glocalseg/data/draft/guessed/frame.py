"""The frame: pixels as fine as most slices have them, and a square in which every label fits, around the centre of the slices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glocalseg.data.draft.measured.volume import AXES, BIN, Measured

MARGIN = 0.05  # of the side that labels need
# sizes that halve often enough for a deep U-Net: 32 three times, 64 four times, 96 and more five times, down to 3 pixels or more
SIZES = (32, 48, 64, *range(96, 257, 32))


@dataclass(frozen=True)
class Candidate:
    """A square frame, and what it would cut off: share of labelled voxels, volumes, and the largest share of one structure."""

    spacing: float  # mm
    size: int  # pixels
    cut: float
    volumes: int
    worst: tuple[str, float]

    @property
    def side(self) -> float:
        """In mm."""
        return self.spacing * self.size


@dataclass(frozen=True)
class Proposal:
    """The proposed frame, some others, and what they come from: spacings and the side that all labels need, in mm."""

    chosen: Candidate
    others: list[Candidate]
    spacings: tuple[float, float, float]  # in-plane: smallest, median, largest
    needed: float
    slices: tuple[float, float]  # median height and width of the slices in mm
    coarser: bool  # than the median, because the frame would be too large


def propose_frame(measured: Sequence[Measured], axis: str, values: dict[int, int], names: dict[int, str]) -> Proposal:
    """A frame for slices across an axis.

    Args:
        values: class of a label value, 0 for what counts as background.
        names: of the classes.
    """
    k = AXES.index(axis)
    rest = [i for i in range(3) if i != k]
    known = [(m.size, m.spacing) for m in measured if m.size and m.spacing]
    spacings = [spacing[i] for _, spacing in known for i in rest]
    extents = np.median([[size[i] * spacing[i] for i in rest] for size, spacing in known], axis=0)
    reaches = [
        [(values[v], reach) for v, reach in m.reach.items() if values.get(v)] for m in measured if m.values is not None
    ]
    needed = max((reach.side[k] for volume in reaches for _, reach in volume), default=float(extents.max()))
    median = _rounded(float(np.median(spacings)))
    spacing = median
    if _pixels(needed, spacing) > SIZES[-1]:
        spacing = _up(needed * (1 + MARGIN) / SIZES[-1])
    histograms = [[(c, reach.voxels[k]) for c, reach in volume] for volume in reaches]

    def candidate(spacing: float, size: int) -> Candidate:
        return _cut(spacing, size, histograms, names)

    chosen = candidate(spacing, _size(needed, spacing))
    at = SIZES.index(chosen.size)
    coarse = _up(spacing * 1.5)
    others = [candidate(spacing, size) for size in SIZES[max(0, at - 2) : at]]
    others += [candidate(coarse, _size(needed, coarse))] + [candidate(spacing, size) for size in SIZES[at + 1 : at + 2]]
    return Proposal(
        chosen,
        others,
        (min(spacings), float(np.median(spacings)), max(spacings)),
        needed,
        (float(extents[0]), float(extents[1])),
        spacing > median,
    )


def _pixels(side: float, spacing: float) -> int:
    return math.ceil(side / spacing * (1 + MARGIN)) + 1  # one for the rounding of sizes when slices are resampled


def _size(side: float, spacing: float) -> int:
    return next((size for size in SIZES if size >= _pixels(side, spacing)), SIZES[-1])


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _up(value: float) -> float:
    """Three digits, never less."""
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return float(f"{math.ceil(value / step - 1e-9) * step:.3g}")


def _cut(
    spacing: float,
    size: int,
    volumes: list[list[tuple[int, NDArray[np.int64]]]],
    names: dict[int, str],
) -> Candidate:
    side = spacing * size
    kept = int(side / BIN + 1e-6)  # bins that surely fit
    total: dict[int, int] = {}
    lost: dict[int, int] = {}
    cut = 0
    for volume in volumes:
        here = 0
        for number, counts in volume:
            total[number] = total.get(number, 0) + int(counts.sum())
            here += int(counts[kept + 1 :].sum())
            lost[number] = lost.get(number, 0) + int(counts[kept + 1 :].sum())
        cut += here > 0
    shares = {names[number]: lost[number] / total[number] for number in sorted(total) if total[number]}
    worst = max(shares.items(), key=lambda pair: pair[1], default=("", 0.0))
    share = sum(lost.values()) / max(1, sum(total.values()))
    return Candidate(spacing, size, share, cut, worst)
