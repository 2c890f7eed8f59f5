"""Hiding cells of a grid over slices: which of them, where their pixels are, and the pixels of a cell as one row."""

from __future__ import annotations

import math

import torch
from torch import Tensor

Size = tuple[int, int]


def grid_of(size: Size, cell: int) -> Size:
    """Rows and columns of cells of ``cell`` pixels in a frame; those at the far edges may be cut."""
    return math.ceil(size[0] / cell), math.ceil(size[1] / cell)


def hidden_count(ratio: float, cells: int) -> int:
    """How many of so many cells are hidden: at least one, and not all."""
    return min(max(1, round(ratio * cells)), cells - 1)


def hidden_cells(n: int, grid: Size, ratio: float, generator: torch.Generator) -> Tensor:
    """(n, 1, h, w) float32, one where a cell is hidden: equally many cells of each of n slices, uniform without replacement."""
    cells = grid[0] * grid[1]
    rank = torch.rand(n, cells, generator=generator, device=generator.device).argsort(dim=1).argsort(dim=1)
    return (rank < hidden_count(ratio, cells)).float().view(n, 1, *grid)


def spread(cells: Tensor, size: Size, cell: int) -> Tensor:
    """Cells (N, 1, h, w) as pixels (N, 1, H, W) of a frame."""
    return cells.repeat_interleave(cell, dim=2).repeat_interleave(cell, dim=3)[:, :, : size[0], : size[1]]


def patches(images: Tensor, cell: int) -> Tensor:
    """(N, h w, cell ** 2): the pixels of each cell of images (N, 1, H, W) whose sides are multiples of ``cell``."""
    n, _, height, width = images.shape
    rows = images.reshape(n, height // cell, cell, width // cell, cell)
    return rows.transpose(2, 3).reshape(n, -1, cell**2)
