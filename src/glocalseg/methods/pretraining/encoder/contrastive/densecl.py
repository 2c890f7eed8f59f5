"""DenseCL: as G^{R}, and each cell of a view's map attracts the cell of the other view whose features are most like its own.

Dense contrastive learning. It shows the slices that G^{R} shows, in the same views, and its loss on whole slices is that of
G^{R}, so that the dense loss is what differs. A cell's partner is found by the encoder's own features, without knowing how the
views were cropped; averaged maps of other slices repel it.

Departures:
- Views of other slices of the batch repel; the source keeps a queue of 65,536 from a momentum copy of the network, which would
  hold each of a few thousand slices many times, and in short trainings what the copy was at their beginning.
- So there is no momentum copy: each view is compared with the other in both directions, and gradients reach both.
- The dense grid is the deepest map of the encoder that has at least 4 x 4 cells; in the source it is the last one, 7 x 7, which
  in small frames would be a single cell. What lies deeper is trained by the loss on whole slices.
- The head on whole slices is that of the other global strategies, the dense one is as wide cell by cell; the source projects
  the averaged map, and both through 2048.
- The temperature is the benchmark's; the source's is 0.2.
- Views are crops with changed brightness and contrast.

Source: Wang et al., Dense Contrastive Learning for Self-Supervised Visual Pre-Training, CVPR 2021, arXiv 2011.09157.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import PretrainConfig
from glocalseg.methods.pretraining.base import Pretext, Slices, drawn
from glocalseg.methods.pretraining.batches.geometry import NEAR, DenseHead, cell_distances, dense_level, matching
from glocalseg.methods.pretraining.batches.pool import same
from glocalseg.methods.pretraining.batches.sampling import random_slices, repeated
from glocalseg.methods.pretraining.contrast.loss import cosine_similarity, info_nce
from glocalseg.networks.heads import GlobalHead
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_views, draw_views
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task


class DenseContrast(Pretext):
    """Random slices of all volumes, two augmented views each.

    Options:
        dense: weight of the dense loss, in (0, 1); that of the loss on whole slices is the rest.
    """

    unread = ("partitions", "partition_bounds")
    diagnostics: ClassVar[dict[str, str]] = {
        "match_true": "Share of cells matched with one that shows the same place, of those that have one; noise at match_chance.",
        "match_chance": "What match_true is where cells are matched by chance.",
        "match_distinct": "Share of cells that some cell is matched with; near 0 all are matched with the same few.",
        "match_same_cell": "Share of cells matched with that of the same place in the map; near 1 features tell places alone.",
    }
    dense: float = Field(default=0.5, gt=0, lt=1)

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: PretrainConfig) -> Task:
        """The encoder with g1 and a dense head, and both contrastive losses. Raises ConfigError if its maps are too small."""
        level = dense_level(net.encoder, slices.images)
        head = drawn(GlobalHead.behind(net.encoder, slices.images), "global head", seed, device)
        cells = drawn(DenseHead(net.encoder.channels[level]), "dense head", seed, device)  # type: ignore[index, arg-type]
        count = config.images // 2 * 2
        last: dict[str, Any] = {}

        @device.compile
        def network(shown: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            with device.autocast():
                maps = net.encoder(shown)
                return head(maps[-1]), maps[level], cells(maps[level])

        def forward(shown: Tensor) -> Tensor:
            whole, _, dense = network(shown)
            return torch.cat([whole, dense.flatten(1)], dim=1)

        augment = device.compile(apply_views)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            draws = device.generator(seed, "global", step)  # as the contrastive strategies: the same views as theirs
            views = slices.pool.take(*repeated(random_slices(slices.pool, count // 2, draws), 2))
            draw = draw_views(views.view + 1, config.views, crop=True, generator=draws)
            whole, features, dense = network(augment(slices.images[views.slice], draw, config.views))
            match = most_alike(features)
            last.update(match=match, start=draw.start, size=tuple(features.shape[2:]))
            alike = same(views.slice)
            positives = alike & ~torch.eye(count, dtype=torch.bool, device=alike.device)
            between = info_nce(cosine_similarity(whole), positives, ~alike, temperature=config.temperature)
            within = dense_loss(dense, match, ~alike, temperature=config.temperature)
            return {EVERYTHING: (1 - self.dense) * between + self.dense * within}

        def diagnostics() -> dict[str, Tensor]:
            start = last["start"]
            near = cell_distances(start, start.roll(count // 2, dims=0), config.views.crop, last["size"]) < NEAR
            return matching(last["match"], near)

        modules = nn.ModuleDict({"encoder": net.encoder, "head": head, "cells": cells}).train()
        return Task(modules, losses, forward, count, net, diagnostics=diagnostics)


def most_alike(features: Tensor) -> Tensor:
    """Which cell of the other view each cell is most like, by the cosine of features (2 B, C, h, w): (2 B, h w) int64.

    The views are the first ones of B slices and then their second ones.
    """
    unit = F.normalize(features.detach().float().flatten(2), dim=1)
    return (unit.mT @ unit.roll(len(unit) // 2, dims=0)).argmax(dim=2)


def dense_loss(projected: Tensor, match: Tensor, negatives: Tensor, *, temperature: float) -> Tensor:
    """Mean contrastive loss over all cells of all views.

    Args:
        projected: (2 B, D, h, w), the first views of B slices and then their second ones.
        match: (2 B, h w), the cell of the other view that each cell is pulled towards.
        negatives: (2 B, 2 B) bool, True where the averaged map of view k repels the cells of view i.
        temperature: tau > 0.

    Returns:
        Scalar float32.
    """
    dense = projected.float().flatten(2)
    cells, pooled = F.normalize(dense, dim=1), F.normalize(dense.mean(dim=2), dim=1)
    across = cells.mT @ cells.roll(len(cells) // 2, dims=0) / temperature  # (2 B, h w, h w)
    attracted = across.gather(2, match[:, :, None]).squeeze(2)
    repelled = (cells.mT @ pooled.mT / temperature).masked_fill(~negatives[:, None], -torch.inf).logsumexp(dim=2)
    return (torch.logaddexp(attracted, repelled) - attracted).mean()


METHOD = DenseContrast
