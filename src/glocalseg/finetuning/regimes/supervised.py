"""The paper's fine-tuning: augmented labelled slices and a segmentation loss (METHOD.md 6)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from glocalseg.augment.views import draw_training
from glocalseg.config import FinetuneConfig
from glocalseg.finetuning.base import Regime, Slices
from glocalseg.finetuning.losses import segmentation_loss


class Supervised(Regime):
    """Slices drawn uniformly with replacement from all labelled volumes."""

    def loss(
        self, forward: Callable[[Tensor], Tensor], slices: Slices, config: FinetuneConfig, generator: torch.Generator
    ) -> Tensor:
        index = torch.randint(len(slices.images), (config.batch,), generator=generator, device=generator.device)
        size = (slices.images.shape[2], slices.images.shape[3])
        draw = draw_training(config.batch, size, config.augment, generator)
        images, labels = slices.augment(slices.images[index], slices.labels[index], draw)
        return segmentation_loss(forward(images), labels, config.loss)


REGIME = Supervised
