"""What a regime is: how labelled, and unlabelled, slices train the segmentation network."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from glocalseg.augment.views import TrainDraw, apply_training
from glocalseg.config import FinetuneConfig


@dataclass(frozen=True)
class Slices:
    """What a regime trains on, on the training device.

    ``images`` (n, 1, H, W) float32 and ``labels`` (n, C, H, W) float32 one-hot of the labelled volumes; ``unlabelled``
    (m, 1, H, W) float32 of the pretraining volumes. ``augment`` is ``apply_training``, compiled where the device compiles.
    """

    images: Tensor
    labels: Tensor
    unlabelled: Tensor
    augment: Callable[[Tensor, Tensor, TrainDraw], tuple[Tensor, Tensor]] = apply_training


class Regime:
    """One way to train with few labels."""

    def loss(
        self, forward: Callable[[Tensor], Tensor], slices: Slices, config: FinetuneConfig, generator: torch.Generator
    ) -> Tensor:
        """Scalar loss of one step.

        Args:
            forward: the network in its precision, images (N, 1, H, W) to logits (N, C, H, W).
            generator: every random number comes from it; on the slices' device.

        It may not ask a tensor for its values (``.item()``, ``nonzero``, ``if tensor``): the step would wait for the device.
        """
        raise NotImplementedError


def load_regime(name: str) -> Regime:
    """The regime in ``finetuning/regimes/<name>.py``."""
    regime: Regime = importlib.import_module(f"glocalseg.finetuning.regimes.{name}").REGIME()
    return regime
