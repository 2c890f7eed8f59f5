"""Partitions of a store's volumes: in the order of its rows, and a volume with too few slices is named."""

from __future__ import annotations

import numpy as np
import pytest

from glocalseg.config.model import ConfigError
from glocalseg.data.slices.store import SliceStore, Volume
from glocalseg.stages.partitions import partitions_of


def store(**depths: int) -> SliceStore:
    """A store of which only the depths of its volumes matter."""
    nothing = np.zeros(0)
    known = {
        name: Volume(name, name, 0, depth, 1, 1, 1.0, 1.0, 1.0, 1, 1, 0, labelled=True) for name, depth in depths.items()
    }
    return SliceStore(nothing, nothing, nothing, known, {})


def test_every_volume_has_its_own_partitions_in_the_order_asked_for() -> None:
    two = store(a=7, b=4)
    assert partitions_of(two, ("b", "a"), 4, "paper").tolist() == [0, 1, 2, 3, 0, 0, 1, 1, 2, 3, 3]
    assert partitions_of(two, ("a",), 4, "release").tolist() == [0, 1, 2, 3, -1, -1, -1]
    assert partitions_of(two, (), 4, "paper").tolist() == []


def test_a_volume_with_fewer_slices_than_partitions_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^partitions: expected at most 7, the slices of case_1, found 9$"):
        partitions_of(store(case_0=12, case_1=7), ("case_0", "case_1"), 9, "paper")
