"""Partitions of a volume along the slice axis (docs/method.md 4, D7)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glocalseg.config.model import Quirk

NO_PARTITION = -1


def partition_borders(depth: int, partitions: int, bounds: Quirk) -> NDArray[np.int64]:
    """Where partitions begin and end: partition k holds the slices from border k up to, not including, border k + 1.

    Args:
        depth: number of slices Q.
        partitions: S, at most Q.
        bounds: ``paper``: round(k * Q / S), so that every slice is in one; ``release``: k * floor(Q / S), which leaves
            out the last Q mod S slices.

    Returns:
        (S + 1,) int64, strictly increasing from 0.

    Raises:
        ValueError: if there are fewer slices than partitions.
    """
    if depth < partitions:
        raise ValueError(f"expected at least as many slices as the {partitions} partitions, found {depth}")
    k = np.arange(partitions + 1, dtype=np.int64)
    if bounds == "release":
        return k * (depth // partitions)
    return (2 * k * depth + partitions) // (2 * partitions)  # round half up, in whole numbers


def partition_labels(depth: int, partitions: int, bounds: Quirk) -> NDArray[np.int64]:
    """The partition of every slice, (depth,) int64 in 0 .. S - 1; -1 for one that none holds. Raises ValueError."""
    borders = partition_borders(depth, partitions, bounds)
    labels = np.searchsorted(borders, np.arange(depth), side="right") - 1
    return np.where(labels < partitions, labels, NO_PARTITION).astype(np.int64)
