"""Rotation: the encoder tells by which multiple of a right angle a slice was turned.

Predicting rotations, a comparison of the paper (docs/method.md 8). It needs square frames.

Departures:
- Slices are shown as G^{R} shows them, cropped and with changed brightness and contrast, and turned after that; the source
  mirrors, shifts and scales natural images, the paper's set-up is not released. Nothing is mirrored.
- The classifier is the mean over the bottleneck and one linear layer; the source also classifies from inner layers, and what the
  paper's authors used is not released.
- Optimiser, lengths and images a step are those of the other global strategies here; the images of a step count all four
  turns, as in the authors' helper, and a number that four does not divide is rounded down.

Source: Gidaris et al., Unsupervised Representation Learning by Predicting Image Rotations, ICLR 2018, arXiv 1803.07728; four
turns of every image as in the authors' helper, docs/method.md 8.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glocalseg.config.model import ConfigError
from glocalseg.config.settings import PretrainConfig
from glocalseg.methods.pretraining.base import Pretext, Slices, drawn
from glocalseg.methods.pretraining.batches.sampling import random_slices
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_views, draw_views
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task

TURNS = 4


class Rotation(Pretext):
    """Random slices of all volumes, one augmented view each in all four turns."""

    unread = ("temperature", "partitions", "partition_bounds")

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: PretrainConfig) -> Task:
        """The encoder with a linear classifier, and cross-entropy. Raises ConfigError if frames are not square."""
        height, width = slices.images.shape[2:]
        if height != width:
            raise ConfigError(
                f"frame: size: expected a square frame for the strategy 'rotation', which turns it, found {height} x {width}"
            )
        head = drawn(nn.Linear(net.encoder.channels[-1], TURNS), "rotation head", seed, device)  # type: ignore[index,arg-type]
        count = config.images // TURNS

        @device.compile
        def forward(shown: Tensor) -> Tensor:
            with device.autocast():
                return head(net.encoder(shown)[-1].mean(dim=(2, 3)))

        augment = device.compile(apply_views)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            draws = device.generator(seed, "rotation", step)
            index = random_slices(slices.pool, count, draws)
            draw = draw_views(torch.ones_like(index), config.views, crop=True, generator=draws)
            images, labels = turned(augment(slices.images[slices.pool.row[index]], draw, config.views))
            return {EVERYTHING: F.cross_entropy(forward(images).float(), labels)}

        modules = nn.ModuleDict({"encoder": net.encoder, "head": head}).train()
        return Task(modules, losses, forward, TURNS * count, net)


def turned(images: Tensor) -> tuple[Tensor, Tensor]:
    """Images (N, 1, H, H) by 0, 90, 180 and 270 degrees, (4 N, 1, H, H) turn after turn, and the turn of each, (4 N,) int64."""
    turns = torch.arange(TURNS, device=images.device).repeat_interleave(len(images))
    return torch.cat([torch.rot90(images, k, (2, 3)) for k in range(TURNS)]), turns


METHOD = Rotation
