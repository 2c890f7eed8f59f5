"""G^{D-}: the views of a slice attract, other partitions repel; the same partition elsewhere is left out (METHOD.md 4.4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from glocalseg.pretraining.base import Pool, Strategy, Views, same
from glocalseg.pretraining.sampling import one_per_partition, repeated


@dataclass(frozen=True)
class PartitionMinus(Strategy):
    """One slice per partition of some volumes: the untouched original and two views of each."""

    level = "global"

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        volumes = max(1, images // (3 * pool.partitions))
        return pool.take(*repeated(one_per_partition(pool, volumes, generator), 3))

    def positives(self, views: Views) -> Tensor:
        return same(views.slice) & ~torch.eye(len(views), dtype=torch.bool, device=views.slice.device)

    def negatives(self, views: Views) -> Tensor:
        return ~same(views.partition)


STRATEGY = PartitionMinus
