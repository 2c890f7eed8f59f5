"""CPS: two networks of different random weights, each taught on unlabelled slices what the other sees there.

Cross pseudo supervision. Both learn from the same labelled slices; of the same unlabelled ones each has the likeliest classes of
the other for labels, by cross-entropy, whose weight rises along exp(-5 (1 - T)^2), T the share of the steps that are done. The
first network is what is validated and tested, fixed in advance.

Departures:
- The segmentation loss, the number of labelled slices a step and their augmentation are those of the other regimes here; as
  many unlabelled slices, augmented alike, join them. In the code that most comparisons use the segmentation loss is the mean of
  Dice and cross-entropy: where the benchmark's is their sum, pseudo-labels weigh half as much beside it as there.
- Pseudo-labels are of unlabelled slices alone and their weight rises to 0.1, as in the code that most comparisons use; in the
  source also of labelled ones, at a constant weight of 1.5 in its main experiment.
- Both see the same views, as in that code; the source's best results add boxes of other slices (CutMix).
- After a pretraining the first network has its weights, and the second is drawn anew (second: random). Two networks with the
  pretrained weights agree from the start; second: same has that, all but the last layer alike.
- Validation looks at the first network; that code scores both.

A second network that fails to train teaches the first what it sees: the diagnostics show it.

Source: Chen et al., Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision, CVPR 2021, arXiv 2106.01226; for
medical images as in HiLab-git/SSL4MIS.
"""

from __future__ import annotations

import copy
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import FinetuneConfig
from glocalseg.methods.finetuning.base import Regime, Slices, labelled_batch, unlabelled_batch
from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.methods.finetuning.regimes.consistency.mean_teacher import ramp
from glocalseg.methods.finetuning.unlabelled import one_hot, pixel_cross_entropy
from glocalseg.networks.build import initialise
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_training
from glocalseg.training.device import Device
from glocalseg.training.randomness import seed_of
from glocalseg.training.task import EVERYTHING, Task

NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


class CrossPseudo(Regime):
    """Labelled slices as supervised draws them, and as many unlabelled ones, all shown to both networks.

    Options:
        weight: of the pseudo-labels' loss at the end.
        silent: share of the steps, from the first, without it.
        second: where the second network begins: at random weights of its own, or at the same as the first but for the last layer.
    """

    unlabelled = True
    diagnostics: ClassVar[dict[str, str]] = {
        "agreement": "Dice of the two networks' structures on unlabelled slices; early at 1 they teach each other nothing.",
        "foreground": "Share of the unlabelled pixels that the first network, the tested one, takes for a structure.",
        "foreground_second": "The same share of the second network; at 0 it fails to train, and teaches the first background.",
    }
    weight: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    silent: float = Field(default=0.0, ge=0, lt=1)
    second: Literal["random", "same"] = "random"

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: FinetuneConfig) -> Task:
        """Both networks, their segmentation losses and what each makes of the other's labels."""
        other = another(net, self.second, seed)
        device.place(other)
        last: dict[str, Tensor] = {}

        @device.compile
        def both(shown: Tensor, to_other: Tensor) -> tuple[Tensor, Tensor]:
            with device.autocast():
                return net(shown), other(to_other)

        def forward(images: Tensor) -> Tensor:
            return torch.cat(both(*images.chunk(2)))

        augment = device.compile(apply_training)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            # the labelled slices are to the bit those of the regime supervised
            images, labels = labelled_batch(slices, config, device.generator(seed, "finetune", step), augment)
            others = unlabelled_batch(slices, config, device.generator(seed, "unlabelled", step), augment)
            shown = torch.cat([images, others])
            parts = [logits.split(config.batch) for logits in both(shown, shown)]
            (labelled, first), (labelled_too, second) = parts
            loss = segmentation_loss(labelled, labels, config.loss) + segmentation_loss(labelled_too, labels, config.loss)
            found = [logits.detach().argmax(dim=1, keepdim=True) for logits in (first, second)]
            last.update(first=found[0], second=found[1])
            weight = ramp(step / config.steps, weight=self.weight, silent=self.silent)
            return {EVERYTHING: loss + weight * (taught_loss(first, found[1]) + taught_loss(second, found[0]))}

        def diagnostics() -> dict[str, Tensor]:
            first, second = last["first"], last["second"]
            return {
                "agreement": agreement(first, second),
                "foreground": (first > 0).float().mean(),
                "foreground_second": (second > 0).float().mean(),
            }

        modules = nn.ModuleDict({"network": net, "second": other}).train()
        return Task(modules, losses, forward, 4 * config.batch, net, diagnostics=diagnostics)


def another(net: SegmentationNet, kind: Literal["random", "same"], seed: int) -> SegmentationNet:
    """A second network like the first, drawn anew from the seed: all of it, or its last layer alone.

    Anew are convolutions, dense layers and norms, which are all that a U-Net has; whatever else an exchanged encoder has stays.
    """
    other = copy.deepcopy(net)
    part = other if kind == "random" else other.head[-1]
    for layer in part.modules():
        if isinstance(layer, NORMS):
            layer.reset_parameters()
    initialise(part, seed_of(seed, "second network"))
    return other


def taught_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of logits (N, C, H, W) with the classes (N, 1, H, W) that another network found; float32."""
    return pixel_cross_entropy(logits, one_hot(labels, logits.shape[1])).mean()


def agreement(first: Tensor, second: Tensor) -> Tensor:
    """Dice of what two maps of classes both call the same structure; 0 where neither has a structure."""
    alike = ((first == second) & (first > 0)).sum()
    return 2 * alike / ((first > 0).sum() + (second > 0).sum()).clamp(min=1)


METHOD = CrossPseudo
