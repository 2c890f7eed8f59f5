"""Partitions of the volumes of a slice store: a fact of the pretraining, not of the store, whose slices know their place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glocalseg.config.model import ConfigError, Quirk
from glocalseg.data.slices.partition import partition_labels
from glocalseg.data.slices.store import SliceStore


def partitions_of(store: SliceStore, volumes: tuple[str, ...], partitions: int, bounds: Quirk) -> NDArray[np.int64]:
    """The partition of every slice of volumes, (n,) int64 in the order of ``store.rows``; -1 for none (D7).

    Raises:
        ConfigError: if a volume has fewer slices than there are partitions.
    """
    depth = {v: store.known[v].depth for v in volumes}
    short = [v for v in volumes if depth[v] < partitions]
    if short:
        raise ConfigError(
            f"partitions: expected at most {min(depth[v] for v in short)}, the slices of {short[0]}, found {partitions}"
        )
    labels = [partition_labels(depth[v], partitions, bounds) for v in volumes]
    return np.concatenate(labels) if labels else np.zeros(0, np.int64)
