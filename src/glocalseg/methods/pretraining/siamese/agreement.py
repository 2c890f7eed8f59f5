"""Training the encoder by whole slices that agree, where nothing repels: a strategy is a draw of views and a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from glocalseg.config.settings import PretrainConfig
from glocalseg.methods.pretraining.base import Pretext, Slices, drawn
from glocalseg.methods.pretraining.batches.pool import Pool, Views, same
from glocalseg.methods.pretraining.batches.sampling import random_slices, repeated
from glocalseg.networks.heads import GlobalHead
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_views, draw_views
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task


class Agreement(Pretext):
    """A global strategy without negatives: which views a batch shows, and a loss on their embeddings."""

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        """Views of one batch of about ``images`` images, view after view: here those of G^{R}."""
        index, view = repeated(random_slices(pool, images // 2, generator), 2)
        return pool.take(index, view + 1)

    def loss(self, embedded: Tensor, views: Views) -> Tensor:
        """Scalar float32 of the embeddings (N, D) of the views."""
        raise NotImplementedError

    def signs(self, embedded: Tensor, views: Views) -> Mapping[str, Tensor]:
        """The diagnostics of the embeddings of the last step."""
        raise NotImplementedError

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: PretrainConfig) -> Task:
        """The encoder with g1, and the loss of the strategy."""
        head = drawn(GlobalHead.behind(net.encoder, slices.images), "global head", seed, device)
        last: dict[str, Any] = {}

        @device.compile
        def forward(shown: Tensor) -> Tensor:
            with device.autocast():
                return head(net.encoder(shown)[-1])

        augment = device.compile(apply_views)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            draws = device.generator(seed, "global", step)  # as the contrastive strategies: the same views as theirs
            views = self.draw(slices.pool, config.images, draws)
            batch = slices.images[views.slice]
            draw = draw_views(views.view, config.views, crop=True, generator=draws)
            changed = (views.view > 0).view(-1, 1, 1, 1)
            embedded = forward(torch.where(changed, augment(batch, draw, config.views), batch))
            last.update(embedded=embedded.detach(), views=views)
            return {EVERYTHING: self.loss(embedded, views)}

        def diagnostics() -> Mapping[str, Tensor]:
            return self.signs(last["embedded"], last["views"])

        modules = nn.ModuleDict({"encoder": net.encoder, "head": head}).train()
        count = len(self.draw(slices.pool, config.images, device.generator(seed, "global")))
        return Task(modules, losses, forward, count, net, diagnostics=diagnostics)


def partition_share(embedded: Tensor, views: Views) -> Tensor:
    """Share of the embeddings' variance that lies between partitions, in [0, 1]: near 1 nothing but the partition is told."""
    z = embedded.detach().float()
    z = z - z.mean(dim=0)
    member = same(views.partition).float()
    own_partition = member @ z / member.sum(dim=1, keepdim=True)  # each row's mean
    return own_partition.square().sum() / z.square().sum().clamp(min=torch.finfo(torch.float32).tiny)
