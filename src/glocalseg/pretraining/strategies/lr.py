"""L^R: the same region in the two views of a slice attracts, neighbouring regions of both maps repel (METHOD.md 5.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from glocalseg.pretraining.base import Pool, Strategy, Views, same
from glocalseg.pretraining.regions import neighbour_mask
from glocalseg.pretraining.sampling import random_slices, repeated


@dataclass(frozen=True)
class LocalRandom(Strategy):
    """Random slices of all volumes, two intensity views each; five negatives an anchor and map.

    Options:
        regions: anchors of a map, 13 or 9 (the 3 x 3 grid alone).
    """

    level = "local"
    regions: int = field(default=13, metadata={"choices": (9, 13)})

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        index, view = repeated(random_slices(pool, images // 2, generator), 2)
        return pool.take(index, view + 1)

    def positives(self, views: Views) -> Tensor:
        # a slice that was drawn twice has four views: only those of different number are a pair of views
        return same(views.slice) & ~same(views.view)

    def negatives(self, views: Views) -> Tensor:
        return neighbour_mask(5, self.regions)


STRATEGY = LocalRandom
