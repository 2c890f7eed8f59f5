"""Momentum copies: modules that remember another by a moving average of its weights (BYOL's target, mean teacher's teacher)."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def momentum_copy(module: M) -> M:
    """A copy that no optimiser trains; its buffers are its own."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def follow(kept: nn.Module, module: nn.Module, momentum: float) -> None:
    """Move the parameters of ``kept`` towards those of ``module``: kept = momentum * kept + (1 - momentum) * module.

    Buffers (running averages) stay as they are. At a momentum of 0 the parameters are equal to the bit.
    """
    torch._foreach_lerp_(list(kept.parameters()), list(module.parameters()), 1 - momentum)
