"""Self-training: supervised, and then, in rounds, also on the labels that the network itself gives to unlabelled slices.

A comparison of the paper (docs/method.md 8). At the beginning of a round the network labels all slices of the pretraining
volumes; until the next one as many of them as labelled slices are trained on, with these labels.

Departures:
- The steps are those of the other regimes, split evenly: one part without pseudo-labels, then one for each round. The paper's
  rounds are not released; in the authors' later code a round has as many steps as the first training by a comment, and 301.
- Weights and the optimiser's averages go on from round to round; with restart: true a round begins at the weights that the run
  began with, but with the optimiser's averages as they are.
- Each part has the schedule of a whole training, so labels come from weights whose learning rate has come down. A round begins at
  the last weights of the part before; in the authors' later code, whose rate is constant, at those that were best on validation.
- Pseudo-labels are the likeliest classes, and their slices count as much as labelled ones; the paper's weight is not known.
- Slices in which no structure was found are not drawn (empty: true draws them). If there are no others, none are learnt from.
- The authors' later code refines the labels by a conditional random field, the paper does not say so: refine: crf has it, with
  widths as shares of the frame. There appearance reaches a hundredth of a pixel, so the image has no part in it; reach widens it.
- Labelled volumes that are in the pretraining list too are pseudo-labelled like all others of it.

The network labels in inference mode, as it is tested. Labelled and pseudo-labelled slices are one batch of it.

Source: Bai et al., Semi-supervised learning for network-based cardiac MR image segmentation, MICCAI 2017; as a comparison
docs/method.md 8, and krishnabits001/pseudo_label_contrastive_training for rounds and refinement.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import FinetuneConfig
from glocalseg.methods.finetuning.base import Regime, Slices, labelled_batch
from glocalseg.methods.finetuning.crf import Crf
from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.methods.finetuning.pseudo_labels import PseudoLabels, round_starts
from glocalseg.methods.momentum import momentum_copy
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_training
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task


class SelfTraining(Regime):
    """Labelled slices as supervised draws them; from the first round on as many unlabelled ones.

    Options:
        rounds: how often the unlabelled slices are labelled.
        restart: whether a round begins at the weights that the run began with.
        weight: of pseudo-labelled slices beside labelled ones.
        empty: whether slices in which no structure was found are drawn.
        refine: what refines the pseudo-labels: none, or crf.
        reach: of the refinement's appearance kernel, its standard deviation in pixels of a 192-pixel frame.
    """

    unlabelled = True
    diagnostics: ClassVar[dict[str, str]] = {
        "foreground": "Share of the pseudo-labelled pixels that is a structure; 0 before the first round, later if all is lost.",
        "empty": "Share of the unlabelled slices without any structure in their labels; 1 before the first round.",
    }
    rounds: int = Field(default=3, ge=1, le=100)
    restart: bool = False
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    empty: bool = False
    refine: Literal["none", "crf"] = "none"
    reach: float = Field(default=0.01, gt=0, le=2)

    def begins(self, config: FinetuneConfig) -> tuple[int, ...]:
        """The first step of every round."""
        return round_starts(config.steps, self.rounds)

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: FinetuneConfig) -> Task:
        """The network and its pseudo-labels, and the segmentation losses of both kinds of slices."""
        starts = self.begins(config)
        count, _, height, width = slices.unlabelled.shape
        found = PseudoLabels(count, (height, width)).to(device.device)
        crf = Crf(reach=self.reach) if self.refine == "crf" else None
        modules = nn.ModuleDict({"network": net, "pseudo_labels": found})
        if self.restart:
            modules["start"] = momentum_copy(net)

        @device.compile
        def forward(shown: Tensor) -> Tensor:
            with device.autocast():
                return net(shown)

        augment = device.compile(apply_training)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            if step in starts:
                found.renew(net, slices.unlabelled, device, at_once=2 * config.batch, crf=crf)
                if self.restart:
                    begin_again(net, modules["start"])
            # the labelled slices are to the bit those of the regime supervised
            images, labels = labelled_batch(slices, config, device.generator(seed, "finetune", step), augment)
            if step < starts[0]:
                return {EVERYTHING: segmentation_loss(forward(images), labels, config.loss)}
            draws = device.generator(seed, "unlabelled", step)
            others, taught = found.batch(slices, config, draws, augment, empty=self.empty)
            labelled, unlabelled = forward(torch.cat([images, others])).split(config.batch)
            weight = self.weight if self.empty else self.weight * found.usable.any()
            loss = segmentation_loss(labelled, labels, config.loss)
            return {EVERYTHING: loss + weight * segmentation_loss(unlabelled, taught, config.loss)}

        def diagnostics() -> dict[str, Tensor]:
            return {"foreground": found.foreground(), "empty": found.empty()}

        return Task(modules.train(), losses, forward, 2 * config.batch, net, diagnostics=diagnostics)


@torch.no_grad()
def begin_again(net: nn.Module, start: nn.Module) -> None:
    """Give a network the weights and running averages of its copy."""
    for now, then in zip(net.state_dict().values(), start.state_dict().values(), strict=True):
        now.copy_(then)


METHOD = SelfTraining
