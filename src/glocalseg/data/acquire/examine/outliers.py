"""Lengths that do not go together: a volume whose slices are larger, smaller or further apart than all the others' are.

By itself a volume of 0.8 mm from slice to slice is as plausible as one of 8 mm. Among twenty of 8 mm it is a slip of the
header. Scanners and protocols differ too: the slices of CT from one hospital lie 1 to 5 mm apart, fields of view go from 240 to
500 mm. So what is rare is told, and only what no protocol explains is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING

from glocalseg.data.cards.card import Card
from glocalseg.data.readers.base import Note, Problem
from glocalseg.data.slices.geometry import OPPOSITE

if TYPE_CHECKING:
    from glocalseg.data.acquire.examine.case import Examined, Facts
    from glocalseg.data.cards.reading import Axis

ENOUGH = 3  # volumes from which one can be unlike the others
SIDE = 2.5  # times by which rows or columns differ in mm, from which it is told
APART = 4.0  # times by which the distance of slices differs, or their sum
WRONG = 8.0  # times from which a length is an error: centimetres for millimetres, of a volume a quarter larger or smaller
# Share of the frame's rows and columns that the median slice fills: below it is told, and an error. Slices are one to two times
# as large as the frame, as a rule, and in cm for mm a tenth of that.
FILLED, EMPTY = 1 / 3, 1 / 5
NAMED = 10
ADVICE = "lengths in cm, or in m? correct the header, or leave the volume out"


@dataclass(frozen=True)
class Lengths:
    """Of a volume, in mm: from slice to slice, over all slices, over the rows and over the columns of a slice."""

    volume: str
    file: Path
    step: float
    depth: float
    height: float
    width: float


def check_lengths(card: Card, examined: Sequence[Examined]) -> tuple[list[Problem], list[Note]]:
    """Volumes whose lengths are unlike those of the others, and images that all together are small for the frame."""
    found = [_lengths(e, e.facts, card.slice_axis) for e in examined if e.facts is not None]
    problems, notes = _on_frame(card, found) if found else ([], [])
    if len(found) < ENOUGH:
        return problems, notes
    stack = median_low(one.depth for one in found)
    told: set[str] = set()
    for name, part, least in (
        ("height of the slices", "height", SIDE),
        ("width of the slices", "width", SIDE),
        ("distance from slice to slice", "step", APART),
        ("length of all slices together", "depth", APART),
    ):
        values = {one.volume: float(getattr(one, part)) for one in found}
        usual = median_low(values.values())
        far = [one for one in found if _times(values[one.volume], usual) >= least]
        wrong = [one for one in far if _times(values[one.volume], usual) >= WRONG]
        if part == "step":  # thinner slices, but as many more of them, are no slip
            wrong = [one for one in wrong if _times(one.depth, stack) >= APART]
        if part == "depth":  # follows from the distance; by itself it is a short scan, or one of the whole body
            far, wrong = [one for one in far if one.volume not in told], []
        if wrong:
            expected = f"a {name} less than {WRONG:g} times off the median of all volumes, {usual:.4g} mm"
            problems.append(Problem(_where(wrong), expected, f"{_said(wrong, part)} ({ADVICE})"))
        if odd := [one for one in far if one not in wrong]:
            notes.append(Note(card.name, f"{name}: {usual:.4g} mm is the median, far from it {_said(odd, part)}"))
        if part == "step":
            told = {one.volume for one in far}
    return problems, notes


def _lengths(one: Examined, facts: Facts, slice_axis: Axis) -> Lengths:
    rest = [a for a in "RAS" if slice_axis not in (a, OPPOSITE[a])]
    at = [next(k for k, side in enumerate(facts.orientation) if side in (a, OPPOSITE[a])) for a in (slice_axis, *rest)]
    depth, height, width = (facts.shape[k] * facts.spacing[k] for k in at)
    return Lengths(one.case.volume, one.case.image, facts.spacing[at[0]], depth, height, width)


def _on_frame(card: Card, found: list[Lengths]) -> tuple[list[Problem], list[Note]]:
    """Whether the median slice fills a plausible part of the frame, in one direction or the other."""
    (rows, columns), (high, wide) = card.frame.size, card.frame.spacing
    height, width = median_low(one.height for one in found), median_low(one.width for one in found)
    shares = height / (rows * high), width / (columns * wide)
    frame = f"{rows} x {columns} pixels of {high:g} x {wide:g} mm"
    said = f"{height:.4g} x {width:.4g} mm, {shares[0]:.0%} of the rows and {shares[1]:.0%} of the columns of {frame}"
    if max(shares) < EMPTY:
        expected = f"a median slice that fills {EMPTY:.0%} of the frame's rows or columns, or more"
        return [Problem(card.name, expected, f"{said} (lengths in cm, or in m? if not, the card's frame is too large)")], []
    if max(shares) < FILLED:
        return [], [Note(card.name, f"the median slice is small on the frame: {said}")]
    return [], []


def _times(value: float, usual: float) -> float:
    return max(value / usual, usual / value)


def _said(volumes: list[Lengths], part: str) -> str:
    more = f" and {len(volumes) - NAMED} more" if len(volumes) > NAMED else ""
    return ", ".join(f"{one.volume} ({getattr(one, part):.4g} mm)" for one in volumes[:NAMED]) + more


def _where(volumes: list[Lengths]) -> str:
    more = f" and {len(volumes) - 1} more" if len(volumes) > 1 else ""
    return f"{volumes[0].file}{more}"
