"""The control without a network, by hand on a few slices; tests/stages/test_untrained.py runs it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from glocalseg.data.slices.store import positions
from glocalseg.methods.untrained.atlas import Atlas


def test_shares_are_means_of_the_slices_within_reach() -> None:
    labels = np.zeros((4, 1, 2), np.uint8)
    labels[1] = [[1, 2]]
    labels[2] = [[1, 0]]
    known = np.array([0.1, 0.5, 0.54, 0.9])
    found = Atlas(width=0.05).probabilities(labels, known, np.array([0.5, 0.1, 0.75]), classes=3)
    assert found.shape == (3, 3, 1, 2)
    assert found[0, :, 0].tolist() == [[0, 0.5], [1, 0], [0, 0.5]]  # slices 1 and 2
    assert found[1, :, 0].tolist() == [[1, 1], [0, 0], [0, 0]]  # slice 0
    assert found[2, :, 0].tolist() == [[1, 1], [0, 0], [0, 0]]  # none within reach: slice 3 is the nearest
    assert torch.allclose(found.sum(dim=1), torch.ones(3, 1, 2))


def test_one_volume_of_that_length_comes_back() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (9, 4, 5)).astype(np.uint8)
    found = Atlas(width=1e-3).probabilities(labels, positions(9), positions(9), classes=3)
    np.testing.assert_array_equal(found.argmax(dim=1).numpy(), labels)


def test_without_a_labelled_slice_there_is_no_atlas() -> None:
    with pytest.raises(ValueError, match="expected a labelled slice"):
        Atlas().probabilities(np.zeros((0, 2, 2), np.uint8), np.zeros(0), np.array([0.5]), classes=2)
