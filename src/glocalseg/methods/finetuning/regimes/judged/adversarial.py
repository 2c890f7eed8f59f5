"""Adversarial: a judge tells segmentations of labelled slices from those of unlabelled ones, and the network is to deceive it.

Deep adversarial network, DAN; a comparison of the paper (docs/method.md 8), whose own values are not released. The judge sees a
slice and its probabilities. Beside the segmentation loss, the network learns to let the judge take its probabilities of
unlabelled slices for those of labelled ones. The weight of that rises along exp(-5 (1 - T)^2), T the share of the steps done.

Departures:
- The segmentation loss, the number of labelled slices a step and their augmentation are those of the other regimes here; as
  many unlabelled slices, augmented alike, join them. In the source unlabelled slices come in after a supervised training. In
  the code that most comparisons use the segmentation loss is the mean of Dice and cross-entropy: where the benchmark's is their
  sum, deceiving the judge weighs half as much beside it as there.
- The judge's last map is averaged whatever the frame; in that code it is cut to 2 x 2 by 7 x 7 means,
  for frames of 256 pixels.
- The judge learns from the probabilities that the network has its gradient of; in that code from new ones, of the network after
  its step and in inference mode.
- The optimiser is the benchmark's, for the judge at a tenth of its rate: that code's 0.0001 where the benchmark's is 0.001;
  there the network has stochastic gradient descent with a falling rate, and the judge's Adam other averages.

As in that code the judge drops half of the channels of its maps while it learns, and none while it judges for the network.

Source: Zhang et al., Deep adversarial networks for biomedical image segmentation utilizing unannotated images, MICCAI 2017;
networks and weights as in HiLab-git/SSL4MIS.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import FinetuneConfig
from glocalseg.methods.finetuning.base import Regime, Slices, labelled_batch, unlabelled_batch
from glocalseg.methods.finetuning.gan import SegmentationJudge, accuracy
from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.methods.finetuning.regimes.consistency.mean_teacher import ramp
from glocalseg.methods.pretraining.base import drawn
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_training
from glocalseg.training.device import Device
from glocalseg.training.task import Task

OTHER, ANNOTATED = 0, 1  # what a judge says of a slice


class Adversarial(Regime):
    """Labelled slices as supervised draws them, and as many unlabelled ones.

    Options:
        weight: of the deception at the end.
        silent: share of the steps, from the first, without it; the judge learns in them.
        judge_rate: the judge's learning rate as a share of the network's.
    """

    unlabelled = True
    diagnostics: ClassVar[dict[str, str]] = {
        "judge_accuracy": "How often the judge is right; at 1 it has won and teaches little, at 0.5 it cannot tell.",
        "judge_accuracy_swapped": "The same after both kinds swapped probabilities; as high, it judges by the images alone.",
        "foreground": "Share of the unlabelled pixels that the network takes for a structure.",
    }
    weight: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    silent: float = Field(default=0.0, ge=0, lt=1)
    judge_rate: float = Field(default=0.1, gt=0, allow_inf_nan=False)

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: FinetuneConfig) -> Task:
        """The network and the judge, each with a loss and an optimiser of its own."""
        classes, size = slices.labels.shape[1], (slices.images.shape[2], slices.images.shape[3])
        judge = drawn(SegmentationJudge(classes, size), "judge", seed, device)
        last: dict[str, Tensor] = {}

        @device.compile
        def segment(shown: Tensor) -> Tensor:
            with device.autocast():
                return net(shown)

        @device.compile
        def judged(probabilities: Tensor, shown: Tensor, dropped: list[Tensor]) -> Tensor:
            with device.autocast():
                return judge(probabilities, shown, dropped)

        def forward(shown: Tensor) -> Tensor:
            logits = segment(shown)
            return torch.cat([logits.flatten(1), judged(logits.float().softmax(dim=1), shown, [])], dim=1)

        augment = device.compile(apply_training)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            # the labelled slices are to the bit those of the regime supervised
            images, labels = labelled_batch(slices, config, device.generator(seed, "finetune", step), augment)
            draws = device.generator(seed, "unlabelled", step)
            others = unlabelled_batch(slices, config, draws, augment)
            shown = torch.cat([images, others])
            logits = segment(shown)
            probabilities = logits.float().softmax(dim=1)
            last.update(probabilities=probabilities.detach(), shown=shown)
            weight = ramp(step / config.steps, weight=self.weight, silent=self.silent)
            deception = verdict_loss(judged(probabilities[config.batch :], others, []), ANNOTATED)
            dropped = judge.draw_dropout(2 * config.batch, draws)
            own, unlabelled = judged(probabilities.detach(), shown, dropped).split(config.batch)
            return {
                "net": segmentation_loss(logits[: config.batch], labels, config.loss) + weight * deception,
                "judge": (verdict_loss(own, ANNOTATED) + verdict_loss(unlabelled, OTHER)) / 2,
            }

        @torch.no_grad()
        def diagnostics() -> dict[str, Tensor]:
            probabilities, shown = last["probabilities"], last["shown"]
            seen = judge(probabilities, shown), judge(probabilities.roll(config.batch, dims=0), shown)
            right = [accuracy(*(said[:, ANNOTATED] - said[:, OTHER]).split(config.batch)) for said in seen]
            structure = probabilities[config.batch :].argmax(dim=1) > 0
            return {
                "judge_accuracy": right[0],
                "judge_accuracy_swapped": right[1],
                "foreground": structure.float().mean(),
            }

        modules = nn.ModuleDict({"network": net, "judge": judge}).train()
        optimised = {"net": ("network",), "judge": ("judge",)}
        rates = {"judge": self.judge_rate}
        return Task(
            modules, losses, forward, 2 * config.batch, net, optimised=optimised, rates=rates, diagnostics=diagnostics
        )


def verdict_loss(logits: Tensor, right: int) -> Tensor:
    """Mean cross-entropy of a judge's logits (N, 2) with one verdict, which is right for all; float32."""
    return -logits.float().log_softmax(dim=1)[:, right].mean()


METHOD = Adversarial
