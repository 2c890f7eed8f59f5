"""Hidden cells: how many, where, as pixels and as patches, against loops."""

from __future__ import annotations

import pytest
import torch

from glocalseg.methods.pretraining.batches.masking import grid_of, hidden_cells, hidden_count, patches, spread


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("ratio", "cells", "count"), [(0.6, 36, 22), (0.6, 9, 5), (0.6, 16, 10), (0.01, 9, 1), (0.99, 9, 8), (0.5, 4, 2)]
)
def test_as_many_cells_are_hidden_of_every_slice(ratio: float, cells: int, count: int) -> None:
    assert hidden_count(ratio, cells) == count
    side = int(cells**0.5)
    found = hidden_cells(50, (side, side), ratio, generator())
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert (found.sum(dim=(1, 2, 3)) == count).all()


def test_every_cell_is_hidden_equally_often_and_slices_differ() -> None:
    found = hidden_cells(20_000, (3, 4), 0.5, generator())
    assert found.shape == (20_000, 1, 3, 4)
    assert (found.mean(dim=0) - 0.5).abs().max() < 5 * 0.5 / 20_000**0.5
    assert len(found[:100].flatten(1).unique(dim=0)) > 80


@pytest.mark.parametrize(("size", "cell"), [((6, 8), 2), ((7, 5), 3), ((4, 4), 4)])
def test_cells_are_spread_over_their_pixels(size: tuple[int, int], cell: int) -> None:
    grid = grid_of(size, cell)
    cells = torch.rand(2, 1, *grid, generator=generator())
    found = spread(cells, size, cell)
    assert found.shape == (2, 1, *size)
    for n in range(2):
        for y in range(size[0]):
            for x in range(size[1]):
                assert found[n, 0, y, x] == cells[n, 0, y // cell, x // cell]


def test_patches_are_the_pixels_of_cells_in_the_order_of_cells() -> None:
    images = torch.rand(2, 1, 6, 4, generator=generator())
    found = patches(images, 2)
    assert found.shape == (2, 6, 4)
    for n in range(2):
        for row in range(3):
            for column in range(2):
                pixels = images[n, 0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].flatten()
                assert torch.equal(found[n, 2 * row + column], pixels)
