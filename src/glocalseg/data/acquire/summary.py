"""What only all cases of a data set together show: duplicates, structures that are nowhere, what resampling and the frame lose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from glocalseg.data.acquire.examine import Examined
from glocalseg.data.card import Card
from glocalseg.data.readers.base import Case, Note, Problem


def summarise(card: Card, examined: Sequence[Examined]) -> tuple[list[Problem], list[Note]]:
    """Problems and notes of a data set as a whole, beside those of its cases."""
    return list(_duplicates(examined)), []


def _duplicates(examined: Sequence[Examined]) -> Iterator[Problem]:
    first: dict[str, Case] = {}
    for one in examined:
        if one.image is None:
            continue
        if one.image in first:
            yield Problem(str(one.case.image), "an image of its own", f"the same voxels as {first[one.image].image}")
        first.setdefault(one.image, one.case)
