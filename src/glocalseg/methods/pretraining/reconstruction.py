"""Restoring damaged slices to train encoder and decoder (docs/method.md 8): a strategy is a way to damage."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from glocalseg.config.settings import PretrainConfig
from glocalseg.methods.pretraining.base import Pretext, Slices, drawn
from glocalseg.methods.pretraining.batches.sampling import random_slices
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_views, draw_views
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task


class Reconstruction(Pretext):
    """A strategy that damages slices and has the network restore them; it says how."""

    def check(self, size: tuple[int, int]) -> None:
        """Raise ConfigError if frames of (H, W) pixels are too small."""

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Where n images of (H, W) pixels are damaged."""
        raise NotImplementedError

    def damaged(self, images: Tensor, draw: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images (N, 1, H, W) as the network sees them, and what of each counts: weights (N, 1, H, W), None for all of it."""
        raise NotImplementedError

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: PretrainConfig) -> Task:
        """The U-Net with a linear layer of one channel in place of its last, and the squared distance to the undamaged view."""
        size = (slices.images.shape[2], slices.images.shape[3])
        self.check(size)
        hidden = net.head[:-1]
        last = drawn(nn.Conv2d(net.decoder.channels[-1], 1, 3, padding=1, bias=False), "pixels", seed, device)

        @device.compile
        def forward(shown: Tensor) -> Tensor:
            with device.autocast():
                return last(hidden(net.decoder(net.encoder(shown))))

        augment, damage = device.compile(apply_views), device.compile(self.damaged)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            draws = device.generator(seed, "reconstruction", step)
            index = random_slices(slices.pool, config.images, draws)
            draw = draw_views(torch.ones_like(index), config.views, crop=False, generator=draws)
            target = augment(slices.images[slices.pool.row[index]], draw, config.views)
            shown, weights = damage(target, self.draw(config.images, size, draws))
            return {EVERYTHING: pixel_loss(forward(shown), target, weights)}

        modules = nn.ModuleDict({"encoder": net.encoder, "decoder": net.decoder, "head": hidden, "pixels": last}).train()
        return Task(modules, losses, forward, config.images, net)


def pixel_loss(restored: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean squared distance of images (N, 1, H, W), float32: over all pixels, or those of weight one."""
    distance = (restored.float() - target).square()
    return distance.mean() if weights is None else (weights * distance).sum() / weights.sum()
