"""Contrasting whole slices to train the encoder (docs/method.md 4): a strategy is a draw of views and two masks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from glocalseg.config.settings import PretrainConfig
from glocalseg.methods.pretraining.base import Pretext, Slices, drawn
from glocalseg.methods.pretraining.batches.pool import EMPTY, Pool, Views
from glocalseg.methods.pretraining.contrast.loss import cosine_similarity, info_nce
from glocalseg.networks.heads import GlobalHead
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_views, draw_views
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task


class GlobalContrast(Pretext):
    """A global contrastive strategy: it says which views a batch shows, which of them attract and which repel."""

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        """Views of one batch of about ``images`` images. Raises ConfigError if the pool is too small."""
        raise NotImplementedError

    def positives(self, views: Views) -> Tensor:
        """(N, N) bool: j is pulled towards i. The diagonal is False."""
        raise NotImplementedError

    def negatives(self, views: Views) -> Tensor:
        """(N, N) bool: k is pushed from i."""
        raise NotImplementedError

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: PretrainConfig) -> Task:
        """The encoder with g1, and the contrastive loss of the strategy's masks."""
        head = drawn(GlobalHead.behind(net.encoder, slices.images), "global head", seed, device)

        @device.compile
        def forward(shown: Tensor) -> Tensor:
            with device.autocast():
                return head(net.encoder(shown)[-1])

        augment = device.compile(apply_views)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            draws = device.generator(seed, "global", step)
            views = self.draw(slices.pool, config.images, draws)
            batch = view_images(slices.images, views)
            draw = draw_views(views.view, config.views, crop=True, generator=draws)
            # originals are shown as they are, and so are the empty images of D1, which a brightness change would colour
            augmented = ((views.view > 0) & (views.slice != EMPTY)).view(-1, 1, 1, 1)
            similarity = cosine_similarity(forward(torch.where(augmented, augment(batch, draw, config.views), batch)))
            loss = info_nce(similarity, self.positives(views), self.negatives(views), temperature=config.temperature)
            return {EVERYTHING: loss}

        modules = nn.ModuleDict({"encoder": net.encoder, "head": head}).train()
        count = len(self.draw(slices.pool, config.images, device.generator(seed, "global")))
        return Task(modules, losses, forward, count, net)


def view_images(images: Tensor, views: Views) -> Tensor:
    """The untouched slices that views show, (N, 1, H, W); zeros where a view is empty (D1, release)."""
    return images[views.slice.clamp(min=0)] * (views.slice != EMPTY).view(-1, 1, 1, 1)
