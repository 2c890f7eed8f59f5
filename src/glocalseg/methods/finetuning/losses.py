"""Segmentation losses, pure functions of logits and soft labels (docs/method.md 6)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

EPSILON = 1e-10


def soft_dice_loss(probabilities: Tensor, target: Tensor) -> Tensor:
    """One minus the mean soft Dice over images and classes, background included.

    A class that is absent from a slice has Dice 0: a constant penalty without gradient where nothing is predicted.

    Args:
        probabilities: (N, C, H, W) float32, summing to 1 over C.
        target: (N, C, H, W) float32, one-hot or soft labels.

    Source: docs/method.md 6.
    """
    overlap = (probabilities * target).sum(dim=(2, 3))
    total = probabilities.sum(dim=(2, 3)) + target.sum(dim=(2, 3))
    return 1 - (2 * overlap / (total + EPSILON)).mean()


def cross_entropy_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy over all pixels with soft labels; shapes as above."""
    return -(target * logits.log_softmax(dim=1)).sum(dim=1).mean()


def segmentation_loss(logits: Tensor, target: Tensor, kind: Literal["dice", "dice_ce"]) -> Tensor:
    """Soft Dice, or its sum with cross-entropy, in float32."""
    logits = logits.float()
    dice = soft_dice_loss(logits.softmax(dim=1), target)
    return dice if kind == "dice" else dice + cross_entropy_loss(logits, target)
