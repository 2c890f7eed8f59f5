"""Every volume of a data set as the page shows it: what it is there for, what is odd about it, and its slices."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glocalseg.data.cards.card import Card
from glocalseg.data.slices.store import SliceStore
from glocalseg.records.progress import Progress
from glocalseg.report.look.axis import Axis
from glocalseg.report.look.measured.measure import Measures
from glocalseg.report.look.measured.odd import Odd
from glocalseg.report.look.strips import SLICES, evenly, strip
from glocalseg.report.text.about.datasets import share
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
    roles: tuple[str, ...]
    measures: Measures
    flags: tuple[str, ...]

    @property
    def subject(self) -> str:
        """Whom it shows."""
        return self.measures.stored.subject

    @property
    def labelled(self) -> bool:
        """Whether it has a label."""
        return self.measures.stored.labelled

    @property
    def depth(self) -> int:
        """Number of slices."""
        return self.measures.stored.depth

    @property
    def grid(self) -> str:
        """Its native grid in words."""
        s = self.measures.stored
        spacing = f"{s.spacing_depth:.3g} × {s.spacing_height:.3g} × {s.spacing_width:.3g} mm"
        return f"{s.depth} slices of {s.height} × {s.width} voxels; {spacing}"


@dataclass(frozen=True)
class Shown:
    """A volume with its slices, and its axis as a CSS background."""

    volume: Volume
    halves: tuple[Half, ...]
    bar: str


def flagged(
    measured: Mapping[str, Measures], strange: Sequence[Odd], axis: Axis, roles: Mapping[str, tuple[str, ...]]
) -> list[Volume]:
    """All volumes of a data set: flagged ones first, the most cut off and then the oddest before others, then by name.

    Args:
        measured: by volume.
        strange: what is odd about them.
        axis: how they are partitioned.
        roles: what each is there for.
    """
    of: dict[str, list[Odd]] = {}
    for one in strange:
        of.setdefault(one.volume, []).append(one)
    found = []
    for name, measures in measured.items():
        own = sorted(of.get(name, []), key=lambda one: -abs(one.deviations))
        flags = (*_flags(measures, axis), *(one.sentence for one in own))
        far = abs(own[0].deviations) if own else 0.0
        found.append(
            ((not flags, -measures.cut if flags else 0.0, -far, name), Volume(name, roles.get(name, ()), measures, flags))
        )
    return [volume for _, volume in sorted(found, key=lambda pair: pair[0])]


def _flags(measures: Measures, axis: Axis) -> Iterator[str]:
    for name, area in measures.areas.items():
        if not area.framed:
            yield f"nothing of {name} is left on the frame"
        elif area.cut >= FLAGGED:
            yield f"the frame cuts off {share(area.cut)} of {name}"
    if measures.stored.labelled and not measures.areas:
        yield "its label holds no structure"
    if (depth := measures.stored.depth) < axis.partitions:
        yield f"{depth} slices are fewer than the {axis.partitions} partitions"


def choose(volumes: Sequence[Volume], limit: int) -> list[Volume]:
    """Those whose slices are shown: the flagged ones first, of the others as many, evenly, as fit."""
    if len(volumes) <= limit:
        return list(volumes)
    first = [v for v in volumes if v.flags][:limit]
    taken = {v.name for v in first}
    others = [v for v in volumes if v.name not in taken]
    picked = {int(i) for i in np.linspace(0, len(others) - 1, limit - len(first)).round()} if limit > len(first) else set()
    return [*first, *(v for i, v in enumerate(others) if i in picked)]


def strips_of(store: SliceStore, card: Card, chosen: Sequence[Volume], axis: Axis, *, size: int) -> list[Shown]:
    """Volumes with their slices drawn, in their order, as many as fit but one at least.

    Args:
        size: characters of all images at most.
    """
    shown: list[Shown] = []
    with Progress("slices", len(chosen), "volumes") as progress:
        for volume in chosen:
            one = show(store, card, volume, axis, side=side_for(len(chosen)))
            size -= sum(len(half.src) for half in one.halves)
            if size < 0 and shown:
                break
            shown.append(one)
            progress.add()
    return shown


def show(store: SliceStore, card: Card, volume: Volume, axis: Axis, *, side: int) -> Shown:
    """A volume with its slices drawn.

    Args:
        side: pixels of a slice's longer side.
    """
    chosen = evenly(volume.depth)
    rows = store.rows([volume.name])[chosen]
    partitions = axis.of(volume.depth)
    halves = []
    for part in (slice(0, SLICES // 2), slice(SLICES // 2, SLICES)):
        if not len(rows[part]):
            continue
        drawn = strip(store.images[rows[part]], store.labels[rows[part]], spacing=card.frame.spacing, side=side)
        numbers = listed([str(k + 1) for k in chosen[part]])
        halves.append(
            Half(
                src=f"data:image/webp;base64,{base64.b64encode(drawn).decode()}",
                alt=f"{volume.name}, slices {numbers} of {volume.depth}, {outlined(volume)}",
                marks=tuple(_mark(axis, k, int(partitions[k])) for k in chosen[part]),
            )
        )
    return Shown(volume, tuple(halves), axis.bar(volume.depth))


def outlined(volume: Volume) -> str:
    """What is outlined on its slices, in words."""
    return f"outlines of {listed(list(volume.measures.areas)) or 'nothing'}" if volume.labelled else "no label"


def _mark(axis: Axis, number: int, partition: int) -> Mark:
    return Mark(number + 1, str(partition + 1) if partition >= 0 else "", axis.colour(partition))


def side_for(volumes: int) -> int:
    """Pixels of a slice's longer side on a page with so many volumes."""
    return LARGE if volumes <= FEW else SMALL
