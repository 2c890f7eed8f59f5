"""Context: the network puts small patches of a slice back that were swapped with one another.

Context restoration, a comparison of the paper (docs/method.md 8). The whole U-Net is trained, with a linear layer of one
channel in place of its last one, and everything but that layer is handed on.

Departures:
- A swap that finds no two patches apart in ten tries of its own is left out; the authors' helper has as many tries, which all
  swaps share.
- Slices are shown whole with changed brightness and contrast, the target alike; the paper's set-up is not released.
- Ten swaps of 5 x 5 pixels in every data set, as in the authors' helper; the source chooses number and size for each task. They
  change a third of a frame of 32 x 32 pixels, and a hundredth of one of 192 x 192: the smaller the frame, the harder the task.

Source: Chen et al., Self-supervised learning for medical image analysis using image context restoration, Medical Image
Analysis 58:101539, 2019; swaps as in the authors' helper, docs/method.md 8.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from glocalseg.config.model import ConfigError
from glocalseg.methods.pretraining.reconstruction import Reconstruction

TRIES = 10  # of every swap to find two patches apart: in a frame of 192 pixels all ten fail once in 10^26


class Context(Reconstruction):
    """Random slices of all volumes, each with some pairs of patches swapped.

    Options:
        swaps: pairs of patches that are swapped.
        patch: a patch's side in pixels, at most a quarter of the frame's.
    """

    unread = ("temperature", "partitions", "partition_bounds", "views.crop", "views.crop_start")
    swaps: int = Field(default=10, ge=1, le=100)
    patch: int = Field(default=5, ge=1)

    def check(self, size: tuple[int, int]) -> None:
        if self.patch > min(size) // 4:
            raise ConfigError(
                f"strategies.context.patch: expected at most {min(size) // 4}, a quarter of the frame's side, found {self.patch}"
            )

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        return patch_pairs(n, size, self.swaps, self.patch, generator)

    def damaged(self, images: Tensor, draw: Tensor) -> tuple[Tensor, Tensor | None]:
        return swapped(images, draw, self.patch), None


def patch_pairs(n: int, size: tuple[int, int], swaps: int, patch: int, generator: torch.Generator) -> Tensor:
    """(n, swaps, 2, 2) int64: first row and first column of the two patches of every swap, which do not overlap.

    Rows are uniform in {patch, ..., H - patch - 1}, columns in {patch, ..., W - patch - 1}; of ten candidates the first whose
    patches are apart is taken. Where none is, both patches are the same, and nothing is swapped.
    """
    shape = (n, swaps, TRIES, 2)
    rows, columns = (
        torch.randint(patch, side - patch, shape, generator=generator, device=generator.device) for side in size
    )
    candidates = torch.stack([rows, columns], dim=-1)  # (n, swaps, tries, patch, axis)
    apart = ((candidates[..., 0, :] - candidates[..., 1, :]).abs() >= patch).any(dim=-1)
    first = apart.to(torch.uint8).argmax(dim=2)  # of equal values the first
    chosen = candidates.gather(2, first[..., None, None, None].expand(n, swaps, 1, 2, 2)).squeeze(2)
    return torch.where(apart.any(dim=2)[..., None, None], chosen, chosen[:, :, :1])


def swapped(images: Tensor, corners: Tensor, patch: int) -> Tensor:
    """Images (N, 1, H, W) with the patches of every swap exchanged, one swap after the other.

    Pixels are those of the original image, so a later swap overwrites an earlier one where their patches meet.

    Args:
        corners: (N, swaps, 2, 2) as ``patch_pairs`` gives them.
    """
    height, width = images.shape[2:]
    to = corners.flatten(1, 2)  # (N, 2 swaps, axis): where a patch is written
    away = corners.flip(2).flatten(1, 2) - to  # how far from there its pixels are taken
    y, x = (torch.arange(side, device=images.device) for side in (height, width))
    rows = (y >= to[..., :1]) & (y < to[..., :1] + patch)
    columns = (x >= to[..., 1:]) & (x < to[..., 1:] + patch)
    # a pixel's last patch decides; 0 stands for none
    number = torch.arange(1, to.shape[1] + 1, device=images.device, dtype=torch.uint8)[:, None]
    last = ((rows * number)[..., :, None] * columns[..., None, :]).amax(dim=1)
    shift = torch.cat([torch.zeros_like(away[:, :1, 0]), away[..., 0] * width + away[..., 1]], dim=1)
    source = torch.arange(height * width, device=images.device) + shift.gather(1, last.flatten(1).long())
    return images.flatten(1).gather(1, source).view_as(images)


METHOD = Context
