"""BCP: labelled and unlabelled slices are pasted into one another, the unlabelled part labelled by a moving average, the teacher.

Bidirectional copy-paste. A box of two thirds of the sides is drawn once a step; half of the slices are labelled inside of it and
unlabelled outside, half the other way round. In a first stage labelled slices are pasted into labelled ones, and the teacher
begins as the network that comes of it. The network is tested.

Departures:
- The first stage is the first quarter of the benchmark's steps, as it is of that code's 40,000: so the regime makes as many
  steps on labelled slices as the others do. Its last weights go on, in that code those that were best on validation.
- The segmentation loss is the benchmark's, of the labelled and of the other pixels of a slice apart; in that code the mean of
  Dice over a batch and cross-entropy.
- Labelled slices are those of the other regimes here, all of them in both stages; as many unlabelled ones, augmented alike, join
  them in the second. In the first, each slice is pasted into one of the same half, so that every labelled pixel counts once; that
  code pastes half of the slices into the other half, and what is pasted over counts for nothing.
- In the second stage a labelled slice counts inside the box alone or outside of it alone, as in that code: so the regime makes as
  many steps on labelled slices as the others do, but sees some half of their labelled pixels.
- The teacher's momentum rises to 0.99 from the second stage's beginning, as the other teachers' here; in that code it is 0.99.
- Both kinds of pasted slices are one batch of the network; that code shows them one after the other.
- Optimiser and learning rate are the benchmark's; that code uses stochastic gradient descent at a constant rate.

A pseudo-label is the teacher's likeliest class, where that class has its largest component in the slice (largest: false for all
of it). Components are found on the device in a fixed number of rounds, enough for shapes far more tangled than organs are. The
teacher labels by the statistics of its own batch, as in that code; its running averages are averaged with the network's, and
nothing reads them.

Source: Bai et al., Bidirectional Copy-Paste for Semi-Supervised Medical Image Segmentation, CVPR 2023, arXiv 2305.00673, with
its code DeepMed-Lab-ECNU/BCP.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import FinetuneConfig
from glocalseg.methods.finetuning.base import Regime, Slices, labelled_batch, unlabelled_batch
from glocalseg.methods.finetuning.unlabelled import masked_loss, one_hot, share_of
from glocalseg.methods.momentum import follow, momentum_copy
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import apply_training
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task

ROUNDS, JUMPS = 6, 3  # of finding components: a spiral through the whole of a frame of 192 pixels takes five rounds
NEIGHBOURS = tuple((y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1))


class CopyPaste(Regime):
    """Labelled slices as supervised draws them; in the second stage as many unlabelled ones.

    Options:
        first_stage: share of the steps, from the first, that paste labelled slices into labelled ones.
        box: side of the box as a share of the frame's.
        weight: of pseudo-labelled pixels beside labelled ones.
        momentum: of the teacher, which it rises to: step t of the second stage, from 0, has min(1 - 1 / (t + 1), momentum).
        largest: whether a class of a pseudo-label is its largest component alone.
    """

    unlabelled = True
    diagnostics: ClassVar[dict[str, str]] = {
        "foreground": "Share of the unlabelled pixels labelled a structure; 0 in the first stage, later if all is background.",
        "kept": "Share of the teacher's structures that is their largest component; far below 1 the step deletes second parts.",
    }
    first_stage: float = Field(default=0.25, ge=0, lt=1)
    box: float = Field(default=2 / 3, gt=0, lt=1)
    weight: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    momentum: float = Field(default=0.99, ge=0, lt=1)
    largest: bool = True

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: FinetuneConfig) -> Task:
        """The network, its teacher, and the loss of both parts of pasted slices."""
        teacher = momentum_copy(net)
        classes, size = slices.labels.shape[1], (slices.images.shape[2], slices.images.shape[3])
        leading = round(self.first_stage * config.steps)
        last = {name: torch.zeros((), device=device.device) for name in self.diagnostics}

        @device.compile
        def segment(shown: Tensor) -> Tensor:
            with device.autocast():
                return net(shown)

        @device.compile
        def taught(others: Tensor) -> Tensor:
            with device.autocast(), torch.no_grad():
                return teacher(others)

        def forward(images: Tensor) -> Tensor:
            shown, others = images.chunk(2)
            return torch.cat([segment(shown), taught(others)])

        augment = device.compile(apply_training)

        def pseudo_labels(others: Tensor) -> Tensor:
            found = taught(others).argmax(dim=1, keepdim=True)
            kept = largest_components(found, classes) if self.largest else found
            last.update(foreground=(kept > 0).float().mean(), kept=share_of(kept > 0, found > 0))
            return one_hot(kept, classes)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            # the labelled slices are to the bit those of the regime supervised
            images, labels = labelled_batch(slices, config, device.generator(seed, "finetune", step), augment)
            draws = device.generator(seed, "unlabelled", step)
            if step < leading:
                others, other_labels, weight = next_in_half(images), next_in_half(labels), 1.0
            else:
                others, weight = unlabelled_batch(slices, config, draws, augment), self.weight
                other_labels = pseudo_labels(others)
            own = own_part(config.batch, box_of(size, self.box, draws))
            logits = segment(torch.where(own, images, others))
            loss = masked_loss(logits, labels, own, config.loss)
            return {EVERYTHING: loss + weight * masked_loss(logits, other_labels, ~own, config.loss)}

        def after_step(step: int) -> None:
            if step >= leading:
                follow_whole(teacher, net, min(1 - 1 / (step - leading + 1), self.momentum))
            elif step == leading - 1:
                follow_whole(teacher, net, 0.0)

        modules = nn.ModuleDict({"network": net, "teacher": teacher}).train()
        return Task(modules, losses, forward, 2 * config.batch, net, after_step=after_step, diagnostics=lambda: dict(last))


def box_of(size: tuple[int, int], share: float, generator: torch.Generator) -> Tensor:
    """(H, W) bool: a box whose sides are a share of the frame's, rounded down, at a random place inside of it."""
    inside = []
    for side in size:
        pixels = int(side * share)
        first = torch.randint(side - pixels + 1, (1,), generator=generator, device=generator.device)
        place = torch.arange(side, device=generator.device)
        inside.append((place >= first) & (place < first + pixels))
    return inside[0][:, None] & inside[1]


def own_part(n: int, box: Tensor) -> Tensor:
    """(N, 1, H, W) bool: the pixels that a slice keeps, for the first half of N inside a box (H, W), for the others outside."""
    first = torch.arange(n, device=box.device).view(-1, 1, 1, 1) < (n + 1) // 2
    return first == box


def next_in_half(rows: Tensor) -> Tensor:
    """Rows (N, ...) in the order in which they are pasted into one another: each half of N, as own_part's, shifted by one.

    So what a slice loses where it is pasted over stands in the slice beside it: every labelled pixel counts once.
    Half of a batch of 2 or 3 may be a single slice, which meets itself.
    """
    return torch.cat([half.roll(1, dims=0) for half in rows.tensor_split(2)])


def largest_components(classes: Tensor, count: int) -> Tensor:
    """Classes (N, 1, H, W), int64, with background, 0, in place of all but the largest component of each class in each slice.

    Diagonal neighbours are connected. Of components of equal size the one that reaches further down stays.
    """
    flat, root = classes.flatten(1), components(classes)
    size = torch.zeros_like(root).scatter_add(1, root, torch.ones_like(root))
    rank = (size * root.shape[1]).gather(1, root) + root  # different for different components
    one = flat[:, None] == torch.arange(count, device=flat.device)[:, None]
    best = (one * rank[:, None]).amax(dim=2)
    return torch.where(rank == best.gather(1, flat), flat, 0).view_as(classes)


def components(classes: Tensor) -> Tensor:
    """For every pixel of classes (N, 1, H, W) the last pixel of its component, by number: (N, H W) int64.

    Every pixel points at a pixel of its component. In a round it and the one that it points at turn to the last one that a
    neighbour points at, and then all follow where that one points.
    """
    n, _, height, width = classes.shape
    padded = F.pad(classes, (1, 1, 1, 1), value=-1)
    alike = [padded[:, :, y : y + height, x : x + width] == classes for y, x in NEIGHBOURS]
    root = torch.arange(height * width, device=classes.device).expand(n, -1)
    for _ in range(ROUNDS):
        around, furthest = F.pad(root.view(n, 1, height, width), (1, 1, 1, 1)), root.view(n, 1, height, width)
        for same, (y, x) in zip(alike, NEIGHBOURS, strict=True):
            furthest = torch.maximum(furthest, torch.where(same, around[:, :, y : y + height, x : x + width], 0))
        reached = furthest.flatten(1)
        root = torch.maximum(root.scatter_reduce(1, root, reached, "amax"), reached)
        for _ in range(JUMPS):
            root = root.gather(1, root)
    return root


@torch.no_grad()
def follow_whole(kept: nn.Module, module: nn.Module, momentum: float) -> None:
    """Move parameters and running averages of ``kept`` towards those of ``module``; what counts is copied."""
    follow(kept, module, momentum)
    for old, new in zip(kept.buffers(), module.buffers(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - momentum)
        else:
            old.copy_(new)


METHOD = CopyPaste
