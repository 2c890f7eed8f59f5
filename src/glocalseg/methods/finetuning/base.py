"""What a regime is: how labelled, and unlabelled, slices train the segmentation network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from glocalseg.config.model import Model
from glocalseg.config.settings import FinetuneConfig
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import TrainDraw, apply_training, draw_training
from glocalseg.training.device import Device
from glocalseg.training.task import Task

Augment = Callable[[Tensor, Tensor, TrainDraw], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Slices:
    """What a regime trains on, on the training device.

    ``images`` (n, 1, H, W) float32 and ``labels`` (n, C, H, W) float32 one-hot of the labelled volumes; ``unlabelled``
    (m, 1, H, W) float32 of the pretraining volumes, m = 0 for a regime that does not say ``unlabelled = True``.
    """

    images: Tensor
    labels: Tensor
    unlabelled: Tensor


class Regime(Model):
    """One way to train with few labels. Its fields are its options, by name in a benchmark, typed and bounded."""

    unlabelled: ClassVar[bool] = False  # whether it reads unlabelled slices: only then are they in the keys of its runs
    frozen: ClassVar[bool] = False  # whether it starts from features of slices, which a network that stays as it is made
    diagnostics: ClassVar[
        dict[str, str]
    ] = {}  # what of the log shows its known way of failing: name, and what to read from it

    def lead(self, config: FinetuneConfig) -> int:
        """How many steps come before the ``config.steps`` that train its result, at the peak of the learning rate."""
        return 0

    def begins(self, config: FinetuneConfig) -> tuple[int, ...]:
        """The steps after ``lead``, ascending, at which a new part of the training begins, with a schedule of its own."""
        return ()

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: FinetuneConfig) -> Task:
        """What is to be trained; its ``result`` is validated and tested.

        Args:
            net: on the device, with the weights that the run starts from.
            seed: of the run; every random number comes from (seed, purpose, step), see ``Device.generator``.
            config: loss, batch, augmentation, ...: alike for all regimes, so that they can be compared.

        The task's losses may ask no tensor for its values (``.item()``, ``nonzero``, ``if tensor``): the step would wait for the
        device.
        """
        raise NotImplementedError


def labelled_batch(
    slices: Slices, config: FinetuneConfig, generator: torch.Generator, augment: Augment = apply_training
) -> tuple[Tensor, Tensor]:
    """Augmented images (B, 1, H, W) and soft labels (B, C, H, W) of slices drawn uniformly with replacement.

    Args:
        generator: on the slices' device.
        augment: ``apply_training``, or what the device compiled of it.

    Source: docs/method.md 6.
    """
    index = torch.randint(len(slices.images), (config.batch,), generator=generator, device=generator.device)
    size = (slices.images.shape[2], slices.images.shape[3])
    draw = draw_training(config.batch, size, config.augment, generator)
    return augment(slices.images[index], slices.labels[index], draw)


def unlabelled_batch(
    slices: Slices, config: FinetuneConfig, generator: torch.Generator, augment: Augment = apply_training
) -> Tensor:
    """Augmented images (B, 1, H, W) of unlabelled slices drawn uniformly with replacement: as many as a labelled batch, alike."""
    index = torch.randint(len(slices.unlabelled), (config.batch,), generator=generator, device=generator.device)
    images = slices.unlabelled[index]
    draw = draw_training(config.batch, (images.shape[2], images.shape[3]), config.augment, generator)
    background = torch.ones_like(images)  # in place of labels, which nobody reads
    return augment(images, background, draw)[0]
