"""Pseudo-labels of all unlabelled slices, found anew by the network itself at the beginning of each of a few rounds.

The labelled steps of a training are split evenly: a first part without pseudo-labels, and then one part for each round. So a
regime with rounds makes as many steps on labelled slices as every other regime does.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from glocalseg.config.settings import FinetuneConfig
from glocalseg.methods.finetuning.base import Augment, Slices
from glocalseg.methods.finetuning.crf import Crf, refined
from glocalseg.methods.finetuning.unlabelled import one_hot
from glocalseg.training.augment.views import draw_training
from glocalseg.training.device import Device


def round_starts(steps: int, rounds: int) -> tuple[int, ...]:
    """The first step of every round; the first step of all is in none."""
    return tuple(max(1, round(n * steps / (rounds + 1))) for n in range(1, rounds + 1))


class PseudoLabels(nn.Module):
    """Classes of M unlabelled slices, background until they are first renewed: state, so that a resumed run has them.

    Args:
        size: (H, W) of a slice.
    """

    labels: Tensor  # (M, H, W) uint8
    usable: Tensor  # (M,) bool: where a structure was found

    def __init__(self, count: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("labels", torch.zeros(count, *size, dtype=torch.uint8))
        self.register_buffer("usable", torch.zeros(count, dtype=torch.bool))

    @torch.no_grad()
    def renew(self, net: nn.Module, images: Tensor, device: Device, *, at_once: int, crf: Crf | None) -> None:
        """Take the likeliest classes of images (M, 1, H, W), so many at once, as the network is tested: in inference mode.

        Args:
            crf: what refines them, or None.
        """
        tested = copy.deepcopy(net).eval()
        for shown, kept in zip(images.split(at_once), self.labels.split(at_once), strict=True):
            with device.autocast():
                logits = tested(shown)
            found = logits if crf is None else refined(logits, shown, crf)
            kept.copy_(found.argmax(dim=1))
        self.usable.copy_((self.labels > 0).flatten(1).any(dim=1))

    def batch(
        self, slices: Slices, config: FinetuneConfig, generator: torch.Generator, augment: Augment, *, empty: bool
    ) -> tuple[Tensor, Tensor]:
        """Augmented images (B, 1, H, W) and soft pseudo-labels (B, C, H, W) of slices drawn uniformly with replacement.

        Args:
            empty: whether slices without any structure are drawn, too. Where all are empty, they are drawn in either case.
        """
        if empty:  # to the bit those of ``unlabelled_batch``
            index = torch.randint(len(self.labels), (config.batch,), generator=generator, device=generator.device)
        else:
            index = drawn_among(self.usable, config.batch, generator)
        images, labels = slices.unlabelled[index], one_hot(self.labels[index][:, None], slices.labels.shape[1])
        draw = draw_training(config.batch, (images.shape[2], images.shape[3]), config.augment, generator)
        return augment(images, labels, draw)

    def foreground(self) -> Tensor:
        """Share of all pixels that are labelled a structure."""
        return (self.labels > 0).float().mean()

    def empty(self) -> Tensor:
        """Share of the slices without any structure."""
        return 1 - self.usable.float().mean()


def drawn_among(chosen: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """(n,) numbers of places that are True in (M,) bool, drawn uniformly with replacement; the last number where none is."""
    u = torch.rand(n, generator=generator, device=generator.device)
    count = chosen.sum()
    rank = torch.minimum((u * count).long() + 1, count.clamp(min=1))  # u * count may be rounded up to count
    return torch.searchsorted(chosen.cumsum(dim=0), rank).clamp(max=len(chosen) - 1)
