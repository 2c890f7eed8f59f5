"""Labels that contradict those of the other volumes: too large or too small by far, without background, the other way round.

Each of them is a sound file. A label of another tool, an inverted mask, an export of two structures in the other order show only
beside the others; that a patient is unlike the others is possible as well, so these are notes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median_low
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glocalseg.data.cards.card import Card
from glocalseg.data.images.volumes import class_of
from glocalseg.data.readers.base import Note

if TYPE_CHECKING:
    from glocalseg.data.acquire.examine.case import Examined

ENOUGH = 5  # volumes that have a structure, from which one can be unlike the others
TIMES = 10.0  # by which a structure is larger or smaller than in the median volume
MOST = 0.5  # share of a volume that is labelled, from which its mask may be inverted, if it is twice the median
AGREE = 0.8  # share of the volumes in which two structures lie alike, from which the others are told
NEAR, OTHER = 0.5, -0.5  # cosine of an angle of 60 degrees to the usual direction, and of 120 degrees
NAMED = 10

Centre = tuple[float, float, float]


@dataclass(frozen=True)
class Labelled:
    """A labelled volume: voxels of every structure that it has, of all of it, and the volume of one in mm3."""

    volume: str
    structures: dict[str, int]
    voxels: int
    size: float

    @property
    def share(self) -> float:
        """Of its voxels that are labelled."""
        return sum(self.structures.values()) / self.voxels


def centres_of(
    native: NDArray[np.uint8], spacing: tuple[float, float, float], structures: Mapping[int, str]
) -> dict[str, Centre]:
    """The mean place of each structure that is there, in mm from the first voxel.

    Args:
        native: (D, H, W) classes in canonical orientation.
        spacing: mm, in that order.
    """
    centres = {}
    for number, name in structures.items():
        there = native == number
        along = [np.count_nonzero(there, axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
        if along[0].any():
            d, h, w = (float(np.average(np.arange(len(n)), weights=n)) * s for n, s in zip(along, spacing, strict=True))
            centres[name] = (d, h, w)
    return centres


def check_labels(card: Card, examined: Sequence[Examined]) -> Iterator[Note]:
    """One note for each structure, and each way in which labels are unlike the others."""
    labelled = list(_labelled(card, examined))
    for name in card.structures.values():
        yield from _sizes(card, name, [one for one in labelled if name in one.structures])
    if full := [one.volume for one in labelled if one.share == 1]:
        yield Note(card.name, f"no voxel of background in {len(full)} of {len(labelled)} labels: {named(full)}")
    if len(labelled) >= ENOUGH:
        usual = median_low(one.share for one in labelled)
        if most := [one for one in labelled if MOST < one.share < 1 and one.share >= 2 * usual]:
            said = named([f"{one.volume} ({one.share:.0%})" for one in most])
            text = f"an inverted label? {usual:.1%} of the voxels are labelled in the median volume, most in {said}"
            yield Note(card.name, text)
    yield from _directions(card, examined)


def _labelled(card: Card, examined: Sequence[Examined]) -> Iterator[Labelled]:
    classes = class_of(card.preparation)
    for one in examined:
        if one.case.label is None or one.facts is None:
            continue
        counts = dict.fromkeys(card.structures.values(), 0)
        for value, count in one.facts.values.items():
            if number := classes.get(value, 0):
                counts[card.structures[number]] += count
        there = {name: count for name, count in counts.items() if count}
        voxels, size = int(np.prod(one.facts.shape)), float(np.prod(one.facts.spacing))
        yield Labelled(one.case.volume, there, voxels, size)


def _sizes(card: Card, name: str, labelled: list[Labelled]) -> Iterator[Note]:
    single = [one.volume for one in labelled if one.structures[name] == 1]
    if single:
        yield Note(card.name, f"{name!r} is a single voxel in {len(single)} of {len(labelled)} volumes: {named(single)}")
    if len(labelled) < ENOUGH:
        return
    sizes = {one.volume: one.structures[name] * one.size for one in labelled}
    usual = median_low(sizes.values())
    far = [v for v, size in sizes.items() if max(size / usual, usual / size) >= TIMES and v not in single]
    if far:
        said = named([f"{volume} ({sizes[volume]:.4g} mm3)" for volume in far])
        yield Note(card.name, f"{name!r} has {usual:.4g} mm3 in the median volume, {TIMES:g} times more or less in {said}")


def _directions(card: Card, examined: Sequence[Examined]) -> Iterator[Note]:
    """Volumes in which one structure lies on the other side of another: swapped values, or an axis that runs the other way."""
    told: set[str] = set()
    for one, other in combinations(card.structures.values(), 2):
        ways = {
            e.case.volume: np.subtract(e.centres[other], e.centres[one])
            for e in examined
            if one in e.centres and other in e.centres
        }
        ways = {volume: way / length for volume, way in ways.items() if (length := np.linalg.norm(way)) > 0}
        if len(ways) < ENOUGH:
            continue
        usual = np.median(np.stack(list(ways.values())), axis=0)
        if not (length := np.linalg.norm(usual)) > 0:
            continue
        cosines = {volume: float(way @ usual / length) for volume, way in ways.items()}
        alike = sum(cosine >= NEAR for cosine in cosines.values())
        turned = [volume for volume, cosine in cosines.items() if cosine <= OTHER]
        if turned and alike >= AGREE * len(cosines) and not told.issuperset(turned):
            told.update(turned)
            what = f"{other!r} lies on the other side of {one!r} than in {alike} of {len(cosines)} volumes"
            yield Note(card.name, f"{what} (values swapped, or an axis reversed?): {named(turned)}")


def named(volumes: list[str]) -> str:
    """Volumes as a note has them, some of them where they are many."""
    more = f" and {len(volumes) - NAMED} more" if len(volumes) > NAMED else ""
    return ", ".join(volumes[:NAMED]) + more
