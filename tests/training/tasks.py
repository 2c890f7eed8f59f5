"""Tasks of one module and one loss, and where a run writes: what tests of the loop need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from glocalseg.training.task import EVERYTHING, Task


@dataclass(frozen=True)
class Here:
    """A run by name, key and folder."""

    label: str
    key: str
    folder: Path


def task_of(net: nn.Module, loss: Callable[[int], Tensor], images: int = 1) -> Task:
    """A task that trains a module by one loss."""

    def forward(shown: Tensor) -> Any:
        return net(shown)

    return Task(nn.ModuleDict({"network": net}), lambda step: {EVERYTHING: loss(step)}, forward, images, net)
