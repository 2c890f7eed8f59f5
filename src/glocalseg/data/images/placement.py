"""Where the voxels of a NIfTI file lie, in millimetres: all that its header says of it, and what of that counts.

A header holds up to three geometries: an affine (sform), a rotation with voxel sides (qform), and the sides alone (pixdim).
Readers take the first and are silent about the others. Here they must agree, unless the card names the one that counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from glocalseg.data.readers.base import Note, Problem

Geometry = Literal["agree", "sform", "qform", "spacing"]

UNITS = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # code of xyzt_units to mm; 0: unknown, taken as mm
UNIT_NAMES = {1: "metres", 3: "micrometres"}
CODES = range(6)  # of sform and qform; 0: not given
SIZE_TOLERANCE = 0.01  # share by which the voxel sides of two geometries may differ
CORNER_TOLERANCE = 0.1  # share of the smallest voxel side by which a corner may lie apart
SIDES = (0.01, 50.0)  # mm, of a voxel
EXTENTS = (2.0, 3000.0)  # mm, of a volume along its longest axis
OBLIQUE = 15.0  # degrees between an axis and the body's


@dataclass(frozen=True)
class Placement:
    """``affine`` (4, 4) float64, voxel indices to mm in RAS+; None if there is none that can be used."""

    affine: NDArray[np.float64] | None
    problems: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def place(header: Nifti1Header, shape: tuple[int, ...], path: Path, *, counts: Geometry) -> Placement:
    """Where the voxels of a header lie, by the geometry that counts.

    ``spacing`` claims no orientation: the axes are taken as stored, towards right, front and top, with voxel 0 at 0 mm. So is a
    header without sform and qform.

    Args:
        shape: X, Y, Z.
        path: for what is said.
        counts: a card's ``header``.
    """
    unit = int(header["xyzt_units"]) & 7
    if unit not in UNITS:
        return Placement(
            None, [Problem(str(path), "lengths in metres, millimetres or micrometres", f"unit {unit} in xyzt_units")]
        )
    found = {name: _in_mm(affine, UNITS[unit]) for name, affine in _held(header, counts).items()}
    unusable = {name: wrong for name in found if (wrong := _unusable(header, name, found[name]))}
    told = [name for name in unusable if name != "qform" or "spacing" not in unusable]  # a qform is made of these sides
    problems = [Problem(str(path), *unusable[name]) for name in told]
    if counts not in ("agree", *found):
        problems.append(Problem(str(path), f"a {counts}, as 'header: {counts}' in the card has it", f"{counts}_code 0"))
    if problems:
        if counts == "agree" and (others := [name for name in found if name not in unusable]):
            problems[-1] = _advised(problems[-1], found, others)
        return Placement(None, problems)
    if counts == "agree" and (apart := _apart(found, shape)):
        problem = Problem(str(path), "one geometry in its header", apart)
        return Placement(None, [_advised(problem, found, list(found))])
    used = next(iter(found)) if counts == "agree" else counts
    affine = found[used]
    said = f"(its lengths are in {UNIT_NAMES[unit]})" if unit in UNIT_NAMES else ""
    problems = [Problem(str(path), *wrong) for wrong in _implausible(affine, shape, said)]
    notes = [Note(str(path), f"its lengths are in {UNIT_NAMES[unit]}: turned into mm")] if unit in UNIT_NAMES else []
    notes += [Note(str(path), text) for text in _odd(affine, used, counts)]
    return Placement(None if problems else affine, problems, [] if problems else notes)


def corners_apart(shape: tuple[int, ...], one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The largest distance in mm between the corners of a volume under two affines."""
    last = np.array(shape[:3]) - 1
    corners = np.array([[*(np.array(i) * last), 1] for i in np.ndindex(2, 2, 2)], np.float64)
    return float(np.linalg.norm((corners @ (one - other).T)[:, :3], axis=1).max())


def sides_of(affine: NDArray[np.float64]) -> tuple[float, float, float]:
    """The sides of a voxel in mm, X, Y, Z."""
    x, y, z = np.linalg.norm(affine[:3, :3], axis=0)
    return float(x), float(y), float(z)


def said_sides(affine: NDArray[np.float64]) -> str:
    """The sides of a voxel as a message has them."""
    return " x ".join(f"{s:.6g}" for s in sides_of(affine)) + " mm"


# ---------------------------------------------------------------- what a header holds


def _held(header: Nifti1Header, counts: Geometry) -> dict[str, NDArray[np.float64]]:
    """The geometries that have to be looked at, the first one first, in the header's unit."""
    held = {}
    if header["sform_code"] != 0 and counts in ("agree", "sform"):
        held["sform"] = np.asarray(header.get_sform(), np.float64)
    if header["qform_code"] != 0 and counts in ("agree", "qform"):
        held["qform"] = _qform(header)
    if counts in ("agree", "spacing"):
        held["spacing"] = np.diag([*header["pixdim"][1:4].astype(np.float64), 1.0])
    return held


def _qform(header: Nifti1Header) -> NDArray[np.float64]:
    """The affine of rotation and sides; NaN where the rotation is none. A pixdim[0] of 0 stands for 1, by the format."""
    copy = header.copy()
    copy["pixdim"][0] = -1 if header["pixdim"][0] == -1 else 1
    try:
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray(copy.get_qform(), np.float64)
    except (HeaderDataError, ValueError):
        return np.full((4, 4), np.nan)


def _in_mm(affine: NDArray[np.float64], unit: float) -> NDArray[np.float64]:
    if unit == 1:
        return affine
    return np.vstack([np.round(affine[:3] * unit, 5), affine[3:]])  # 32 bits of metres hold no more


def _unusable(header: Nifti1Header, name: str, affine: NDArray[np.float64]) -> tuple[str, str] | None:
    """What was expected of a geometry by itself, and found."""
    sides = [float(s) for s in header["pixdim"][1:4]]
    if name != "spacing" and int(header[f"{name}_code"]) not in CODES:
        return f"a {name}_code of 0 to 5", str(int(header[f"{name}_code"]))
    if name != "sform" and not (min(sides) > 0 and np.isfinite(sides).all()):
        return "voxel sides above 0 in its header", f"pixdim {_numbers(sides)}" + (
            " (used by its qform)" if name == "qform" else ""
        )
    if not np.isfinite(affine).all():
        what = "srow of " + str(affine[:3].tolist()) if name == "sform" else _quaternion(header)
        return f"a {name} of finite numbers" if name == "sform" else "a rotation in its qform", what
    with np.errstate(over="ignore"):
        volume, sides_mm = abs(float(np.linalg.det(affine[:3, :3]))), sides_of(affine)
    if not np.isfinite([volume, *sides_mm]).all() or volume <= 1e-3 * float(np.prod(sides_mm)):
        return "an affine that can be inverted", f"{name} {affine[:3].tolist()}"
    return None


def _quaternion(header: Nifti1Header) -> str:
    return (
        "quatern "
        + _numbers([float(header[f"quatern_{k}"]) for k in "bcd"])
        + ", qoffset "
        + _numbers([float(header[f"qoffset_{k}"]) for k in "xyz"])
    )


def _apart(found: dict[str, NDArray[np.float64]], shape: tuple[int, ...]) -> str | None:
    """How two geometries of a header differ, if they do."""
    names = list(found)
    for name in names[1:]:
        one, other = sides_of(found[names[0]]), sides_of(found[name])
        if max(abs(a - b) / min(a, b) for a, b in zip(one, other, strict=True)) > SIZE_TOLERANCE:
            called = "pixdim" if name == "spacing" else name
            return f"voxels of {said_sides(found[names[0]])} in {names[0]} and {said_sides(found[name])} in {called}"
    if "sform" in found and "qform" in found:
        sform, qform = found["sform"], found["qform"]
        if np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0:
            return f"sform and qform of which one is mirrored (axes {_axes(sform)} and {_axes(qform)})"
        apart = corners_apart(shape, sform, qform)
        if apart > CORNER_TOLERANCE * min(sides_of(sform)):
            return f"sform and qform whose corners lie {apart:.3g} mm apart (axes {_axes(sform)} and {_axes(qform)})"
    return None


def _advised(problem: Problem, found: dict[str, NDArray[np.float64]], names: list[str]) -> Problem:
    """The problem with what the card's ``header`` would make of it."""
    told = [
        f"'header: {name}' would take {said_sides(found[name])}"
        + (" and the axes as stored" if name == "spacing" else f" and axes {_axes(found[name])}")
        for name in names
    ]
    return Problem(problem.file, problem.expected, f"{problem.found} (in the card, {'; '.join(told)})")


# ---------------------------------------------------------------- what is odd about the one that is used


def _implausible(affine: NDArray[np.float64], shape: tuple[int, ...], said: str) -> list[tuple[str, str]]:
    sides = sides_of(affine)
    extent = max(n * s for n, s in zip(shape, sides, strict=False))
    if not SIDES[0] * 0.999 <= min(sides) <= max(sides) <= SIDES[1]:
        return [(f"voxel sides of {SIDES[0]:g} to {SIDES[1]:g} mm", f"{said_sides(affine)} {said}".strip())]
    if not EXTENTS[0] <= extent <= EXTENTS[1]:
        what = f"a volume of {EXTENTS[0]:g} to {EXTENTS[1]:g} mm along its longest axis"
        return [(what, f"{extent:.4g} mm ({tuple(shape[:3])} voxels of {said_sides(affine)}) {said}".strip())]
    return []


def _odd(affine: NDArray[np.float64], used: str, counts: Geometry) -> list[str]:
    if used == "spacing" and counts == "agree":
        if sides_of(affine) == (1, 1, 1):
            return ["taken as 1 x 1 x 1 mm, axes as stored: its header says nothing of voxel sides or orientation"]
        return [f"voxels of {said_sides(affine)}, axes as stored: its header says nothing of orientation"]
    notes = []
    if np.array_equal(affine, np.eye(4)):
        notes.append("taken as 1 x 1 x 1 mm: its affine is the identity, which often stands for none")
    cosines = np.abs(affine[:3, :3] / np.array(sides_of(affine))).max(axis=0)
    angle = float(np.degrees(np.arccos(np.clip(cosines, 0, 1))).max())
    if angle > OBLIQUE:
        notes.append(f"its axes lie up to {angle:.0f} degrees off the body's: slices are taken along the nearest one")
    return notes


def _axes(affine: NDArray[np.float64]) -> str:
    return "".join(str(code) for code in nib.orientations.aff2axcodes(affine))


def _numbers(values: list[float]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in values) + ")"
