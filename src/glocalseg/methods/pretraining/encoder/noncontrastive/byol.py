"""BYOL: a prediction from one view of a slice meets what a momentum copy of the encoder makes of the other; nothing repels.

Bootstrap your own latent. It shows the slices that G^{R} shows, in the same views, so that the loss is what differs.

Departures:
- The projector is that of the other global strategies, the flattened bottleneck through 1024 to 128 values without batch norm;
  the source projects the averaged map through 4096 to 256 with batch norm. The predictor is as wide, with batch norm as in
  the source.
- Both views of all slices are one batch, so batch norm's statistics are over both; in the source each view is a batch.
- Adam with the benchmark's learning rate, without weight decay; the source uses LARS.
- The momentum begins at the source's 0.996 however short the training is: after 250 steps three fifths of the copy are still its
  random weights, after some thousands nothing. A short training may begin lower.
- Views are crops with changed brightness and contrast.

As in the source, the momentum copy runs on statistics of its batch and has running averages of its own; its weights alone follow.

Source: Grill et al., Bootstrap your own latent: A new approach to self-supervised learning, NeurIPS 2020, arXiv 2006.07733.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import PretrainConfig
from glocalseg.methods.momentum import follow, momentum_copy
from glocalseg.methods.pretraining.base import Pretext, Slices, drawn
from glocalseg.methods.pretraining.batches.sampling import random_slices, repeated
from glocalseg.networks.heads import EMBEDDING, HIDDEN, GlobalHead
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_views, draw_views
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task


class Byol(Pretext):
    """Random slices of all volumes, two augmented views each.

    Options:
        momentum: of the copy at the first step, in [0, 1); it rises to 1 along half a cosine.
    """

    unread = ("temperature", "partitions", "partition_bounds")
    momentum: float = Field(default=0.996, ge=0, lt=1)

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: PretrainConfig) -> Task:
        """The encoder with g1 and a predictor, their momentum copies, and the distance of predictions from the copies' g1."""
        head = drawn(GlobalHead.behind(net.encoder, slices.images), "global head", seed, device)
        predictor = drawn(Predictor(momentum=net.momentum), "predictor", seed, device)
        online = nn.ModuleDict({"encoder": net.encoder, "head": head})
        target = momentum_copy(online)

        @device.compile
        def both(shown: Tensor) -> tuple[Tensor, Tensor]:
            with device.autocast():
                predicted = predictor(head(net.encoder(shown)[-1]))
                with torch.no_grad():
                    return predicted, target["head"](target["encoder"](shown)[-1])

        def forward(shown: Tensor) -> Tensor:
            return torch.cat(both(shown))

        augment = device.compile(apply_views)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            draws = device.generator(seed, "global", step)  # as the contrastive strategies: the same views as theirs
            index, view = repeated(random_slices(slices.pool, config.images // 2, draws), 2)
            draw = draw_views(view + 1, config.views, crop=True, generator=draws)
            return {EVERYTHING: byol_loss(*both(augment(slices.images[slices.pool.row[index]], draw, config.views)))}

        def after_step(step: int) -> None:
            follow(target, online, momentum_at(step, config.steps, self.momentum))

        modules = nn.ModuleDict({**online, "predictor": predictor, "target": target}).train()
        return Task(modules, losses, forward, config.images // 2 * 2, net, after_step=after_step)


class Predictor(nn.Sequential):
    """A dense layer with batch norm and ReLU, and a linear one, as wide as g1. (N, 128) to (N, 128)."""

    def __init__(self, *, momentum: float) -> None:
        super().__init__(
            nn.Linear(EMBEDDING, HIDDEN, bias=False),
            nn.BatchNorm1d(HIDDEN, eps=1e-3, momentum=momentum),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, EMBEDDING, bias=False),
        )


def byol_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean over slices of 2 - 2 cos from the prediction of each view to the copy's embedding of the other, both ways added.

    Args:
        predicted, target: (2 B, D), the first views of B slices and then their second views.

    Returns:
        Scalar float32 in [0, 8].
    """
    count = len(target) // 2
    cosine = F.cosine_similarity(predicted.float(), target.float().roll(count, dims=0), dim=1)
    return (2 - 2 * cosine).sum() / count


def momentum_at(step: int, steps: int, first: float) -> float:
    """The copy's momentum at a step, from 0: from ``first`` to 1 along half a cosine."""
    return 1 - (1 - first) * (math.cos(math.pi * step / steps) + 1) / 2


METHOD = Byol
