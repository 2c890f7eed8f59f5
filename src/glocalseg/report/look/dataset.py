"""What the page says of a data set as a whole: facts and ranges, losses of each structure, lists, partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from glocalseg.data.cards.card import Card
from glocalseg.report.look.axis import span
from glocalseg.report.look.volumes import Volume
from glocalseg.report.text.colours import structure_colour
from glocalseg.report.text.datasets import intensity, share, splits
from glocalseg.report.text.datasets import volumes as counted
from glocalseg.report.text.fact import Fact


@dataclass(frozen=True)
class StructureRow:
    """A structure over all labelled volumes: in how many it is, and which share of its area is lost and by what.

    ``rare`` says whether it is not in all of them, ``cut`` whether the frame cuts so much off that it is told.
    """

    name: str
    colour: str
    volumes: str
    lost: str
    resampling: str
    frame: str
    worst: str
    rare: bool
    cut: bool


def facts(card: Card, verified: Mapping[str, Any], volumes: pd.DataFrame) -> list[Fact]:
    """Sizes and ranges of a data set.

    Args:
        card: how it is prepared.
        verified: what verification found, as the slice store holds it.
        volumes: the table of the slice store.
    """
    each = volumes.groupby("subject").size()
    with_ = f"{span(each.min(), each.max())} volume{'s' if each.max() > 1 else ''}"
    return [
        Fact("Volumes", counted(verified)),
        Fact("Subjects", f"{verified['subjects']}, with {with_} each"),
        Fact("Slices", f"counted towards {card.slice_axis}; {_range(volumes, 'depth')} in a volume, "
             f"{_range(volumes, 'spacing_depth')} mm apart"),
        Fact("Size of a slice", f"{_range(volumes, 'height')} × {_range(volumes, 'width')} voxels of "
             f"{_range(volumes, 'spacing_height')} × {_range(volumes, 'spacing_width')} mm"),
        Fact("Frame", _frame(card, volumes)),
        Fact("Intensity", intensity(card.preparation)),
        Fact("Splits", splits(card)),
    ]  # fmt: skip


def _range(volumes: pd.DataFrame, column: str) -> str:
    return span(float(volumes[column].min()), float(volumes[column].max()))


def _frame(card: Card, volumes: pd.DataFrame) -> str:
    """The frame, the slices before they are put on it, and how many volumes it cuts and how many it pads."""
    (rows, columns), (height, width) = card.frame.size, card.frame.spacing
    high, wide = volumes["resampled_height"], volumes["resampled_width"]
    cut, padded = int(((high > rows) | (wide > columns)).sum()), int(((high < rows) | (wide < columns)).sum())
    before = f"{_range(volumes, 'resampled_height')} × {_range(volumes, 'resampled_width')}"
    return (
        f"{rows} × {columns} pixels of {height:g} × {width:g} mm, that is {rows * height:.4g} × {columns * width:.4g} mm. "
        f"At this spacing slices have {before} pixels: the frame cuts off borders of {cut} of {len(volumes)} volumes and adds "
        f"some to {padded}"
    )


def structures(card: Card, volumes: Sequence[Volume]) -> list[StructureRow]:
    """A row a structure, in the order of the classes."""
    labelled = [v for v in volumes if v.labelled]
    return [_structure(number, name, labelled) for number, name in sorted(card.structures.items())]


def _structure(number: int, name: str, labelled: Sequence[Volume]) -> StructureRow:
    there = [(v, v.areas[name]) for v in labelled if name in v.areas]
    found = f"{len(there)} of {len(labelled)}"
    if not there:
        return StructureRow(name, structure_colour(number), found, "–", "–", "–", "–", rare=True, cut=False)
    native, resampled, framed = (sum(getattr(a, part) for _, a in there) for part in ("native", "resampled", "framed"))
    worst, area = max(there, key=lambda pair: pair[1].cut)
    by_frame = 1 - framed / resampled if resampled else 0.0
    return StructureRow(
        name=name,
        colour=structure_colour(number),
        volumes=found,
        lost=share(1 - framed / native),
        resampling=share(1 - resampled / native),
        frame=share(by_frame),
        worst=f"{share(area.cut)} of {worst.name}" if area.cut > 0 else "nothing",
        rare=len(there) < len(labelled),
        cut=by_frame >= 0.01,
    )
