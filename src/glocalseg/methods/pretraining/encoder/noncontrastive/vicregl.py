"""VICRegL: whole slices and single cells of two views agree, each value varies, and no two say the same; nothing repels.

Variance, invariance and covariance of embeddings of whole slices, and of cells of a map that are matched in two ways: with the
cell of the other view that shows the same place, and with the one whose embedding is nearest. It shows the slices that G^{R}
shows, in the same views.

Departures:
- The dense grid is the deepest map of the encoder that has at least 4 x 4 cells; in the source it is the last one, 7 x 7, which
  in small frames would be a single cell. What lies deeper is trained by the loss on whole slices.
- By place all cells are matched whose centres are near in the frame, and no others; the source takes the 20 nearest of 49. Crops
  are all of one size here, so cells that both views show are equally near.
- By feature all cells are matched, as in its released code.
- The terms of variance and of covariance of both views are added, as in VICReg's formula and in vicreg here; its released code
  takes their mean.
- Variance and covariance are over all cells of all slices; in the released code over slices, for each cell of its own.
- The head on whole slices is that of the other global strategies, without batch norm, the one on cells is as wide, with it;
  the source projects the averaged map through 8192, 8192 and 8192, and cells through 512, 512 and 512.
- Views are two crops of one size with changed brightness and contrast; the source's are also mirrored, blurred and of any size,
  and there may be small ones besides.
- Adam with the benchmark's learning rate, without weight decay; the source uses LARS or AdamW.

As in its released code for two views, both ways of matching count half each.

Source: Bardes et al., VICRegL: Self-Supervised Learning of Local Visual Features, NeurIPS 2022, arXiv 2210.01571.
"""

from __future__ import annotations

from typing import Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import PretrainConfig
from glocalseg.methods.pretraining.base import Pretext, Slices, drawn
from glocalseg.methods.pretraining.batches.geometry import NEAR, DenseHead, cell_distances, dense_level, matching
from glocalseg.methods.pretraining.batches.sampling import random_slices, repeated
from glocalseg.methods.pretraining.siamese.redundancy import covariance_term, deviation, effective_rank, variance_term
from glocalseg.networks.heads import GlobalHead
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_views, draw_views
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task


class VicregLocal(Pretext):
    """Random slices of all volumes, two augmented views each.

    Options:
        alpha: weight of the loss on whole slices, in (0, 1); that of the loss on cells is the rest.
        invariance: weight of the squared distance of two embeddings.
        variance: weight of the hinge that keeps each value's standard deviation at 1.
        covariance: weight of the squared covariances of two values.
    """

    unread = ("temperature", "partitions", "partition_bounds")
    diagnostics: ClassVar[dict[str, str]] = {
        "deviation": "Standard deviation of the values of whole slices; at 0 their embeddings have collapsed to a point.",
        "rank": "Effective rank of the embeddings of whole slices; near 1 they have collapsed to a line.",
        "deviation_cells": "Standard deviation of the values of cells; at 0 their embeddings have collapsed to a point.",
        "rank_cells": "Effective rank of the embeddings of cells; near 1 they have collapsed to a line.",
        "match_true": "Share of cells matched by feature with one of their place, of those that have one; noise at match_chance.",
        "match_chance": "What match_true is where cells are matched by chance.",
    }
    alpha: float = Field(default=0.75, gt=0, lt=1)
    invariance: float = Field(default=25.0, ge=0, le=1000)
    variance: float = Field(default=25.0, ge=0, le=1000)
    covariance: float = Field(default=1.0, ge=0, le=1000)

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: PretrainConfig) -> Task:
        """The encoder with g1 and a dense head, and both losses. Raises ConfigError if its maps are too small."""
        level = dense_level(net.encoder, slices.images)
        head = drawn(GlobalHead.behind(net.encoder, slices.images), "global head", seed, device)
        channels = cast("list[int]", net.encoder.channels)[level]
        cells = drawn(DenseHead(channels, momentum=net.momentum), "dense head", seed, device)
        count = config.images // 2 * 2
        last: dict[str, Any] = {}

        @device.compile
        def network(shown: Tensor) -> tuple[Tensor, Tensor]:
            with device.autocast():
                maps = net.encoder(shown)
                return head(maps[-1]), cells(maps[level])

        def forward(shown: Tensor) -> Tensor:
            whole, dense = network(shown)
            return torch.cat([whole, dense.flatten(1)], dim=1)

        augment = device.compile(apply_views)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            draws = device.generator(seed, "global", step)  # as the contrastive strategies: the same views as theirs
            views = slices.pool.take(*repeated(random_slices(slices.pool, count // 2, draws), 2))
            draw = draw_views(views.view + 1, config.views, crop=True, generator=draws)
            whole, dense = (m.float() for m in network(augment(slices.images[views.slice], draw, config.views)))
            start, size = cast(Tensor, draw.start), (dense.shape[2], dense.shape[3])
            distance = cell_distances(start, start.roll(count // 2, dims=0), config.views.crop, size)
            embedded = dense.flatten(2).mT  # (N, h w, D)
            by_feature, by_place = nearest(embedded), distance.argmin(dim=2)
            placed = distance.amin(dim=2) < NEAR
            last.update(whole=whole.detach(), cells=embedded.detach(), match=by_feature, near=distance < NEAR)
            local = self.cells(embedded, by_feature, torch.ones_like(placed)) + self.cells(embedded, by_place, placed)
            return {EVERYTHING: self.alpha * self.agreement(*whole.chunk(2)) + (1 - self.alpha) * local / 2}

        def diagnostics() -> dict[str, Tensor]:
            embedded, found = last["cells"].flatten(0, 1), matching(last["match"], last["near"])
            return {
                "deviation": deviation(last["whole"]),
                "rank": effective_rank(last["whole"]),
                "deviation_cells": deviation(embedded),
                "rank_cells": effective_rank(embedded),
                **{name: found[name] for name in ("match_true", "match_chance")},
            }

        modules = nn.ModuleDict({"encoder": net.encoder, "head": head, "cells": cells}).train()
        return Task(modules, losses, forward, count, net, diagnostics=diagnostics)

    def cells(self, embedded: Tensor, match: Tensor, counted: Tensor) -> Tensor:
        """The loss of cells (2 B, h w, D) and their matches (2 B, h w) in the other view, mean of both directions.

        Args:
            counted: (2 B, h w) bool, which matches are pairs.
        """
        partners = at(embedded.roll(len(embedded) // 2, dims=0), match)
        sides = zip(*(t.flatten(0, 1).chunk(2) for t in (embedded, partners, counted)), strict=True)
        return torch.stack([self.agreement(*side) for side in sides]).mean()

    def agreement(self, first: Tensor, second: Tensor, counted: Tensor | None = None) -> Tensor:
        """Invariance, variance and covariance of embeddings (N, D) float32.

        Args:
            counted: (N,) bool, which pairs are to agree, None for all; each embedding is in variance and covariance.
        """
        squared = (first - second).square().mean(dim=1)
        weight = torch.ones_like(squared) if counted is None else counted.float()
        return (
            self.invariance * (weight * squared).sum() / weight.sum().clamp(min=1)
            + self.variance * (variance_term(first) + variance_term(second))
            + self.covariance * (covariance_term(first) + covariance_term(second))
        )


def nearest(embedded: Tensor) -> Tensor:
    """Which cell of the other view is nearest to each by its embedding (2 B, h w, D): (2 B, h w) int64."""
    cells = embedded.detach()
    return torch.cdist(cells, cells.roll(len(cells) // 2, dims=0)).argmin(dim=2)


def at(embedded: Tensor, match: Tensor) -> Tensor:
    """The cells (N, h w) of embeddings (N, h w, D): (N, h w, D).

    By a product, whose gradient repeats to the bit where a cell is taken several times.
    """
    place = torch.arange(embedded.shape[1], device=match.device)
    return (match[:, :, None] == place).to(embedded.dtype) @ embedded


METHOD = VicregLocal
