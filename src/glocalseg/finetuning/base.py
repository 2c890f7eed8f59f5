"""What a regime is: how labelled, and unlabelled, slices train the segmentation network."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glocalseg.config import FinetuneConfig
from glocalseg.training.device import Device


@dataclass(frozen=True)
class Slices:
    """What a regime trains on, on the training device.

    ``images`` (n, 1, H, W) float32 and ``labels`` (n, C, H, W) float32 one-hot of the labelled volumes; ``unlabelled``
    (m, 1, H, W) float32 of the pretraining volumes.
    """

    images: Tensor
    labels: Tensor
    unlabelled: Tensor


class Regime:
    """One way to train with few labels."""

    def loss(
        self, net: nn.Module, slices: Slices, config: FinetuneConfig, device: Device, generator: torch.Generator
    ) -> Tensor:
        """Scalar loss of one step; every random number comes from ``generator``."""
        raise NotImplementedError


def load_regime(name: str) -> Regime:
    """The regime in ``finetuning/regimes/<name>.py``."""
    regime: Regime = importlib.import_module(f"glocalseg.finetuning.regimes.{name}").REGIME()
    return regime
