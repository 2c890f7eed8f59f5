"""Contrasting regions of decoder maps to train the first decoder blocks, encoder frozen (docs/method.md 5)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from glocalseg.config.settings import LocalConfig, PretrainConfig
from glocalseg.methods.pretraining.base import Pretext, Slices, drawn
from glocalseg.methods.pretraining.batches.pool import Pool, Views
from glocalseg.methods.pretraining.contrast.regions import Repulsion, local_loss, region_vectors
from glocalseg.networks.build import local_blocks
from glocalseg.networks.heads import LocalHead
from glocalseg.networks.unet import SegmentationNet
from glocalseg.networks.weights import freeze
from glocalseg.training.augment.views import apply_views, draw_views
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task


class LocalContrast(Pretext):
    """A local contrastive strategy: which maps a batch shows, which pairs of maps have a region in common, what repels."""

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        """Views of one batch of about ``images`` images. Raises ConfigError if the pool is too small."""
        raise NotImplementedError

    def positives(self, views: Views) -> Tensor:
        """(N, N) bool, pairs (anchor map, partner map): the same region of both attracts."""
        raise NotImplementedError

    def repelled(self) -> Tensor:
        """(25, 25) bool on the CPU: region v of a map is pushed from region u; a row without any is no anchor."""
        raise NotImplementedError

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: PretrainConfig) -> Task:
        """The first decoder blocks with g2 behind the frozen encoder, and the local loss of the strategy.

        Raises:
            ConfigError: if the decoder has too few blocks or its map is too small for the regions.
        """
        config = cast(LocalConfig, config)
        blocks = local_blocks(net, config.blocks)
        head = LocalHead(
            net.decoder.channels[blocks - 1],
            region_size=config.region_size,
            project=config.region_projection == "release",
            momentum=net.momentum,
        )
        drawn(head, "local head", seed, device)
        freeze(net.encoder)
        modules = nn.ModuleDict({"encoder": net.encoder, "decoder": net.decoder.blocks[:blocks], "head": head}).train()
        if config.frozen_batchnorm == "paper":  # D21
            net.encoder.eval()
        repulsion = Repulsion.of(self.repelled(), device.device)

        @device.compile
        def forward(shown: Tensor) -> Tensor:
            with device.autocast():
                return head(net.decoder(net.encoder(shown), blocks))

        augment = device.compile(apply_views)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            draws = device.generator(seed, "local", step)
            views = self.draw(slices.pool, config.images, draws)
            draw = draw_views(views.view, config.views, crop=False, generator=draws)
            maps = forward(augment(slices.images[views.slice], draw, config.views))
            with device.autocast():
                vectors = region_vectors(maps, config.region_size, head.project)
            return {EVERYTHING: local_loss(vectors, self.positives(views), repulsion, temperature=config.temperature)}

        count = len(self.draw(slices.pool, config.images, device.generator(seed, "local")))
        return Task(modules, losses, forward, count, net)
