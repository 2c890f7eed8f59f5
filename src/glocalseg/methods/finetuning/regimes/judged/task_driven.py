"""Task-driven: two generators learn to deform and to recolour labelled slices, then the network trains on what they make.

Task-driven data augmentation, a comparison of the paper (docs/method.md 8). In the first stage one generator makes deformations
and one changes of intensity, each of a slice and noise. Each has a judge, which tells its slices from unlabelled ones, and a
segmentation network, and learns to deceive the judge, to help the segmentation, and to change much. In the second stage the
network, new at that point, trains on slices that were deformed, recoloured, both or neither.

Departures:
- The segmentation loss, the number of labelled slices a step and their augmentation are those of the other regimes here, in both
  stages; in the source that loss is weighted cross-entropy and the augmentation affine maps.
- The first stage comes before the steps that other regimes have, and is as long (lead_share). The tested network has as many
  labelled steps as theirs; the first stage's segmentation networks have theirs besides. Both generators learn at once, each with
  a judge and a segmentation network of its own, in the source one after the other.
- Its segmentation networks and that of the second stage begin at the run's weights; in the source at random ones.
- The first stage's last weights go on, in that code those whose segmentation network was best on validation.
- A generator changes a slice once; in that code one that is already changed once more for the judge.
- Around a deformed slice there is nothing, and background; in that code its border goes on.
- Networks halve a frame up to five times and down to four pixels a side, of 224 pixels to 7 as in that code; deformations are in
  pixels of such a frame. Generators run on statistics of their batch whenever they change a slice; in that code on running
  averages.
- Convolutions begin at He's weights, in that code at Glorot's; dense layers begin as there.

With task_gradient: release the segmentation loss sends no gradient to the generators, as in that code, where changed slices come
back to it as arrays; with paper it does.

Source: Chaitanya et al., Semi-supervised and Task-Driven Data Augmentation, IPMI 2019, arXiv 1902.05396, with its code
krishnabits001/task_driven_data_augmentation.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import FinetuneConfig
from glocalseg.methods.finetuning.base import Regime, Slices, labelled_batch, unlabelled_batch
from glocalseg.methods.finetuning.gan import (
    NOISE,
    FieldGenerator,
    SliceJudge,
    accuracy,
    begin_small,
    deformed,
    folded,
    passing,
    real_or_not,
)
from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.methods.pretraining.base import drawn
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_training
from glocalseg.training.device import Device
from glocalseg.training.randomness import generator
from glocalseg.training.task import Task

KINDS = ("deform", "recolour")
FRAME, BATCH = 224, 20  # the source's: pixels of a side, slices of a batch
PLAIN = (5, 14)  # of 20: how many slices stay as they are in the first stage, from and to
CUTS = ((1, 4), (5, 9), (10, 14))  # of 20: where in the second stage the deformed, the recoloured and those of both end
SATURATED = 0.98


class TaskDriven(Regime):
    """Labelled slices as supervised draws them; in the first stage as many unlabelled ones, which the judges see.

    Options:
        lead_share: steps of the first stage as a share of the second's.
        alone: share of the first stage, from its beginning, in which its segmentation networks train alone.
        task_gradient: whether the segmentation loss moves the generators: paper, or release, where it does not.
        adversarial: weight of the deception of the judges.
        change: weight of the mean size of a field, which is to be large.
        gan_rate: the generators' and judges' learning rate as a share of the schedule's.
    """

    unlabelled = True
    diagnostics: ClassVar[dict[str, str]] = {
        "folded": "Share of the deformed frame that is turned over; from some percent on deformed labels are torn.",
        "saturated": "Share of the intensity changes at their bound (beyond 0.98); near 1 recoloured slices are lost.",
        "judge_accuracy_deform": "How often the judge tells deformed slices from unlabelled ones; at 1 it has won.",
        "judge_accuracy_recolour": "The same of the judge of recoloured slices.",
    }
    lead_share: float = Field(default=1.0, gt=0, le=10)
    alone: float = Field(default=0.04, ge=0, lt=1)
    task_gradient: Literal["paper", "release"] = "paper"
    adversarial: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    change: float = Field(default=0.001, ge=0, allow_inf_nan=False)
    gan_rate: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    def lead(self, config: FinetuneConfig) -> int:
        """The steps of the first stage."""
        return max(1, round(self.lead_share * config.steps))

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: FinetuneConfig) -> Task:
        """Both generators with their judges and segmentation networks, and the network that trains on what they make."""
        size = (slices.images.shape[2], slices.images.shape[3])
        scale = max(size) / FRAME
        lead = self.lead(config)
        alone = round(self.alone * lead)
        helpers, generators, judges = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for kind in KINDS:
            field = FieldGenerator(size, 2 if kind == "deform" else 1, bounded=kind == "recolour", momentum=net.momentum)
            helpers[kind] = copy.deepcopy(net)
            generators[kind] = drawn(field, f"generator {kind}", seed, device)
            judges[kind] = drawn(SliceJudge(size, momentum=net.momentum), f"judge {kind}", seed, device)
            for module in (generators[kind], judges[kind]):
                begin_small(module, generator(seed, f"{type(module).__name__} {kind}"))
        last = {"step": 0}

        @device.compile
        def segment(shown: Tensor) -> Tensor:
            with device.autocast():
                return net(shown)

        @device.compile
        def helped(to_deform: Tensor, to_recolour: Tensor) -> tuple[Tensor, Tensor]:
            with device.autocast():
                return helpers["deform"](to_deform), helpers["recolour"](to_recolour)

        @device.compile
        def field_of(shown: Tensor, noise: Tensor) -> Tensor:
            with device.autocast():
                return generators["deform"](shown, noise)

        @device.compile
        def tint_of(shown: Tensor, noise: Tensor) -> Tensor:
            with device.autocast():
                return generators["recolour"](shown, noise)

        @device.compile
        def judged(moved: Tensor, tinted: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
            with device.autocast():
                return judges["deform"](torch.cat([others, moved])), judges["recolour"](torch.cat([others, tinted]))

        def forward(images: Tensor) -> Tensor:
            noise = images.new_zeros(len(images), NOISE)
            parts = [segment(images), *helped(images, images), *judged(images, images, images)]
            parts += [field_of(images, noise), tint_of(images, noise)]
            return torch.cat([part.flatten() for part in parts])

        augment, deform = device.compile(apply_training), device.compile(deformed)

        def labelled(step: int) -> tuple[Tensor, Tensor]:
            # in the second stage the labelled slices are to the bit those of the regime supervised
            purpose = "lead" if step < lead else "finetune"
            return labelled_batch(slices, config, device.generator(seed, purpose, step - lead * (step >= lead)), augment)

        def others_and_noise(step: int) -> tuple[Tensor, Tensor, torch.Generator]:
            draws = device.generator(seed, "unlabelled", step)
            others = unlabelled_batch(slices, config, draws, augment)
            return others, torch.randn(config.batch, NOISE, generator=draws, device=device.device), draws

        def first_stage(step: int) -> dict[str, Tensor]:
            images, labels = labelled(step)
            if step < alone:
                said = helped(images, images)
                return {"helpers": sum_of(segmentation_loss(s, labels, config.loss) for s in said)}
            others, noise, draws = others_and_noise(step)
            field, tint = field_of(images, noise).float(), tint_of(images, noise).float()
            moved, moved_labels = deform(images, labels, field * scale)
            tinted = images + tint
            plain = before(cut(*PLAIN, config.batch, draws), config.batch)
            seen = [(moved, moved_labels), (tinted, labels)]
            if self.task_gradient == "release":
                seen = [(shown.detach(), truth.detach()) for shown, truth in seen]
            seen = [(torch.where(plain, images, shown), torch.where(plain, labels, truth)) for shown, truth in seen]
            said = helped(seen[0][0], seen[1][0])
            task_loss = sum_of(segmentation_loss(s, truth, config.loss) for s, (_, truth) in zip(said, seen, strict=True))
            deception = sum_of(passing(both[config.batch :]) for both in judged(moved, tinted, others))
            size_loss = field.abs().mean() + tint.abs().mean()
            loss = task_loss + self.adversarial * deception - self.change * size_loss
            verdicts = judged(moved.detach(), tinted.detach(), others)
            judging = sum_of(real_or_not(*both.split(config.batch)) for both in verdicts)
            return {"helpers": loss, "generators": loss, "judges": judging}

        @torch.no_grad()
        def mixed(step: int) -> tuple[Tensor, Tensor]:
            images, labels = labelled(step)
            draws = device.generator(seed, "mixed", step)
            noise = torch.randn(config.batch, NOISE, generator=draws, device=device.device)
            moved, moved_labels = deform(images, labels, field_of(images, noise).float() * scale)
            moves, tints = composition(config.batch, draws)
            images, labels = torch.where(moves, moved, images), torch.where(moves, moved_labels, labels)
            return images + tints * tint_of(images, noise).float(), labels

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            last["step"] = step
            if step < lead:
                return first_stage(step)
            images, labels = mixed(step)
            return {"net": segmentation_loss(segment(images), labels, config.loss)}

        @torch.no_grad()
        def diagnostics() -> dict[str, Tensor]:
            made, judge = copy.deepcopy(generators), copy.deepcopy(judges)  # their running averages are not to move
            images, labels = labelled(last["step"])
            others, noise, _ = others_and_noise(last["step"])
            field, tint = made["deform"](images, noise), made["recolour"](images, noise)
            moved, _ = deformed(images, labels, field * scale)
            verdicts = judge["deform"](torch.cat([others, moved])), judge["recolour"](torch.cat([others, images + tint]))
            right = [accuracy(*both.split(config.batch)) for both in verdicts]
            return {
                "folded": folded(field * scale),
                "saturated": (tint.abs() > SATURATED).float().mean(),
                "judge_accuracy_deform": right[0],
                "judge_accuracy_recolour": right[1],
            }

        modules = nn.ModuleDict({"network": net, "helpers": helpers, "generators": generators, "judges": judges}).train()
        optimised = {"net": ("network",), "helpers": ("helpers",), "generators": ("generators",), "judges": ("judges",)}
        rates = {"generators": self.gan_rate, "judges": self.gan_rate}
        return Task(modules, losses, forward, config.batch, net, optimised=optimised, rates=rates, diagnostics=diagnostics)


def sum_of(values: Iterable[Tensor]) -> Tensor:
    """The sum of scalars."""
    return torch.stack(list(values)).sum()


def composition(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Which slices of a batch of the second stage are deformed, and which are recoloured, (batch, 1, 1, 1) bool each.

    They lie in this order: deformed, recoloured, both, neither.
    """
    first, second, third = (before(cut(*part, batch, generator), batch) for part in CUTS)
    return first | (third & ~second), third & ~first


def cut(first: int, last: int, batch: int, generator: torch.Generator) -> Tensor:
    """Where a batch is cut, (1,): a number from first to last of 20 slices, drawn uniformly, as a share of the batch."""
    drawn_cut = torch.randint(first, last + 1, (1,), generator=generator, device=generator.device)
    return (drawn_cut * batch / BATCH).round()


def before(end: Tensor, batch: int) -> Tensor:
    """Which slices of a batch lie before a cut, (batch, 1, 1, 1) bool."""
    return (torch.arange(batch, device=end.device) < end).view(-1, 1, 1, 1)


METHOD = TaskDriven
