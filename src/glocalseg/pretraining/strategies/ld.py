"""L^D: as L^R, and the same region in the same partition of other volumes attracts too (METHOD.md 5.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from glocalseg.pretraining.base import Pool, Strategy, Views, same
from glocalseg.pretraining.regions import neighbour_mask
from glocalseg.pretraining.sampling import one_per_partition, repeated


@dataclass(frozen=True)
class LocalPartition(Strategy):
    """One slice per partition of some volumes, two intensity views each; four negatives an anchor and map.

    Options:
        regions: anchors of a map, 13 or 9 (the 3 x 3 grid alone).
    """

    level = "local"
    regions: int = field(default=13, metadata={"choices": (9, 13)})

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        volumes = max(2, images // (2 * pool.partitions))
        index, view = repeated(one_per_partition(pool, volumes, generator), 2)
        return pool.take(index, view + 1)

    def positives(self, views: Views) -> Tensor:
        # anchors are first views; the other direction of a pair of volumes comes when the partner is the anchor
        own = same(views.slice) & (views.view == 2)
        other = same(views.partition) & ~same(views.volume) & (views.view == 1)
        return (views.view == 1)[:, None] & (own | other)

    def negatives(self, views: Views) -> Tensor:
        return neighbour_mask(4, self.regions)


STRATEGY = LocalPartition
