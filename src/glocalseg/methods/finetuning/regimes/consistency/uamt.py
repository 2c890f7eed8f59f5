"""UA-MT: mean teacher whose consistency counts only where the teacher is sure, by the entropy of its mean over noisy passes.

Uncertainty-aware mean teacher. The network, its teacher and all that they are shown are those of the regime mean_teacher; the
teacher looks eight more times at the unlabelled slices, each time with noise of its own, and a pixel counts where the entropy
of its mean probabilities is below (0.75 + 0.25 exp(-5 (1 - T)^2)) of the largest that there can be, T the share of the steps
that are done.

Departures:
- The network has no dropout, so the passes differ by the noise in their input alone; in the source by dropout, too.
- The largest entropy is that of the number of classes; with threshold: release it is ln 2 whatever their number, as in its
  released code, which is stricter with more than two classes.
- Where every pixel counts the consistency is that of the regime mean_teacher, a mean over classes; that code halves the sum
  over classes whatever their number.
- The teacher is tested, as by the regime mean_teacher, so that the mask is what differs; source and code test the network
  (tested: network).
- Segmentation loss, labelled slices, optimiser and learning rate are the benchmark's, and the teacher's momentum rises to 0.99,
  all as in the regime mean_teacher; so is what the consistency weighs beside the segmentation loss.
- The consistency's weight rises from the first step, as in that code; its 30,000 steps are the benchmark's.

The passes are made two at a time, as in that code: batch norm sees two copies of the slices, and the teacher's running averages
move at each of them. At the end of training the threshold is the largest entropy, so every pixel counts: what the mask does is
seen in the middle of it.

Source: Yu et al., Uncertainty-aware Self-ensembling Model for Semi-supervised 3D Left Atrium Segmentation, MICCAI 2019, arXiv
1907.07034; in two dimensions as in HiLab-git/SSL4MIS.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from glocalseg.config.settings import FinetuneConfig
from glocalseg.methods.finetuning.base import Slices, labelled_batch, unlabelled_batch
from glocalseg.methods.finetuning.losses import EPSILON, segmentation_loss
from glocalseg.methods.finetuning.regimes.consistency.mean_teacher import MeanTeacher, clipped_noise, ramp
from glocalseg.methods.finetuning.unlabelled import mask_rates
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_training
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task

AT_FIRST = 0.75  # of the largest entropy: the threshold's share without its ramp
TINY = 1e-6  # beside a probability whose logarithm is taken


class UncertaintyAware(MeanTeacher):
    """What mean_teacher shows, and more passes of its teacher.

    Options:
        weight, noise, momentum, buffers: as of mean_teacher.
        silent: share of the steps, from the first, without consistency.
        passes: of the teacher that the entropy is taken from, made two at a time.
        threshold: whose largest entropy is meant, the paper's, ln of the number of classes, or the release's, ln 2.
        tested: the teacher or the network.
    """

    unlabelled = True
    diagnostics: ClassVar[dict[str, str]] = {
        "mask_rate": "Share of the unlabelled pixels that the teacher is sure of; near 1 the regime is mean_teacher.",
        "mask_rate_foreground": "The same share of the pixels taken for a structure; near 0 only background is taught.",
        "foreground": "Share of the unlabelled pixels that the teacher takes for a structure; at 0 it sees background alone.",
    }
    silent: float = Field(default=0.0, ge=0, lt=1)
    passes: int = Field(default=8, ge=2, le=64, multiple_of=2)
    threshold: Literal["paper", "release"] = "paper"
    tested: Literal["teacher", "network"] = "teacher"

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: FinetuneConfig) -> Task:
        """The task of mean_teacher, its consistency masked."""
        usual = super().task(net, slices, device, seed, config)
        teacher = usual.modules["teacher"]
        most = math.log(slices.labels.shape[1] if self.threshold == "paper" else 2)
        last: dict[str, Tensor] = {}

        @device.compile
        def both(shown: Tensor, noisy: Tensor) -> tuple[Tensor, Tensor]:
            with device.autocast():
                logits = net(shown)
                with torch.no_grad():
                    return logits, teacher(noisy)

        @device.compile
        def look(noisy: Tensor) -> Tensor:
            with device.autocast(), torch.no_grad():
                return teacher(noisy)

        def forward(images: Tensor) -> Tensor:
            n = len(images) // (3 + self.passes)
            shown, noisy, again = images.split([2 * n, n, self.passes * n])
            return torch.cat([*both(shown, noisy), *(look(part) for part in again.split(2 * n))])

        augment = device.compile(apply_training)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            # labelled slices, unlabelled ones and the noise of the teacher's target are to the bit those of mean_teacher
            images, labels = labelled_batch(slices, config, device.generator(seed, "finetune", step), augment)
            draws = device.generator(seed, "unlabelled", step)
            others = unlabelled_batch(slices, config, draws, augment)
            logits, taught = both(torch.cat([images, others]), others + clipped_noise(others, self.noise, draws))
            twice = others.repeat(2, 1, 1, 1)
            pairs = [look(twice + clipped_noise(twice, self.noise, draws)) for _ in range(self.passes // 2)]
            mean = mean_probabilities(pairs)
            mask = entropy(mean) < most * limit(step / config.steps)
            last.update(mask=mask, labels=mean.argmax(dim=1, keepdim=True))
            labelled, unlabelled = logits.split(config.batch)
            loss = segmentation_loss(labelled, labels, config.loss)
            weight = ramp(step / config.steps, weight=self.weight, silent=self.silent)
            return {EVERYTHING: loss + weight * masked_consistency(unlabelled, taught, mask)}

        return replace(
            usual,
            losses=losses,
            forward=forward,
            images_per_step=(3 + self.passes) * config.batch,
            result=teacher if self.tested == "teacher" else net,
            diagnostics=lambda: mask_rates(last["mask"], last["labels"]),
        )


def mean_probabilities(pairs: list[Tensor]) -> Tensor:
    """Mean probabilities (N, C, H, W), float32, of passes in pairs: logits (2 N, C, H, W) of the same slices twice."""
    return torch.stack([half for logits in pairs for half in logits.float().softmax(dim=1).chunk(2)]).mean(dim=0)


def entropy(probabilities: Tensor) -> Tensor:
    """Entropy of every pixel in nats: (N, C, H, W) to (N, 1, H, W)."""
    return -(probabilities * (probabilities + TINY).log()).sum(dim=1, keepdim=True)


def limit(done: float) -> float:
    """Below which share of the largest entropy a pixel counts, when a share ``done`` of the steps is done."""
    return AT_FIRST + (1 - AT_FIRST) * math.exp(-5 * (1 - done) ** 2)


def masked_consistency(logits: Tensor, taught: Tensor, mask: Tensor) -> Tensor:
    """Mean squared distance of the probabilities of two logits (N, C, H, W) over classes and the pixels of a mask; float32."""
    distance = (logits.float().softmax(dim=1) - taught.float().softmax(dim=1)).square()
    return (distance * mask).sum() / (distance.shape[1] * mask.sum() + EPSILON)


METHOD = UncertaintyAware
