"""What the page says of a data set as a whole: what stands out, facts and ranges, losses of each structure, partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import pandas as pd

from glocalseg.data.cards.card import Card
from glocalseg.report.look.axis import Axis, span
from glocalseg.report.look.measured.odd import ENOUGH, Odd
from glocalseg.report.look.volumes import FLAGGED, Volume
from glocalseg.report.text.about.datasets import intensity, share, splits
from glocalseg.report.text.about.datasets import volumes as counted
from glocalseg.report.text.colours import structure_colour
from glocalseg.report.text.fact import Fact, listed


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


@dataclass(frozen=True)
class PartitionRow:
    """A partition: its number from 1, its colour in CSS, how many slices of a volume it has, and where each structure lies.

    ``shares`` has a text a structure: the median over volumes of the share of the structure that this partition holds.
    """

    number: int
    colour: str
    slices: str
    shares: tuple[str, ...]


def standing_out(volumes: Sequence[Volume], strange: Sequence[Odd]) -> list[str]:
    """Sentences on how many volumes have something to look at, and what it is.

    Args:
        volumes: all of a data set, with their flags.
        strange: what is odd about them.
    """
    some = [v for v in volumes if v.flags]
    few = f" With fewer than {ENOUGH} volumes none can be called unlike the others." if len(volumes) < ENOUGH else ""
    if not some:
        unlike = "" if few else ", and no volume is unlike the others"
        return [f"The frame cuts off less than {FLAGGED:.0%} of every structure in every volume{unlike}.{few}"]
    cut, odd = sum(v.measures.cut >= FLAGGED for v in some), {one.volume for one in strange}
    parts = [f"the frame cuts a structure of {cut}"] if cut else []
    parts += [f"{len(odd)} {_are(len(odd))} unlike the others"] if odd else []
    tested = sum("test" in v.roles for v in some)
    of = f"{len(some)} of {len(volumes)} volumes"
    first = f"{of} {_are(len(some))} unlike the others" if len(odd) == len(some) and not cut else f"{of} stand out"
    kinds = f" ({listed(parts)})" if parts and not first.endswith("others") else ""
    said = [f"{first}{kinds}; {tested or 'none'} of them {_are(tested or 1)} tested on.{few}"]
    by_quantity: dict[str, list[Odd]] = {}
    for one in strange:
        by_quantity.setdefault(one.quantity.name, []).append(one)
    most = sorted(by_quantity.items(), key=lambda pair: -len(pair[1]))
    if most:
        said.append(f"What is odd: {listed([f'{name} in {_sides(found)}' for name, found in most])}.")
    return said


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _sides(found: Sequence[Odd]) -> str:
    """How many lie above the median and how many below."""
    above = sum(one.deviations > 0 for one in found)
    parts = [f"{n} {side}" for n, side in ((above, "above"), (len(found) - above, "below")) if n]
    return f"{len(found)} ({listed(parts)})" if len(parts) > 1 else f"{len(found)} ({parts[0].split()[1]})"


def partition_rows(axis: Axis, volumes: Sequence[Volume], structures: Sequence[str]) -> list[PartitionRow]:
    """A row a partition, in the order of the axis; no share where no volume has the structure."""
    shares = {name: _shares(axis, volumes, name) for name in structures}
    return [
        PartitionRow(number, colour, slices, tuple(_middle(shares[name], number - 1) for name in structures))
        for number, colour, slices in axis.rows(pd.Series([v.depth for v in volumes]))
    ]


def _shares(axis: Axis, volumes: Sequence[Volume], structure: str) -> list[np.ndarray]:
    """Which share of a structure each partition holds, (partitions,) a volume that is partitioned and has the structure."""
    found = []
    for volume in volumes:
        counts, labels = volume.measures.along.get(structure), axis.of(volume.depth)
        if counts is not None and counts.any() and (labels >= 0).any():
            held = np.bincount(labels[labels >= 0], weights=counts[labels >= 0], minlength=axis.partitions)
            found.append(held / counts.sum())
    return found


def _middle(shares: Sequence[np.ndarray], partition: int) -> str:
    """The median over volumes, and what lies between the 5th and the 95th percentile."""
    if not shares:
        return "–"
    low, middle, high = (f"{100 * q:.0f}" for q in np.quantile([s[partition] for s in shares], (0.05, 0.5, 0.95)))
    return f"{middle}% ({low} to {high})" if low != high else f"{middle}%"


def decimals(volumes: Sequence[Volume], structure: str) -> int:
    """How many decimals a structure's volumes in millilitres are written with: three digits of the median."""
    values = [v.measures.ml[structure] for v in volumes if structure in v.measures.ml]
    return max(0, 2 - int(np.floor(np.log10(np.median(values))))) if values else 0


def common(names: Sequence[str]) -> str:
    """What all names begin with, up to the last mark that is no letter or digit; nothing of a single name."""
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False)) if len(names) > 1 else ()
    start = "".join(letters[0] for letters in alike)
    while start and start[-1].isalnum():
        start = start[:-1]
    return start if start not in names else ""


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
    there = [(v, v.measures.areas[name]) for v in labelled if name in v.measures.areas]
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
