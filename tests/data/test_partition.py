"""Partitions: every slice is in one (paper), or the tail is in none (release)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glocalseg.data.slices.partition import NO_PARTITION, partition_borders, partition_labels

SIZES = st.integers(1, 12).flatmap(lambda s: st.tuples(st.integers(s, 200), st.just(s)))


@given(SIZES)
def test_paper_every_slice_is_in_a_partition_of_nearly_equal_size(size: tuple[int, int]) -> None:
    depth, partitions = size
    labels = partition_labels(depth, partitions, "paper")
    assert labels.shape == (depth,)
    assert (np.diff(labels) >= 0).all()
    counts = np.bincount(labels, minlength=partitions)
    assert len(counts) == partitions
    assert counts.min() >= 1
    assert counts.max() - counts.min() <= 1


@given(SIZES)
def test_release_leaves_out_the_last_q_mod_s_slices(size: tuple[int, int]) -> None:
    depth, partitions = size
    labels = partition_labels(depth, partitions, "release")
    tail = depth % partitions
    assert (labels[depth - tail :] == NO_PARTITION).all()
    assert labels[: depth - tail].tolist() == np.repeat(np.arange(partitions), depth // partitions).tolist()


@given(SIZES, st.sampled_from(["paper", "release"]))
def test_borders_increase(size: tuple[int, int], bounds) -> None:
    borders = partition_borders(*size, bounds)
    assert borders[0] == 0
    assert (np.diff(borders) > 0).all()
    assert borders[-1] == (size[0] if bounds == "paper" else size[0] - size[0] % size[1])


def test_ten_slices_in_four_partitions() -> None:
    assert partition_borders(10, 4, "paper").tolist() == [0, 3, 5, 8, 10]
    assert partition_labels(10, 4, "release").tolist() == [0, 0, 1, 1, 2, 2, 3, 3, -1, -1]


def test_seven_slices_in_four_partitions() -> None:
    assert partition_labels(7, 4, "paper").tolist() == [0, 0, 1, 1, 2, 3, 3]
    assert partition_labels(7, 4, "release").tolist() == [0, 1, 2, 3, -1, -1, -1]


@pytest.mark.parametrize("bounds", ["paper", "release"])
def test_too_few_slices_is_an_error(bounds) -> None:
    with pytest.raises(ValueError, match="4 partitions, found 3"):
        partition_borders(3, 4, bounds)
