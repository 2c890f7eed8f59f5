"""Positional contrast: slices at a similar relative position attract, all others repel.

Source: Zeng et al., Positional Contrastive Learning for Volumetric Medical Image Segmentation, MICCAI 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from glocalseg.pretraining.base import Pool, Strategy, Views
from glocalseg.pretraining.sampling import random_slices, repeated


@dataclass(frozen=True)
class Positional(Strategy):
    """Random slices of all volumes, two augmented views each.

    Options:
        threshold: largest distance of relative positions, in (0, 1), at which two slices attract.
    """

    level = "global"
    threshold: float = 0.1

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        index, view = repeated(random_slices(pool, images // 2, generator), 2)
        return pool.take(index, view + 1)

    def positives(self, views: Views) -> Tensor:
        return self._near(views) & ~torch.eye(len(views), dtype=torch.bool, device=views.slice.device)

    def negatives(self, views: Views) -> Tensor:
        return ~self._near(views)

    def _near(self, views: Views) -> Tensor:
        return (views.position[:, None] - views.position[None, :]).abs() < self.threshold


STRATEGY = Positional
