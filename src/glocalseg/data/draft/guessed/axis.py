"""The slice axis: along which of the three do slices at the same place of two subjects look most alike.

Measured on labels, because they say what is at a place: how well the areas of the structures, from slice to slice, go together
between two subjects, and how much two slices' labels overlap when both are moved to the centre. Thick slices come first, though:
where they lie half as far apart again as pixels do, any other axis cuts through what was never scanned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from glocalseg.data.draft.measured.stacks import Stack
from glocalseg.data.draft.measured.volume import AXES, Measured

THICK = 1.5  # times that slices must lie further apart than the finer of the two other spacings
FEWEST_SLICES = 4  # as many as partitions, by default
MOST = 40  # volumes that are compared, one a subject


@dataclass(frozen=True)
class Agreement:
    """How alike subjects are along an axis, means over pairs of subjects; NaN where nothing could be measured.

    ``areas``: correlation of the areas of structures from place to place, -1 to 1. ``overlap``: Dice of the labels of slices at
    the same place, 0 to 1. ``images``: correlation of the intensities of such slices, -1 to 1.
    """

    axis: str
    slices: float  # median
    spacing: float  # median, mm
    in_plane: tuple[float, float]  # medians, mm
    areas: float
    overlap: float
    images: float

    @property
    def score(self) -> float:
        """By labels where there are any."""
        return float(np.mean([self.areas, self.overlap])) if np.isfinite([self.areas, self.overlap]).all() else self.images


@dataclass(frozen=True)
class Choice:
    """The proposed axis, with what was measured along all three and ``why`` it is the one."""

    axis: str
    along: list[Agreement]
    pairs: int
    why: str


def compared_volumes(subject_of: dict[str, str], labelled: Sequence[str]) -> set[str]:
    """Volumes to be compared: the first of each subject, evenly through the subjects; with labels where two have them."""
    first = {subject_of[volume]: volume for volume in reversed(sorted(labelled if len(labelled) > 1 else subject_of))}
    chosen = sorted(first.values())
    step = np.linspace(0, len(chosen) - 1, min(MOST, len(chosen))).round().astype(int)
    return {chosen[i] for i in step}


def choose_axis(measured: Sequence[Measured]) -> Choice:
    """The slice axis for volumes of which some carry copies to compare."""
    known = [m for m in measured if m.size and m.spacing]
    sizes = np.median([m.size for m in known if m.size], axis=0)
    spacings = np.median([m.spacing for m in known if m.spacing], axis=0)
    compared = [m.stacks for m in known if m.stacks]
    along = []
    for k, axis in enumerate(AXES):
        rest = [float(spacings[i]) for i in range(3) if i != k]
        figures = _agreement([stacks[axis] for stacks in compared])
        along.append(Agreement(axis, float(sizes[k]), float(spacings[k]), (rest[0], rest[1]), *figures))
    pairs = len(compared) * (len(compared) - 1) // 2
    thick = max(along, key=lambda a: a.spacing)
    times = thick.spacing / min(thick.in_plane)
    if times >= THICK and thick.spacing > 1.01 * max(thick.in_plane):
        why = (
            f"slices lie {times:.1f} times as far apart along {thick.axis} as pixels do across it: along another axis they "
            f"would be cut through pixels of {min(thick.in_plane):.2g} x {thick.spacing:.2g} mm"
        )
        return Choice(thick.axis, along, pairs, why)
    enough = [a for a in along if a.slices >= FEWEST_SLICES] or along
    scored = [a for a in enough if np.isfinite(a.score)]
    if not scored:
        return Choice("S", along, pairs, "nothing could be compared: axial, as most images are looked at")
    best = max(scored, key=lambda a: a.score)
    by = "labels" if np.isfinite(best.areas) else "intensities"
    return Choice(best.axis, along, pairs, f"{by} agree best along {best.axis}, and voxels are nearly as long as wide")


def _agreement(stacks: Sequence[Stack]) -> tuple[float, float, float]:
    """Areas, overlap, images."""
    values = sorted({value for stack in stacks for value in stack.areas})
    areas, overlap, images = [], [], []
    for one, other in combinations(stacks, 2):
        if one.areas and other.areas and one.label is not None and other.label is not None:
            areas.append(_correlation(_profile(one, values), _profile(other, values)))
            both = np.count_nonzero(one.label) + np.count_nonzero(other.label)
            if both:
                overlap.append(2 * np.count_nonzero((one.label == other.label) & (one.label != 0)) / both)
        if one.image is not None and other.image is not None:
            images.append(_correlation(one.image.ravel(), other.image.ravel()))
    return _mean(areas), _mean(overlap), _mean(images)


def _profile(stack: Stack, values: list[int]) -> NDArray[np.float64]:
    empty = np.zeros_like(next(iter(stack.areas.values())))
    return np.concatenate([stack.areas.get(value, empty) for value in values])


def _correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    if one.std() == 0 or other.std() == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])


def _mean(found: Sequence[float]) -> float:
    kept = [f for f in found if np.isfinite(f)]
    return float(np.mean(kept)) if kept else float("nan")
