"""Looking at one case: all that is wrong with its two files, what is odd about them, and what becomes of it on the frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from glocalseg.data.acquire.examine.intensities import check_intensities
from glocalseg.data.acquire.examine.labels import Centre, centres_of
from glocalseg.data.acquire.examine.twins import sample_of
from glocalseg.data.acquire.examine.window import check_window
from glocalseg.data.cards.reading import Preparation, Reading
from glocalseg.data.images.placement import CORNER_TOLERANCE, corners_apart, sides_of
from glocalseg.data.images.volumes import (
    Found,
    Image,
    Label,
    class_of,
    count_values,
    known_values,
    look_at_image,
    look_at_label,
    map_labels,
)
from glocalseg.data.readers.base import Case, Note, Problem
from glocalseg.data.slices.geometry import canonical_grid, fit, resample_label, resampled_size, to_canonical
from glocalseg.data.slices.prepare import Prepared, prepare_read

SHOWN = 5  # values named in one problem
PIXELS = (8, 2048)  # of a slice on a side, at the frame's spacing


@dataclass(frozen=True)
class Facts:
    """What a case's files hold, as they are stored: ``values`` counts the voxels of every label value but 0."""

    shape: tuple[int, int, int]  # X, Y, Z
    spacing: tuple[float, float, float]  # mm, in that order
    orientation: str  # towards where X, Y and Z go, such as RAS
    values: dict[int, int]


@dataclass(frozen=True)
class Loss:
    """What is left of a structure of a volume, in mm2 summed over its slices: as labelled, after resampling, on the frame."""

    native: float
    resampled: float
    framed: float


@dataclass(frozen=True)
class Examined:
    """What one case gave: ``image`` and ``label`` are the digests of their contents, ``losses`` and ``centres`` (mm
    from the first voxel in canonical orientation) by name of the structure, ``sample`` some of the image's voxels.

    What could not be found out is None; ``prepared`` also where there are problems, or where a bias field is to be removed.
    """

    case: Case
    problems: tuple[Problem, ...] = ()
    notes: tuple[Note, ...] = ()
    image: str | None = None
    label: str | None = None
    facts: Facts | None = None
    losses: dict[str, Loss] = field(default_factory=dict)
    prepared: Prepared | None = None
    padded: bool = False  # whether the image holds the card's padding
    centres: dict[str, Centre] = field(default_factory=dict)
    sample: NDArray[np.float32] | None = field(default=None, compare=False)
    slices: int | None = None
    channels: int = 1  # volumes that the image's file holds, of which the card's is taken


def examine(reading: Reading, preparation: Preparation, case: Case) -> Examined:
    """Everything that can be said of one case; each of its files is read once, to its end.

    A bias field is not removed here, which takes minutes: percentiles are those of the image as it is.
    """
    image = look_at_image(reading, case.image)
    problems, notes, ends, padded = [*image.problems], [*image.notes], None, False
    if image.voxels is not None:
        found = check_intensities(preparation, image.voxels, case.image)
        problems, notes = problems + found.problems, notes + found.notes
        ends, padded = found.ends, found.padded
    if image.voxels is not None and image.affine is not None:
        problems += _check_scale(preparation, case.image, image.voxels.shape, image.affine)
    values: dict[float, int] = {}
    label: Found | None = None
    if case.label is not None:
        label = look_at_label(reading, case.label)
        problems, notes = problems + label.problems, notes + label.notes
        if label.voxels is not None:
            values = count_values(label.voxels)
            problems += _check_values(preparation, case.label, values)
            problems += _check_pair(case.label, image, label)
    if preparation.window is not None and image.voxels is not None and ends is not None:
        labelled = None
        if label is not None and label.voxels is not None and label.voxels.shape == image.voxels.shape:
            labelled = map_labels(preparation, label.voxels)[0] > 0
        more = check_window(preparation, image.voxels, labelled, case.image)
        problems, notes = problems + more[0], notes + more[1]
    whole_image = Image(image.voxels, image.affine) if image.voxels is not None and image.affine is not None else None
    whole_label = (
        Label(label.voxels, label.affine) if label and label.voxels is not None and label.affine is not None else None
    )
    prepared: Prepared | None = None
    losses: dict[str, Loss] = {}
    centres: dict[str, Centre] = {}
    if whole_image and not problems:
        if not preparation.bias_correction:
            prepared = prepare_read(preparation, case, whole_image, whole_label, ends=ends)
        if whole_label:
            native, spacing = _canonical(preparation, whole_label, prepared)
            losses = _losses(preparation, native, spacing)
            centres = centres_of(native, spacing, preparation.structures)
    return Examined(
        case=case,
        problems=tuple(problems),
        notes=tuple(notes),
        image=whole_image.content if whole_image else None,
        label=whole_label.content if whole_label else None,
        facts=_facts(whole_image, values) if whole_image and (case.label is None or whole_label) else None,
        losses=losses,
        prepared=prepared,
        padded=padded,
        centres=centres,
        sample=sample_of(whole_image.voxels, whole_image.affine) if whole_image else None,
        slices=_slices(preparation, whole_image) if whole_image else None,
        channels=image.channels,
    )


def _facts(image: Image, values: dict[float, int]) -> Facts:
    x, y, z = image.voxels.shape
    return Facts(
        shape=(x, y, z),
        spacing=sides_of(image.affine),
        orientation=axes_of(image.affine),
        values={int(value): count for value, count in values.items() if value and value.is_integer()},
    )


def _slices(preparation: Preparation, image: Image) -> int:
    return canonical_grid(image.voxels.shape, image.affine, preparation.slice_axis)[0][0]


def axes_of(affine: NDArray[np.float64]) -> str:
    """Towards where the stored axes go, such as RAS."""
    return "".join(str(code) for code in nib.orientations.aff2axcodes(affine))


def _canonical(
    preparation: Preparation, label: Label, prepared: Prepared | None
) -> tuple[NDArray[np.uint8], tuple[float, float, float]]:
    if prepared is not None:
        return prepared.native_label, prepared.spacing
    return to_canonical(map_labels(preparation, label.values)[0], label.affine, preparation.slice_axis)


def _losses(preparation: Preparation, native: NDArray[np.uint8], spacing: tuple[float, float, float]) -> dict[str, Loss]:
    """What resampling and frame leave of each structure that the label has."""
    size = resampled_size((native.shape[1], native.shape[2]), spacing[1:], preparation.frame.spacing)
    resampled = resample_label(native, size)
    framed = fit(resampled, preparation.frame.size)
    pixel = spacing[1] * spacing[2]
    target = pixel * native.shape[1] * native.shape[2] / (size[0] * size[1])  # what a pixel covers then, sizes being whole
    counts = [count_values(a) for a in (native, resampled, framed)]
    areas = {
        name: Loss(
            *(count.get(float(number), 0) * area for count, area in zip(counts, (pixel, target, target), strict=True))
        )
        for number, name in preparation.structures.items()
    }
    return {name: loss for name, loss in areas.items() if loss.native}


def _check_scale(
    preparation: Preparation, path: Path, shape: tuple[int, ...], affine: NDArray[np.float64]
) -> Iterator[Problem]:
    """Whether the slices are some, and of a size that a network can be shown, at the spacing of the frame."""
    (depth, *native), spacing = canonical_grid(shape, affine, preparation.slice_axis)
    frame = preparation.frame
    rows, columns = resampled_size((native[0], native[1]), spacing[1:], frame.spacing)
    if not PIXELS[0] <= min(rows, columns) <= max(rows, columns) <= PIXELS[1]:
        was = f"{native[0]} x {native[1]} of {spacing[1]:.4g} x {spacing[2]:.4g} mm"
        found = f"{rows} x {columns} at the frame's spacing, {frame.spacing[0]:g} x {frame.spacing[1]:g} mm (stored: {was})"
        yield Problem(str(path), f"slices of {PIXELS[0]} to {PIXELS[1]} pixels on a side", found)
    if depth < 2:
        found = f"{depth} (shape {shape}, slice_axis {preparation.slice_axis})"
        yield Problem(str(path), "at least 2 slices", found)


def _check_values(preparation: Preparation, path: Path, values: dict[float, int]) -> Iterator[Problem]:
    known = class_of(preparation)
    if broken := [v for v in values if not v.is_integer()]:  # NaN and infinity are no whole numbers either
        yield Problem(str(path), "whole numbers", _some(broken, values))
    if strange := [v for v in values if v.is_integer() and v not in known]:
        yield Problem(str(path), f"label values of {known_values(preparation)}", _some(strange, values))


def _check_pair(path: Path, image: Found, label: Found) -> Iterator[Problem]:
    """Whether image and label lie on one grid, and are two things."""
    if image.voxels is None or label.voxels is None:
        return
    turned = ""
    if image.affine is not None and label.affine is not None and axes_of(image.affine) != axes_of(label.affine):
        turned = f" (its axes are {axes_of(label.affine)}, the image's {axes_of(image.affine)})"
    if image.voxels.shape != label.voxels.shape:
        yield Problem(str(path), f"shape {image.voxels.shape}, as the image has", f"{label.voxels.shape}{turned}")
        return
    if image.affine is not None and label.affine is not None:
        apart = corners_apart(image.voxels.shape, image.affine, label.affine)
        near = CORNER_TOLERANCE * min(sides_of(image.affine))
        if apart > near:
            expected = f"the image's affine (corners within {near:.3g} mm)"
            yield Problem(str(path), expected, f"one whose corners lie {apart:.3g} mm away{turned}")
    if _equal(image.voxels, label.voxels):
        yield Problem(str(path), "a label of its own", "the voxels of the image")


def _equal(image: NDArray[Any], label: NDArray[Any]) -> bool:
    return all(np.array_equal(image[..., k], label[..., k]) for k in range(image.shape[2]))


def _some(values: list[float], counts: dict[float, int]) -> str:
    """Values with the digits that tell them apart, and how many voxels have them."""
    shown = [
        f"{int(v) if v.is_integer() else v!r} ({counts[v]} voxel{'s' if counts[v] != 1 else ''})" for v in values[:SHOWN]
    ]
    more = f" and {len(values) - SHOWN} more values" if len(values) > SHOWN else ""
    return ", ".join(shown) + more
