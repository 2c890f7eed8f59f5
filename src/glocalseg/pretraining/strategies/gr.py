"""G^R: the two views of a slice attract, everything else in the batch repels (SimCLR; METHOD.md 4.4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from glocalseg.pretraining.base import Pool, Strategy, Views, same
from glocalseg.pretraining.sampling import random_slices, repeated


@dataclass(frozen=True)
class Random(Strategy):
    """Random slices of all volumes, two augmented views each."""

    level = "global"

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        index, view = repeated(random_slices(pool, images // 2, generator), 2)
        return pool.take(index, view + 1)

    def positives(self, views: Views) -> Tensor:
        return same(views.slice) & ~torch.eye(len(views), dtype=torch.bool, device=views.slice.device)

    def negatives(self, views: Views) -> Tensor:
        return ~same(views.slice)


STRATEGY = Random
