"""Inpainting: the network fills in a box that was cut out of a slice.

A comparison of the paper (docs/method.md 8). The whole U-Net is trained, with a linear layer of one channel in place of its
last one, and everything but that layer is handed on.

Departures:
- Squared distance alone; the source adds an adversarial loss of weight 0.001.
- The distance is the mean over all pixels, unless the option where says hole, as in the source; which of them the paper takes
  is not released.
- The box is a share of the frame's side, which gives the authors' 100 of 192 pixels.
- Slices are shown whole with changed brightness and contrast, the target alike; the paper's set-up is not released.
- The source trains an encoder-decoder with a narrow middle on natural images; here it is the network that segments, skip
  connections included.

Source: Pathak et al., Context Encoders: Feature Learning by Inpainting, CVPR 2016, arXiv 1604.07379; one zeroed box at a
uniform place as in the authors' helper, docs/method.md 8.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from glocalseg.methods.pretraining.reconstruction import Reconstruction


class Inpainting(Reconstruction):
    """Random slices of all volumes, each without a box of its own.

    Options:
        box: the box's side as a share of the frame's, in (0, 1).
        where: pixels whose distance counts: the whole frame, or the hole alone.
    """

    unread = ("temperature", "partitions", "partition_bounds", "views.crop", "views.crop_start")
    box: float = Field(default=0.52, gt=0, lt=1)
    where: Literal["whole", "hole"] = "whole"

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        # the last place at the far edges is never drawn, as in the authors' helper
        first = (
            torch.randint(max(1, side - box_side(self.box, side)), (n,), generator=generator, device=generator.device)
            for side in size
        )
        return torch.stack(list(first), dim=1)

    def damaged(self, images: Tensor, draw: Tensor) -> tuple[Tensor, Tensor | None]:
        hole = holes(draw, (images.shape[2], images.shape[3]), self.box)
        return images * (1 - hole), hole if self.where == "hole" else None


def holes(first: Tensor, size: tuple[int, int], box: float) -> Tensor:
    """(N, 1, H, W) float32, one in a box and zero elsewhere; ``first`` (N, 2) is its first row and column."""
    rows, columns = (
        (pixel >= first[:, axis, None]) & (pixel < first[:, axis, None] + box_side(box, side))
        for axis, side in enumerate(size)
        for pixel in [torch.arange(side, device=first.device)]
    )
    return (rows[:, None, :, None] & columns[:, None, None, :]).float()


def box_side(box: float, side: int) -> int:
    """Pixels of a box's side in a frame of ``side`` pixels."""
    return max(1, round(box * side))


METHOD = Inpainting
