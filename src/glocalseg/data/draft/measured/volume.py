"""What one volume tells a draft: sizes, spacings, intensities, label values, how far labels lie from the centre, a small copy."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from glocalseg.data.draft.measured.stacks import Extents, Stack, stack_of
from glocalseg.data.draft.measured.tone import Tone, tone_of
from glocalseg.data.images.placement import CORNER_TOLERANCE, corners_apart, sides_of
from glocalseg.data.images.volumes import Found, count_values, look_at_image, look_at_label
from glocalseg.data.readers.base import Case, Problem
from glocalseg.data.slices.geometry import to_canonical
from glocalseg.records.progress import Progress

if TYPE_CHECKING:
    from glocalseg.data.cards.reading import Reading

AXES = "RAS"
BIN = 1.0  # mm, of the histograms of how far labels lie from the centre
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Reach:
    """How large a square around a slice's centre must be to hold a structure of a volume, by slice axis (R, A, S).

    ``side`` in mm holds all of it; ``voxels`` counts them by the side that each needs, in bins of ``BIN`` mm.
    """

    side: Vector
    voxels: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Measured:
    """One volume; what could not be read is left out, and ``problems`` say why. Sizes and spacings are along R, A, S."""

    case: Case
    problems: tuple[Problem, ...] = ()
    size: tuple[int, int, int] | None = None
    spacing: Vector | None = None
    orientation: str = ""
    channels: int = 1
    tone: Tone | None = None
    values: dict[float, int] | None = None  # voxels by label value, 0 left out; None: no label that can be used
    reach: dict[int, Reach] = field(default_factory=dict)
    stacks: dict[str, Stack] = field(default_factory=dict)  # by slice axis


def measure_all(
    reading: Reading, cases: Sequence[Case], extents: Extents | None, compared: set[str], *, workers: int
) -> list[Measured]:
    """Every case, in the order given; the result does not depend on the number of workers.

    Args:
        extents: of the copies by which volumes are compared.
        compared: the volumes that are, by name.
    """
    work = partial(_measure, reading, extents, compared)
    with Progress("measuring", len(cases), "volumes") as progress:
        found = []
        for one in _all(work, cases, workers):
            found.append(one)
            progress.add()
    return found


def _all(work: Any, cases: Sequence[Case], workers: int) -> Iterator[Measured]:
    if workers <= 1:
        yield from map(work, cases)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, cases, chunksize=2)


def header_of(path: Path) -> tuple[tuple[int, ...], NDArray[np.float64]] | None:
    """Shape and affine by the header alone, for what need not be exact; None if it cannot be read."""
    try:
        opened: Any = nib.load(path)
        return tuple(opened.shape), np.asarray(opened.affine, np.float64)
    except Exception:  # whatever is wrong with it, it is told when the file is read
        return None


def along_body(shape: Sequence[int], affine: NDArray[np.float64]) -> tuple[tuple[int, int, int], Vector] | None:
    """Size in voxels and spacing in mm along R, A, S; None if the affine does not span three directions."""
    stored = nib.orientations.io_orientation(affine)
    if np.isnan(stored).any():
        return None
    order = [int(np.flatnonzero(stored[:, 0] == axis)[0]) for axis in range(3)]
    sides = sides_of(affine)
    x, y, z = (int(shape[i]) for i in order)
    return (x, y, z), (sides[order[0]], sides[order[1]], sides[order[2]])


def _measure(reading: Reading, extents: Extents | None, compared: set[str], case: Case) -> Measured:
    image = look_at_image(reading, case.image)
    label = look_at_label(reading, case.label) if case.label is not None else None
    problems = [*image.problems, *(label.problems if label else ())]
    if image.voxels is None or image.affine is None:
        return Measured(case, tuple(problems))
    body = along_body(image.voxels.shape, image.affine)
    if body is None:
        return Measured(case, tuple(problems))
    if label is not None and (wrong := _pair_problem(case, image, label)):
        problems.append(wrong)
        label = None
    header = header_of(case.image)
    voxels = to_canonical(image.voxels, image.affine, "S")[0].transpose(1, 2, 0)  # along R, A, S
    labels = None
    if label is not None and label.voxels is not None:
        labels = to_canonical(label.voxels, image.affine, "S")[0].transpose(1, 2, 0)
    values = {v: n for v, n in count_values(labels).items() if v} if labels is not None else None
    tone = tone_of(voxels, labels)
    stacks = {}
    if extents is not None and case.volume in compared:
        stacks = {axis: stack_of(voxels, labels, body[1], axis, extents, tone) for axis in AXES}
    return Measured(
        case=case,
        problems=tuple(problems),
        size=body[0],
        spacing=body[1],
        orientation="".join(str(code) for code in nib.orientations.aff2axcodes(image.affine)),
        channels=header[0][3] if header and len(header[0]) > 3 else 1,
        tone=tone,
        values=values,
        reach=_reaches(labels, body[1]) if labels is not None else {},
        stacks=stacks,
    )


def _pair_problem(case: Case, image: Found, label: Found) -> Problem | None:
    """Why a label cannot be laid on its image; whatever else is wrong with it, verification says."""
    if image.voxels is None or image.affine is None or label.voxels is None or label.affine is None:
        return None
    if image.voxels.shape != label.voxels.shape:
        return Problem(str(case.label), f"shape {image.voxels.shape}, as the image has", f"{label.voxels.shape}")
    apart = corners_apart(image.voxels.shape, image.affine, label.affine)
    if apart > CORNER_TOLERANCE * min(sides_of(image.affine)):
        return Problem(str(case.label), "the image's affine", f"one whose corners lie {apart:.3g} mm away")
    return None


def _reaches(labels: NDArray[Any], spacing: Vector) -> dict[int, Reach]:
    """By label value; values that are no whole numbers are left out."""
    where = np.nonzero(labels)
    values = np.asarray(labels[where], np.float64)
    # twice the distance of a voxel's outer side from the centre, in mm
    sides = [(np.abs(2 * i - (n - 1)) + 1) * s for i, n, s in zip(where, labels.shape, spacing, strict=True)]
    needed = [np.maximum(sides[1], sides[2]), np.maximum(sides[0], sides[2]), np.maximum(sides[0], sides[1])]
    found = {}
    for value in np.unique(values):
        if not float(value).is_integer():
            continue
        own = [side[values == value] for side in needed]
        a, b, c = (float(side.max()) for side in own)
        counts = [np.bincount(np.ceil(side / BIN - 1e-6).astype(np.int64)) for side in own]
        found[int(value)] = Reach((a, b, c), (counts[0], counts[1], counts[2]))
    return found
