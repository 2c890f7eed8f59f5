"""Supervised: augmented labelled slices, a segmentation loss, all weights trained.

The paper's fine-tuning (docs/method.md 6), and that of every method whose line names no regime.

Departures:
- The change of intensity is applied; the release computes and drops it (D11, setting finetune.augment.intensity). It is
  drawn for each slice, brightness and contrast independently.
- Affine map and elastic field are one reading at one grid, so labels are soft wherever anything moved; the release takes
  nearest labels in its affine step (D24).
- Scales are continuous, not of two decimals, and nearly empty slices are augmented like all others.
- Elastic displacements are those of a 192-pixel frame and shrink with a smaller one.

Source: Chaitanya et al., Contrastive learning of global and local features for medical image segmentation with limited
annotations, NeurIPS 2020, arXiv 2006.10511; docs/method.md 6.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import FinetuneConfig
from glocalseg.methods.finetuning.base import Regime, Slices, labelled_batch
from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.networks.unet import SegmentationNet
from glocalseg.networks.weights import freeze
from glocalseg.training.augment.views import apply_training
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task

ENCODER = "encoder"  # name of the optimiser that an encoder at a rate of its own has


class Supervised(Regime):
    """Slices drawn uniformly with replacement from all labelled volumes.

    Options:
        encoder_rate: the encoder's learning rate as a share of the decoder's, for an encoder that has learned already; at 0 it
            stays as it is, its batch norms with the running averages that it came with.
    """

    encoder_rate: float = Field(default=1.0, ge=0, le=1)

    def changed(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """An augmented batch as it is trained on: unchanged here; what a regime that only alters batches alters."""
        return images, labels

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: FinetuneConfig) -> Task:
        """The whole network and its segmentation loss."""

        @device.compile
        def forward(shown: Tensor) -> Tensor:
            with device.autocast():
                return net(shown)

        augment = device.compile(apply_training)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            draws = device.generator(seed, "finetune", step)
            images, labels = self.changed(*labelled_batch(slices, config, draws, augment), draws)
            return {EVERYTHING: segmentation_loss(forward(images), labels, config.loss)}

        net.train()
        if self.encoder_rate == 0:
            freeze(net.encoder.eval())
        if self.encoder_rate in (0, 1):
            return Task(nn.ModuleDict({"network": net}), losses, forward, config.batch, net)
        parts = nn.ModuleDict({"encoder": net.encoder, "decoder": net.decoder, "head": net.head})

        def shared(step: int) -> dict[str, Tensor]:
            (loss,) = losses(step).values()
            return {EVERYTHING: loss, ENCODER: loss}

        optimised, rates = {EVERYTHING: ("decoder", "head"), ENCODER: ("encoder",)}, {ENCODER: self.encoder_rate}
        return Task(parts, shared, forward, config.batch, net, optimised, rates)


METHOD = Supervised
