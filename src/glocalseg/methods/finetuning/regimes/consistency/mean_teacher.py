"""Mean teacher: supervised on labelled slices, and on unlabelled ones as a moving average of the network, the teacher, sees them.

The teacher is what is validated and tested. An image is shown to the network as it is and to the teacher with noise; the
squared distance of their probabilities is the consistency, whose weight rises along exp(-5 (1 - T)^2), T the share of the
steps that are done.

Departures:
- The segmentation loss, the number of labelled slices a step and their augmentation are those of the other regimes here; as
  many unlabelled slices, augmented alike, join them. The code that most comparisons use takes 12 and 12; its segmentation loss is
  the mean of Dice and cross-entropy: where the benchmark's is their sum, the consistency weighs half as much beside it as there.
- Optimiser and learning rate are the benchmark's; that code uses stochastic gradient descent with a falling rate.
- The consistency has no weight in the first thirtieth of the steps, and its rise takes all of them: that code's 1,000 and
  30,000 steps as shares of the benchmark's.
- The teacher is tested, as in the source; that code tests the network.
- The teacher's momentum rises to 0.99, as in that code; the source's is 0.999 in the end.
- Noise goes into the teacher's input alone, as in that code; in the source both are perturbed.

Labelled and unlabelled slices are one batch of the network, as in that code, so its batch norm sees both. The teacher runs on
statistics of its own batch while it trains. With buffers: own, the running averages that it is tested with are its own, of noisy
unlabelled slices; with copied they are the network's.

Source: Tarvainen and Valpola, Mean teachers are better role models: Weight-averaged consistency targets improve
semi-supervised deep learning results, NeurIPS 2017, arXiv 1703.01780; for segmentation as in HiLab-git/SSL4MIS.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import FinetuneConfig
from glocalseg.methods.finetuning.base import Regime, Slices, labelled_batch, unlabelled_batch
from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.methods.momentum import follow, momentum_copy
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_training
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task

CLIPPED_AT = 2  # standard deviations of the noise


class MeanTeacher(Regime):
    """Labelled slices as supervised draws them, and as many unlabelled ones.

    Options:
        weight: of the consistency at the end.
        silent: share of the steps, from the first, without consistency.
        noise: standard deviation of the noise in the teacher's input, clipped at twice that.
        momentum: of the teacher, which it rises to: step t, from 0, has min(1 - 1 / (t + 1), momentum).
        buffers: running averages of the teacher's batch norm: own, or copied from the network after every step.
    """

    unlabelled = True
    weight: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    silent: float = Field(default=1 / 30, ge=0, lt=1)
    noise: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    momentum: float = Field(default=0.99, ge=0, lt=1)
    buffers: Literal["own", "copied"] = "own"

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: FinetuneConfig) -> Task:
        """The network and its teacher, and the segmentation loss with the consistency."""
        teacher = momentum_copy(net)

        @device.compile
        def both(shown: Tensor, noisy: Tensor) -> tuple[Tensor, Tensor]:
            with device.autocast():
                logits = net(shown)
                with torch.no_grad():
                    return logits, teacher(noisy)

        def forward(images: Tensor) -> Tensor:
            return torch.cat(both(*images.split([2 * len(images) // 3, len(images) // 3])))

        augment = device.compile(apply_training)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            # the labelled slices are to the bit those of the regime supervised
            images, labels = labelled_batch(slices, config, device.generator(seed, "finetune", step), augment)
            draws = device.generator(seed, "unlabelled", step)
            others = unlabelled_batch(slices, config, draws, augment)
            logits, taught = both(torch.cat([images, others]), others + clipped_noise(others, self.noise, draws))
            labelled, unlabelled = logits.split(config.batch)
            loss = segmentation_loss(labelled, labels, config.loss)
            weight = ramp(step / config.steps, weight=self.weight, silent=self.silent)
            return {EVERYTHING: loss + weight * consistency(unlabelled, taught)}

        def after_step(step: int) -> None:
            follow(teacher, net, min(1 - 1 / (step + 1), self.momentum))
            if self.buffers == "copied":
                for kept, new in zip(teacher.buffers(), net.buffers(), strict=True):
                    kept.copy_(new)

        modules = nn.ModuleDict({"network": net, "teacher": teacher}).train()
        return Task(modules, losses, forward, 3 * config.batch, teacher, after_step=after_step)


def clipped_noise(images: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Normal noise for images, of a standard deviation and clipped at twice that."""
    noise = torch.randn(images.shape, generator=generator, device=images.device) * deviation
    return noise.clamp(-CLIPPED_AT * deviation, CLIPPED_AT * deviation)


def consistency(logits: Tensor, taught: Tensor) -> Tensor:
    """Mean squared distance of the probabilities of two logits (N, C, H, W), over pixels and classes; float32."""
    return (logits.float().softmax(dim=1) - taught.float().softmax(dim=1)).square().mean()


def ramp(done: float, *, weight: float, silent: float) -> float:
    """Weight of the consistency when a share ``done`` of the steps is done."""
    return 0.0 if done < silent else weight * math.exp(-5 * (1 - done) ** 2)


METHOD = MeanTeacher
