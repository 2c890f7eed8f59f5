"""Every volume of a data set as the page shows it: what it is there for, what is odd about it, and its slices."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from glocalseg.data.cards.card import Card
from glocalseg.data.slices.store import SliceStore
from glocalseg.records.progress import Progress
from glocalseg.report.look.axis import Axis
from glocalseg.report.look.losses import Area, areas
from glocalseg.report.look.strips import SLICES, evenly, strip
from glocalseg.report.text.datasets import share
from glocalseg.report.text.fact import listed

FLAGGED = 0.01  # share of a structure that the frame cuts off, from which a volume is shown first
FEW, LARGE, SMALL = 40, 176, 120  # pixels of a slice's longer side on a page of up to so many volumes, and of more


@dataclass(frozen=True)
class Mark:
    """Below a slice: its number from 1, and its partition with the colour of it; an empty one is in none."""

    slice: int
    partition: str
    colour: str


@dataclass(frozen=True)
class Half:
    """One half of a volume's slices: the image as an address that holds it, what it shows, and a mark a slice."""

    src: str
    alt: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Volume:
    """A volume before anything of it is drawn. ``flags`` are sentences about what to look at."""

    name: str
    subject: str
    labelled: bool
    depth: int
    grid: str
    roles: tuple[str, ...]
    areas: dict[str, Area]
    flags: tuple[str, ...]

    @property
    def cut(self) -> float:
        """The largest share that the frame cuts off of a structure."""
        return max((area.cut for area in self.areas.values()), default=0.0)


@dataclass(frozen=True)
class Shown:
    """A volume with its slices, and its axis as a CSS background."""

    volume: Volume
    halves: tuple[Half, ...]
    bar: str


def volumes_of_store(store: SliceStore, axis: Axis, roles: dict[str, tuple[str, ...]]) -> list[Volume]:
    """All volumes of a store: flagged ones first, the most cut off before others, then by name."""
    found = []
    with Progress("looking", len(store.volumes), "volumes") as progress:
        for row in store.volumes.to_dict("records"):
            own = areas(store, row["volume"])
            found.append(
                Volume(
                    name=row["volume"],
                    subject=row["subject"],
                    labelled=bool(row["labelled"]),
                    depth=int(row["depth"]),
                    grid=f"{row['depth']} slices of {row['height']} × {row['width']} voxels; {row['spacing_depth']:.3g} × "
                    f"{row['spacing_height']:.3g} × {row['spacing_width']:.3g} mm",
                    roles=roles.get(row["volume"], ()),
                    areas=own,
                    flags=tuple(_flags(own, labelled=row["labelled"], depth=row["depth"], axis=axis)),
                )
            )
            progress.add()
    return sorted(found, key=lambda v: (not v.flags, -v.cut if v.flags else 0.0, v.name))


def _flags(own: dict[str, Area], *, labelled: bool, depth: int, axis: Axis) -> Iterator[str]:
    for name, area in own.items():
        if not area.framed:
            yield f"nothing of {name} is left on the frame"
        elif area.cut >= FLAGGED:
            yield f"the frame cuts off {share(area.cut)} of {name}"
    if labelled and not own:
        yield "its label holds no structure"
    if depth < axis.partitions:
        yield f"{depth} slices are fewer than the {axis.partitions} partitions"


def choose(volumes: Sequence[Volume], limit: int) -> tuple[list[Volume], list[Volume]]:
    """Those that are shown and those that are only listed: the flagged ones first, of the others as many, evenly, as fit."""
    if len(volumes) <= limit:
        return list(volumes), []
    first = [v for v in volumes if v.flags][:limit]
    others = [v for v in volumes if v not in first]
    picked = {int(i) for i in np.linspace(0, len(others) - 1, limit - len(first)).round()} if limit > len(first) else set()
    shown = [*first, *(v for i, v in enumerate(others) if i in picked)]
    return shown, [v for i, v in enumerate(others) if i not in picked]


def show(store: SliceStore, card: Card, volume: Volume, axis: Axis, *, side: int) -> Shown:
    """A volume with its slices drawn.

    Args:
        side: pixels of a slice's longer side.
    """
    chosen = evenly(volume.depth)
    rows = store.rows([volume.name])[chosen]
    partitions = axis.of(volume.depth)
    outlined = f"outlines of {listed(list(volume.areas)) or 'nothing'}" if volume.labelled else "no label"
    halves = []
    for part in (slice(0, SLICES // 2), slice(SLICES // 2, SLICES)):
        if not len(rows[part]):
            continue
        drawn = strip(store.images[rows[part]], store.labels[rows[part]], spacing=card.frame.spacing, side=side)
        numbers = listed([str(k + 1) for k in chosen[part]])
        halves.append(
            Half(
                src=f"data:image/webp;base64,{base64.b64encode(drawn).decode()}",
                alt=f"{volume.name}, slices {numbers} of {volume.depth}, {outlined}",
                marks=tuple(_mark(axis, k, int(partitions[k])) for k in chosen[part]),
            )
        )
    return Shown(volume, tuple(halves), axis.bar(volume.depth))


def _mark(axis: Axis, number: int, partition: int) -> Mark:
    return Mark(number + 1, str(partition + 1) if partition >= 0 else "", axis.colour(partition))


def side_for(volumes: int) -> int:
    """Pixels of a slice's longer side on a page with so many volumes."""
    return LARGE if volumes <= FEW else SMALL
