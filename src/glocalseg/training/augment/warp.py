"""One fused resampling: crop, affine map and elastic field become a single sampling grid.

Coordinates are those of ``grid_sample`` with ``align_corners=False``: (x, y) in [-1, 1] from the outer edge of the first pixel
to the outer edge of the last.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def identity_grid(size: tuple[int, int], device: torch.device) -> Tensor:
    """Pixel centres of a frame, (H, W, 2) float32, x before y."""
    height, width = size
    ys = (torch.arange(height, device=device) + 0.5) * (2 / height) - 1
    xs = (torch.arange(width, device=device) + 0.5) * (2 / width) - 1
    return torch.stack([xs.expand(height, width), ys[:, None].expand(height, width)], dim=-1)


def crop_grid(start: Tensor, side: float, size: tuple[int, int]) -> Tensor:
    """Grid that stretches a window to the whole frame.

    Args:
        start: (N, 2) top and left edge of the window as shares of the frame, in [0, 1 - side].
        side: the window's side as a share of the frame, in (0, 1].

    Returns:
        (N, H, W, 2) float32.
    """
    offset = (2 * start.flip(1) + side - 1)[:, None, None, :]
    return identity_grid(size, start.device) * side + offset


def affine_grid(matrix: Tensor, size: tuple[int, int], displacement: Tensor | None = None) -> Tensor:
    """Grid of a backward affine map about the frame's centre, of points that an elastic field moved before.

    Args:
        matrix: (N, 2, 2) float32, applied to (x, y) in pixels, so that rotations stay rotations in frames that are not square.
        displacement: (N, H, W, 2) in pixels (x, y), or None.

    Returns:
        (N, H, W, 2) float32.
    """
    height, width = size
    # filled on the device: a tensor made of numbers would be copied to it, and the copy waited for
    half = torch.stack([torch.full((), side / 2, device=matrix.device) for side in (width, height)])
    points = identity_grid(size, matrix.device) * half
    moved = points.expand(len(matrix), height, width, 2) if displacement is None else points + displacement
    return torch.einsum("nij,nhwj->nhwi", matrix, moved) / half


def smooth_field(coarse: Tensor, size: tuple[int, int]) -> Tensor:
    """A displacement field from a coarse grid by bicubic interpolation: (N, 2, k, k) in pixels to (N, H, W, 2)."""
    return F.interpolate(coarse, size=size, mode="bicubic", align_corners=False).permute(0, 2, 3, 1)


def resample(images: Tensor, grid: Tensor) -> Tensor:
    """Images (N, C, H, W) read at a grid (N, H, W, 2), bilinear, zeros outside."""
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
