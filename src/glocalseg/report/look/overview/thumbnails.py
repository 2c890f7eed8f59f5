"""Every volume as one small slice, so that all of a data set are seen at once."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from glocalseg.data.cards.card import Card
from glocalseg.data.slices.store import SliceStore
from glocalseg.records.progress import Progress
from glocalseg.report.look.strips import strip
from glocalseg.report.look.volumes import Volume, outlined

SIDE = 96  # pixels of the longer side
BYTES = 2_000_000  # of all of them, as they lie in a page


@dataclass(frozen=True)
class Thumbnail:
    """A volume's slice through the middle of its largest structure; ``slice`` is its number from 1."""

    volume: Volume
    src: str
    alt: str
    slice: int


def thumbnails(store: SliceStore, card: Card, volumes: Sequence[Volume], *, size: int = BYTES) -> list[Thumbnail]:
    """A thumbnail of each volume, in their order, as many as fit.

    Args:
        size: characters of all images at most.
    """
    found: list[Thumbnail] = []
    with Progress("thumbnails", len(volumes), "volumes") as progress:
        for volume in volumes:
            one = _thumbnail(store, card, volume)
            size -= len(one.src)
            if size < 0 and found:
                break
            found.append(one)
            progress.add()
    return found


def _thumbnail(store: SliceStore, card: Card, volume: Volume) -> Thumbnail:
    middle = volume.measures.middle
    rows = store.rows([volume.name])[middle : middle + 1]
    drawn = strip(store.images[rows], store.labels[rows], spacing=card.frame.spacing, side=SIDE)
    return Thumbnail(
        volume,
        src=f"data:image/webp;base64,{base64.b64encode(drawn).decode()}",
        alt=f"{volume.name}, slice {middle + 1} of {volume.depth}, {outlined(volume)}",
        slice=middle + 1,
    )
