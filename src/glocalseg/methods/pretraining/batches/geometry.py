"""Where the cells of a map lie in the frame that its view was cropped from, and what follows for pairs of views.

A crop of a view is a window of one side for all, stretched to the frame (``training.augment``). So the cells of the maps of two
views are equally large in the frame, and two views of a slice differ by a shift, which is counted in cells here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glocalseg.config.model import ConfigError
from glocalseg.methods.pretraining.batches.pool import Views, same
from glocalseg.networks.heads import EMBEDDING, HIDDEN

Size = tuple[int, int]
NEAR = 0.7  # diagonals of a cell: cells whose centres are nearer show the same place, as in PixPro
LEAST_CELLS = 4  # rows and columns of a map whose cells are compared with one another
APART = 0.25  # of a volume's length: slices of other volumes that are farther apart show other anatomy
MOST_PAIRS, MOST_SIDE = 8, 32  # pairs of maps, rows and columns of each, that a diagnostic looks at


# ---------------------------------------------------------------- places


def shift_in_cells(first: Tensor, second: Tensor, side: float, size: Size) -> Tensor:
    """(N, 2) how many rows and columns the second window begins after the first.

    Args:
        first, second: (N, 2) top and left edges of windows as shares of the frame.
        side: the windows' side as a share of the frame.
        size: (h, w) of the maps of the views.
    """
    return torch.stack([(second - first)[:, axis] * (size[axis] / side) for axis in (0, 1)], dim=1)


def cell_distances(first: Tensor, second: Tensor, side: float, size: Size) -> Tensor:
    """(N, h w, h w) distances in the frame from each cell of a first map to each of a second, in diagonals of a cell.

    Args: as ``shift_in_cells``.
    """
    shift = shift_in_cells(first, second, side, size)[:, :, None, None]
    rows, columns = (torch.arange(n, device=first.device) for n in size)
    down = (rows[None, :] - rows[:, None]) + shift[:, 0]  # (N, h, h)
    right = (columns[None, :] - columns[:, None]) + shift[:, 1]
    squared = down[:, :, None, :, None].square() + right[:, None, :, None, :].square()  # (N, h, w, h, w)
    return (squared / 2).sqrt().flatten(3, 4).flatten(1, 2)


def overlap_lines(shift: Tensor, side: int, lines: int, samples: int, smallest: float) -> tuple[Tensor, Tensor]:
    """Along one axis, where stretches of pixels lie that are spread over what two maps have in common, in both maps.

    The first stretch begins where the overlap begins, the last ends where it ends. A stretch has one sample a pixel; in an
    overlap shorter than ``smallest`` pixels, the picture of one of ``smallest`` pixels is shrunk to it.

    Args:
        shift: (P,) pixels by which each second map begins after its first.
        side: pixels of the maps along the axis.
        lines: stretches.
        samples: of a stretch.

    Returns:
        Places (P, lines * samples) in the first and in the second maps, in pixels from their edges.
    """
    length = side - shift.abs()
    pixel = (length / smallest).clamp(max=1)[:, None, None]
    line, sample = (torch.arange(n, device=shift.device) for n in (lines, samples))
    starts = (length[:, None, None] - samples * pixel) * (line / (lines - 1))[:, None]
    first = shift.clamp(min=0)[:, None] + (starts + (sample + 0.5) * pixel).flatten(1)
    return first, first - shift[:, None]


def read_at(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Maps (P, C, h, w) read bilinearly where rows (P, a) and columns (P, b) cross: (P, C, a, b) float32.

    Two products of matrices, whose gradients repeat to the bit on a GPU; those of ``grid_sample`` do not. Places are in pixels
    from the map's edge and are kept between the centres of the outermost pixels.
    """
    return weights_at(rows, maps.shape[2])[:, None] @ maps.float() @ weights_at(columns, maps.shape[3])[:, None].mT


def weights_at(places: Tensor, side: int) -> Tensor:
    """(P, n, side): how much of each pixel along an axis a bilinear reading at places (P, n) takes; they sum to 1."""
    pixel = torch.arange(side, device=places.device)
    return (1 - ((places - 0.5).clamp(0, side - 1)[..., None] - pixel).abs()).clamp(min=0)


def read_points(maps: Tensor, places: Tensor) -> Tensor:
    """Maps (N, C, h, w) read bilinearly at places (N, n, 2), as (x, y) of ``grid_sample``: (N, C, n) float32.

    Places are kept between the centres of the outermost pixels. By indices, whose gradients can repeat to the bit on a GPU.
    """
    height, width = maps.shape[2:]
    pixels = maps.float().flatten(2)
    x, y = (((places[..., axis] + 1) * (n / 2) - 0.5).clamp(0, n - 1) for axis, n in ((0, width), (1, height)))
    left, top = x.floor().clamp(max=width - 2), y.floor().clamp(max=height - 2)
    corners = []
    for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        weight = (1 - (y - row).abs()) * (1 - (x - column).abs())
        index = (row * width + column).long()[:, None].expand(-1, maps.shape[1], -1)
        corners.append(pixels.gather(2, index) * weight[:, None])
    return sum(corners[1:], corners[0])


# ---------------------------------------------------------------- dense grids


def dense_level(encoder: nn.Module, images: Tensor) -> int:
    """The encoder's deepest map of images (N, 1, H, W) that has at least 4 x 4 cells; leaves the encoder in inference mode.

    Raises:
        ConfigError: if none has.
    """
    with torch.no_grad():
        maps: Sequence[Tensor] = encoder.eval()(images[:1])
    fits = [i for i, m in enumerate(maps) if min(m.shape[2:]) >= LEAST_CELLS]
    if not fits:
        raise ConfigError(
            f"frame: size: expected a map of the encoder with at least {LEAST_CELLS} x {LEAST_CELLS} cells, found at most "
            f"{maps[0].shape[2]} x {maps[0].shape[3]} in frames of {images.shape[2]} x {images.shape[3]}"
        )
    return max(fits)


class DenseHead(nn.Sequential):
    """g1 cell by cell: two 1x1 convolutions without biases, ReLU between them, batch norm too if it gets a momentum.

    (N, C, h, w) to (N, 128, h, w).
    """

    def __init__(self, channels: int, *, momentum: float | None = None) -> None:
        norm = [] if momentum is None else [nn.BatchNorm2d(HIDDEN, eps=1e-3, momentum=momentum)]
        super().__init__(
            nn.Conv2d(channels, HIDDEN, 1, bias=False), *norm, nn.ReLU(inplace=True),
            nn.Conv2d(HIDDEN, EMBEDDING, 1, bias=False),
        )  # fmt: skip


# ---------------------------------------------------------------- diagnostics


def same_place(maps: Tensor, views: Views) -> dict[str, Tensor]:
    """What shows that a map encodes where a cell is in it, not what it shows.

    Args:
        maps: (N, C, h, w) of the views.

    Returns:
        ``same_place``: share of cells whose nearest feature in the map of a slice of another volume, at another position, is
        that of the same place; ``same_place_chance``: what chance gives, 1 / cells. Of large maps not every cell counts.
    """
    step = math.ceil(max(maps.shape[2:]) / MOST_SIDE)
    cells = F.normalize(maps.detach()[:, :, ::step, ::step].float().flatten(2), dim=1)
    count = torch.arange(len(maps), device=maps.device)
    apart = ~same(views.volume) & ((views.position[:, None] - views.position[None, :]).abs() > APART)
    next_apart = torch.where(apart, (count[None, :] - count[:, None]) % len(maps), len(maps)).argmin(dim=1)
    rows = count[:: math.ceil(len(maps) / MOST_PAIRS)]
    nearest = (cells[rows].mT @ cells[next_apart[rows]]).argmax(dim=2)
    share = (nearest == torch.arange(cells.shape[2], device=maps.device)).float().mean(dim=1)
    there = apart.any(dim=1)[rows]
    return {
        "same_place": (share * there).sum() / there.sum().clamp(min=1),
        "same_place_chance": torch.full((), 1 / cells.shape[2]),
    }


def matching(match: Tensor, near: Tensor) -> dict[str, Tensor]:
    """What shows whether cells that were matched by their features show the same place.

    Args:
        match: (N, h w) int64, which cell of the other view each cell was matched with.
        near: (N, h w, h w) bool, which cells of the other view show the place of a cell.

    Returns:
        ``match_true``: share of cells matched with one of their place, of those that have one; ``match_chance``: what chance
        gives; ``match_distinct``: share of cells that some cell was matched with; ``match_same_cell``: share of cells matched
        with the cell at their own place in the map.
    """
    there = near.any(dim=2).sum().clamp(min=1)
    place = torch.arange(match.shape[1], device=match.device)
    return {
        "match_true": near.gather(2, match[:, :, None]).sum() / there,
        "match_chance": near.float().mean(dim=2).sum() / there,
        "match_distinct": torch.zeros(match.shape, device=match.device).scatter(1, match, 1.0).mean(),
        "match_same_cell": (match == place).float().mean(),
    }
