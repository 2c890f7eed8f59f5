"""PixPro: each cell, smoothed by the cells like it, meets what a momentum copy makes of the same place in the other view.

Pixel-to-propagation consistency: cells of the two views of a slice are a pair where their centres are near in the frame that
both were cropped from, and nothing repels. It shows the slices that G^{R} shows, in the same views.

Departures:
- The dense grid is the deepest map of the encoder that has at least 4 x 4 cells, joined with what is deeper, enlarged to its
  cells, so that the whole encoder is trained; in the source it is the last map, 7 x 7, which in small frames would be a single
  cell. In frames whose last map has 4 x 4 cells it is that map alone, as in the source.
- The projector is as wide as the other strategies' heads, 1024 and 128, with batch norm as in the source; its are 4096 and 256.
- The loss is the mean of 2 - 2 cos over pairs, the source's is -2 cos. A slice whose views share no place is left out of the
  mean; in the source it counts as 0.
- Both views of all slices are one batch, so batch norm's statistics are over both; in the source each view is a batch.
- Adam with the benchmark's learning rate, without weight decay; the source uses LARS.
- The momentum begins at the source's 0.99 however short the training is: after 250 steps more than a quarter of the copy is still
  its random weights, after a thousand nothing.
- Views are crops of one size with changed brightness and contrast, the source's are also mirrored, blurred and of any size.

As in its released code, propagated values are normalised, the loss on whole slices is left out, and the momentum copy runs on
statistics of its batch.

Source: Xie et al., Propagate Yourself: Exploring Pixel-Level Consistency for Unsupervised Visual Representation Learning,
CVPR 2021, arXiv 2011.10043.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import PretrainConfig
from glocalseg.methods.momentum import follow, momentum_copy
from glocalseg.methods.pretraining.base import Pretext, Slices, drawn
from glocalseg.methods.pretraining.batches.geometry import NEAR, DenseHead, cell_distances, dense_level, same_place
from glocalseg.methods.pretraining.batches.sampling import random_slices, repeated
from glocalseg.methods.pretraining.encoder.noncontrastive.byol import momentum_at
from glocalseg.networks.heads import EMBEDDING
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_views, draw_views
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task


class PixelPropagation(Pretext):
    """Random slices of all volumes, two augmented views each.

    Options:
        momentum: of the copy at the first step, in [0, 1); it rises to 1 along half a cosine.
        sharpness: power of the similarity by which cells are propagated.
        distance: cells are a pair whose centres are nearer, in diagonals of a cell.
    """

    unread = ("temperature", "partitions", "partition_bounds")
    diagnostics: ClassVar[dict[str, str]] = {
        "spread": "How much the copy's cells differ in the batch, 1 at best; at 0 all are the same, a collapse.",
        "spread_within": "How much the copy's cells differ within a map, 1 at best; at 0 all cells of a map are the same.",
        "overlapping": "Share of slices whose views have a place in common; at 0 nothing is learned.",
        "same_place": "Near 1 the dense grid encodes where a cell is in the frame, not what it shows.",
        "same_place_chance": "What same_place is where chance alone decides.",
    }
    momentum: float = Field(default=0.99, ge=0, lt=1)
    sharpness: float = Field(default=2.0, ge=1, le=10)
    distance: float = Field(default=NEAR, gt=0, le=2)

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: PretrainConfig) -> Task:
        """The encoder with a projector and the values of its propagation, and the momentum copy of encoder and projector.

        Raises:
            ConfigError: if the encoder's maps are too small.
        """
        level = dense_level(net.encoder, slices.images)
        channels = sum(cast("list[int]", net.encoder.channels)[level:])
        head = drawn(DenseHead(channels, momentum=net.momentum), "dense head", seed, device)
        value = drawn(nn.Conv2d(EMBEDDING, EMBEDDING, 1), "propagated values", seed, device)
        online = nn.ModuleDict({"encoder": net.encoder, "head": head})
        target = momentum_copy(online)
        last: dict[str, Any] = {}

        @device.compile
        def network(shown: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            with device.autocast():
                projected = head(joined(net.encoder(shown), level))
                with torch.no_grad():
                    kept = target["head"](joined(target["encoder"](shown), level))
                return projected, value(projected), kept

        def forward(shown: Tensor) -> Tensor:
            return torch.cat(network(shown))

        augment = device.compile(apply_views)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            draws = device.generator(seed, "global", step)  # as the contrastive strategies: the same views as theirs
            views = slices.pool.take(*repeated(random_slices(slices.pool, config.images // 2, draws), 2))
            draw = draw_views(views.view + 1, config.views, crop=True, generator=draws)
            projected, values, kept = network(augment(slices.images[views.slice], draw, config.views))
            start, size = cast(Tensor, draw.start), (kept.shape[2], kept.shape[3])
            pairs = cell_distances(start, start.roll(len(start) // 2, dims=0), config.views.crop, size) < self.distance
            last.update(kept=kept, views=views, pairs=pairs)
            return {EVERYTHING: consistency(propagated(projected, values, self.sharpness), kept.flatten(2), pairs)}

        def after_step(step: int) -> None:
            follow(target, online, momentum_at(step, config.steps, self.momentum))

        def diagnostics() -> dict[str, Tensor]:
            whole, within = spreads(last["kept"])
            overlapping = last["pairs"].flatten(1).any(dim=1).float().mean()
            same = same_place(last["kept"], last["views"])
            return {"spread": whole, "spread_within": within, "overlapping": overlapping, **same}

        modules = nn.ModuleDict({**online, "value": value, "target": target}).train()
        return Task(modules, losses, forward, config.images // 2 * 2, net, after_step=after_step, diagnostics=diagnostics)


def joined(maps: Sequence[Tensor], level: int) -> Tensor:
    """The encoder's map of a level with the deeper ones, each cell of them repeated: (N, sum of channels, h, w)."""
    size = maps[level].shape[2:]
    return torch.cat([maps[level], *(F.interpolate(m, size=size, mode="nearest") for m in maps[level + 1 :])], dim=1)


def propagated(projected: Tensor, values: Tensor, sharpness: float) -> Tensor:
    """The values of all cells of a map, added with the similarity of their projections to each cell's own.

    Args:
        projected, values: (N, D, h, w).
        sharpness: power of the cosine, which counts as 0 where it is negative.

    Returns:
        (N, D, h w) float32.
    """
    cells, values = (F.normalize(m.float().flatten(2), dim=1) for m in (projected, values))
    return values @ (cells.mT @ cells).clamp(min=0).pow(sharpness)


def consistency(online: Tensor, kept: Tensor, pairs: Tensor) -> Tensor:
    """Mean over slices of 2 - 2 cos from the cells of each view to the copy's cells of the other, both ways added.

    Args:
        online, kept: (2 B, D, h w), the first views of B slices and then their second ones.
        pairs: (2 B, h w, h w) bool, which cells of a view and of the other view of its slice are a pair.

    Returns:
        Scalar float32 in [0, 8]: of every view the mean over its pairs. A view without a pair is left out.
    """
    first, second = (F.normalize(cells.float(), dim=1) for cells in (online, kept.roll(len(kept) // 2, dims=0)))
    distance = (2 - 2 * (first.mT @ second)).masked_fill(~pairs, 0.0).sum(dim=(1, 2))
    count = pairs.sum(dim=(1, 2))
    return 2 * (distance / count.clamp(min=1)).sum() / (count > 0).sum().clamp(min=1)


def spreads(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Standard deviation of the unit vectors of cells (N, D, h, w), in the batch and within a map: 1 at best, 0 at a collapse.

    The root of the summed variances of all values, which is 1 where the vectors have no direction in common.
    """
    cells = F.normalize(maps.detach().float().flatten(2), dim=1)
    within = cells.var(dim=2, correction=0).sum(dim=1).mean().sqrt()
    return cells.transpose(0, 1).flatten(1).var(dim=1, correction=0).sum().sqrt(), within


METHOD = PixelPropagation
