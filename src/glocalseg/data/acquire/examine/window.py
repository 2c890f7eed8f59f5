"""What a card's window leaves of an image: nothing, a part, or not the structures that are to be seen.

That the air around a body becomes 0 is what a window is for. That a whole body becomes 1 is what happens to CT without its
rescale intercept, whose values are 1024 too high.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glocalseg.data.acquire.examine.intensities import ENOUGH, SHARE
from glocalseg.data.cards.reading import Preparation
from glocalseg.data.readers.base import Note, Problem
from glocalseg.data.slices.intensity import outside_of

LEAST = 0.01  # of the voxels that a window must leave apart, and of the window that they must fill
NONE_BELOW = 0.001  # share of the voxels: above it there is air, below a window that begins below 0
MANY = 0.25  # share of the voxels that become 1, from which it is told where no value is below a window


@dataclass(frozen=True)
class Clipped:
    """Shares of some voxels that a window turns into 0 and into 1."""

    below: float
    above: float

    @property
    def said(self) -> str:
        """As a message has it."""
        return f"{self.below:.1%} become 0 and {self.above:.1%} become 1"


def check_window(
    preparation: Preparation, image: NDArray[np.float32], labelled: NDArray[np.bool_] | None, path: Path
) -> tuple[list[Problem], list[Note]]:
    """Problems and notes of an image that is not constant, by the card's window; none where the card has none.

    Args:
        image: X, Y, Z, finite.
        labelled: which voxels are of a structure, same shape; None without a label.
        path: of the image.
    """
    if preparation.window is None:
        return [], []
    outside = outside_of(preparation, image)
    body = image.ravel(order="K") if outside is None else image[~outside]
    if not body.size:
        return [], []
    inner = _without_edge(body)
    clipped = _clipped(inner, preparation.window)
    cause = ""
    if preparation.window[0] < 0 and clipped.below < NONE_BELOW and clipped.above:
        cause = (
            "; hardly any value lies below the window, which begins below 0: are these Hounsfield units without their rescale "
            "intercept, 1024 too high?"
        )
    if problem := _nothing_left(preparation.window, body, clipped, cause, path):
        return [problem], []
    if labelled is not None and outside is not None:
        labelled = labelled & ~outside
    if labelled is None or not labelled.any():
        if cause and clipped.above > MANY:
            said = f"of its voxels, {clipped.said} by the card's window {preparation.window}{cause}"
            return [], [Note(str(path), said)]
        return [], []
    return _of_structures(preparation.window, image[labelled], cause, path)


def _without_edge(body: NDArray[np.float32]) -> NDArray[np.float32]:
    """The voxels without those of the smallest value, if so many have it that it may be what lies around a body."""
    least = body.min()
    inner = body[body > least]
    return inner if inner.size and body.size - inner.size >= SHARE * body.size else body


def _clipped(values: NDArray[np.float32], window: tuple[float, float]) -> Clipped:
    return Clipped(*(float(np.count_nonzero(there)) / values.size for there in (values <= window[0], values >= window[1])))


def _nothing_left(
    window: tuple[float, float], body: NDArray[np.float32], clipped: Clipped, cause: str, path: Path
) -> Problem | None:
    """What is wrong if an image becomes one value, or as good as one."""
    expected = f"intensities that the card's window {window} keeps apart"
    low, high = float(body.min()), float(body.max())
    if high <= window[0] or low >= window[1]:
        return Problem(str(path), expected, f"{low:g} to {high:g}: all become {0 if high <= window[0] else 1}{cause}")
    if 1 - clipped.below - clipped.above < LEAST:
        return Problem(str(path), expected, f"{low:g} to {high:g}, of which {clipped.said}{cause}")
    first, last = np.percentile(body[:: max(1, body.size // ENOUGH)], (1, 99))
    filled = float(last - first) / (window[1] - window[0])
    if filled < LEAST and high > low:
        return Problem(str(path), expected, f"most between {first:g} and {last:g}, which is {filled:.2%} of the window")
    return None


def _of_structures(
    window: tuple[float, float], values: NDArray[np.float32], cause: str, path: Path
) -> tuple[list[Problem], list[Note]]:
    """What is said of the intensities of all structures together, if half of them or more become one value."""
    median, clipped = float(np.median(values)), _clipped(values, window)
    if window[0] < median < window[1]:
        return [], []
    said = f"of the labelled voxels, whose median is {median:g}, {clipped.said}"
    if cause and median >= window[1]:
        return [Problem(str(path), f"structures within the card's window {window}", f"that {said}{cause}")], []
    return [], [Note(str(path), f"{said} by the card's window {window}")]
