"""FixMatch: what the network says of a slice, where it is sure of it, labels a strongly changed view of the same slice.

Supervised on labelled slices. An unlabelled slice, augmented as a labelled one, is labelled pixel by pixel; the strong view has
the same geometry, other intensities and a box of another slice.

Departures:
- Sure means a probability of at least 0.95. With confidence: release it is the rule of the code that most comparisons use, the
  largest probability less the smallest as a share of the largest, above 0.8, which nearly every pixel passes. A pixel that is
  not sure counts for nothing; that code takes it for background, and adds Dice and a loss of the least likely class.
- Brightness, contrast and blur make the strong view, with CutMix, as is usual for segmentation; in the source it is one of many
  changes of natural images, and a cut.
- As many unlabelled slices a step as labelled ones; the source takes seven times as many. A box comes from another unlabelled
  slice of the same step.
- The weight of the unlabelled loss is 1 from the first step, as in the source; that code lets one of 0.1 rise.
- No weight decay and no moving average of the weights: optimiser and learning rate are the benchmark's.

Labelled slices and strong views are one batch of the network, and the weak views another without gradient, so its batch norm
sees both.

Source: Sohn et al., FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence, NeurIPS 2020, arXiv
2001.07685; its strong views as in Yang et al., arXiv 2208.09910, the other rule as in HiLab-git/SSL4MIS.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import FinetuneConfig
from glocalseg.methods.finetuning.base import Regime, Slices, labelled_batch, unlabelled_batch
from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.methods.finetuning.unlabelled import (
    apply_strong,
    confidence,
    cutmix_boxes,
    draw_strong,
    mask_rates,
    one_hot,
    pasted,
    pixel_cross_entropy,
)
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_training
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task

SURE = {"probability": 0.95, "release": 0.8}


class FixMatch(Regime):
    """Labelled slices as supervised draws them, and as many unlabelled ones in a weak and a strong view.

    Options:
        weight: of the unlabelled loss.
        confidence: what is compared with tau: probability, or the release's rule, see above.
        tau: from where on a pixel counts; left out 0.95, and 0.8 of the release's rule.
        jitter: half-width of brightness and contrast of the strong view.
        blur: its largest standard deviation in pixels.
        cutmix: probability that it has a box of another slice; 0 for none.
    """

    unlabelled = True
    diagnostics: ClassVar[dict[str, str]] = {
        "mask_rate": "Share of the unlabelled pixels that the network is sure of; all others count for nothing.",
        "mask_rate_foreground": "The same share of the pixels taken for a structure; near 0 only background is taught.",
        "foreground": "Share of the unlabelled pixels that are taken for a structure; 0 is a network that sees background alone.",
    }
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    confidence: Literal["probability", "release"] = "probability"
    tau: float | None = Field(default=None, ge=0, lt=1)
    jitter: float = Field(default=0.5, ge=0, le=1)
    blur: float = Field(default=2.0, ge=0, allow_inf_nan=False)
    cutmix: float = Field(default=0.5, ge=0, le=1)

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: FinetuneConfig) -> Task:
        """The network, and the segmentation loss with the cross-entropy of what it is sure of."""
        classes, size = slices.labels.shape[1], (slices.images.shape[2], slices.images.shape[3])
        tau = SURE[self.confidence] if self.tau is None else self.tau
        last: dict[str, Tensor] = {}

        @device.compile
        def both(shown: Tensor, weak: Tensor) -> tuple[Tensor, Tensor]:
            # each in a context of its own: up to torch 2.10 the second pass would take the first one's weights of lower precision
            # from the context's memory, and those have no gradient
            with device.autocast(), torch.no_grad():
                said = net(weak)
            with device.autocast():
                return net(shown), said

        def forward(images: Tensor) -> Tensor:
            return torch.cat(both(*images.split([2 * len(images) // 3, len(images) // 3])))

        augment, strongly = device.compile(apply_training), device.compile(apply_strong)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            # the labelled slices are to the bit those of the regime supervised
            images, labels = labelled_batch(slices, config, device.generator(seed, "finetune", step), augment)
            draws = device.generator(seed, "unlabelled", step)
            weak = unlabelled_batch(slices, config, draws, augment)
            draw = draw_strong(config.batch, jitter=self.jitter, blur=self.blur, generator=draws)
            boxes = cutmix_boxes(config.batch, size, self.cutmix, draws)
            logits, said = both(torch.cat([images, pasted(strongly(weak, draw), boxes)]), weak)
            found, sure = confidence(said, self.confidence)
            counted = sure >= tau
            last.update(counted=counted, found=found)
            labelled, unlabelled = logits.split(config.batch)
            loss = segmentation_loss(labelled, labels, config.loss)
            return {
                EVERYTHING: loss + self.weight * sure_loss(unlabelled, pasted(found, boxes), pasted(counted, boxes), classes)
            }

        return Task(
            nn.ModuleDict({"network": net.train()}),
            losses,
            forward,
            3 * config.batch,
            net,
            diagnostics=lambda: mask_rates(last["counted"], last["found"]),
        )


def sure_loss(logits: Tensor, labels: Tensor, counted: Tensor, classes: int) -> Tensor:
    """Cross-entropy of logits (N, C, H, W) with labels (N, 1, H, W) where a pixel counts, as a mean over all pixels."""
    return (pixel_cross_entropy(logits, one_hot(labels, classes)) * counted).mean()


METHOD = FixMatch
