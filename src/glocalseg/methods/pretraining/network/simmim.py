"""SimMIM: the network restores patches of a slice that were hidden, and is judged on their pixels alone.

Masked image modelling in its simplest form. The whole U-Net is trained, with a linear layer of one channel in place of its last
one, and everything but that layer is handed on.

Departures:
- Hidden pixels are shown as zero, the background's value; the source puts a learned token there, behind a transformer's first
  layer, which a U-Net has not.
- The network that segments is trained, skip connections included; the source trains an encoder, with one linear layer behind it.
- A patch is a share of the frame's side, the source's 32 of 192 pixels; those at the far edges are cut where the frame is no
  multiple of it.
- Slices are shown whole with changed brightness and contrast, the target alike; the source shows crops of any size, mirrored.
- Adam with the benchmark's learning rate, without weight decay; the source uses AdamW.

As in its released code, equally many patches of every image are hidden, and the distance is absolute.

Source: Xie et al., SimMIM: A Simple Framework for Masked Image Modeling, CVPR 2022, arXiv 2111.09886.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import PretrainConfig
from glocalseg.methods.pretraining.base import Pretext, Slices, drawn
from glocalseg.methods.pretraining.batches.masking import Size, grid_of, hidden_cells, spread
from glocalseg.methods.pretraining.batches.sampling import random_slices
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_views, draw_views
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task


class MaskedPatches(Pretext):
    """Random slices of all volumes, each with patches of its own hidden.

    Options:
        ratio: share of the patches that are hidden, in (0, 1).
        patch: a patch's side as a share of the frame's shorter one, at most 0.5.
    """

    unread = ("temperature", "partitions", "partition_bounds", "views.crop", "views.crop_start")
    diagnostics: ClassVar[dict[str, str]] = {
        "zero": "What the loss is where the network restores nothing; at it, nothing was learned.",
        "patch_mean": "What the loss is where each patch is filled with its own mean; below it, structures are restored.",
    }
    ratio: float = Field(default=0.6, gt=0, lt=1)
    patch: float = Field(default=1 / 6, gt=0, le=0.5)

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: PretrainConfig) -> Task:
        """The U-Net with a linear layer of one channel in place of its last, and the distance in hidden patches."""
        size = (slices.images.shape[2], slices.images.shape[3])
        cell = patch_side(self.patch, size)
        hidden_layers = net.head[:-1]
        last_layer = drawn(nn.Conv2d(net.decoder.channels[-1], 1, 3, padding=1, bias=False), "pixels", seed, device)
        last: dict[str, Any] = {}

        @device.compile
        def forward(shown: Tensor) -> Tensor:
            with device.autocast():
                return last_layer(hidden_layers(net.decoder(net.encoder(shown))))

        augment = device.compile(apply_views)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            draws = device.generator(seed, "masking", step)
            index = random_slices(slices.pool, config.images, draws)
            draw = draw_views(torch.ones_like(index), config.views, crop=False, generator=draws)
            target = augment(slices.images[slices.pool.row[index]], draw, config.views)
            hidden = spread(hidden_cells(config.images, grid_of(size, cell), self.ratio, draws), size, cell)
            last.update(target=target, hidden=hidden)
            return {EVERYTHING: hidden_distance(forward(target * (1 - hidden)), target, hidden)}

        def diagnostics() -> dict[str, Tensor]:
            target, hidden = last["target"], last["hidden"]
            return {
                "zero": hidden_distance(torch.zeros_like(target), target, hidden),
                "patch_mean": hidden_distance(cell_means(target, cell), target, hidden),
            }

        parts = {"encoder": net.encoder, "decoder": net.decoder, "head": hidden_layers, "pixels": last_layer}
        return Task(nn.ModuleDict(parts).train(), losses, forward, config.images, net, diagnostics=diagnostics)


def patch_side(patch: float, size: Size) -> int:
    """Pixels of a patch's side in a frame."""
    return max(1, round(patch * min(size)))


def hidden_distance(restored: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """Mean absolute distance of images (N, 1, H, W) over the pixels where ``hidden`` is one; scalar float32."""
    return (hidden * (restored.float() - target).abs()).sum() / hidden.sum()


def cell_means(images: Tensor, cell: int) -> Tensor:
    """Images (N, 1, H, W) with every cell filled with its mean."""
    means = F.avg_pool2d(images, cell, ceil_mode=True)  # over the pixels that a cut cell has
    return spread(means, (images.shape[2], images.shape[3]), cell)


METHOD = MaskedPatches
