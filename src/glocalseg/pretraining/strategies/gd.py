"""G^D: like G^{D-}, and the same partition of other volumes attracts too (METHOD.md 4.4)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from glocalseg.config import ConfigError
from glocalseg.pretraining.base import EMPTY, Pool, Strategy, Views, same
from glocalseg.pretraining.sampling import one_per_partition, repeated

MODES = {"choices": ("paper", "release")}


@dataclass(frozen=True)
class Partition(Strategy):
    """One slice per partition of distinct volumes (D8).

    Options, each ``paper`` or ``release``:
        zero_group: D1, the release leaves the last volume of each of its two sets all zeros.
        views: D3, paper: original and two views of a slice; release: original and one.
        cross_views: D4, the release also attracts views of different volumes that have the same number.
    """

    level = "global"
    zero_group: str = field(default="paper", metadata=MODES)
    views: str = field(default="paper", metadata=MODES)
    cross_views: str = field(default="paper", metadata=MODES)

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        shown = 3 if self.views == "paper" else 2
        volumes = max(2, images // (shown * pool.partitions))
        if self.zero_group == "release" and volumes == 2:
            raise ConfigError(
                f"strategies.gd.zero_group: release empties two volumes of every batch: expected pretrain_global.images of "
                f"at least {3 * shown * pool.partitions}, three volumes, found {images}"
            )
        index = one_per_partition(pool, volumes, generator)
        views = pool.take(*repeated(index, shown))
        if self.zero_group == "release":
            lost = torch.arange(volumes, device=index.device) >= volumes - 2
            lost = lost.repeat_interleave(pool.partitions).repeat(shown)
            views = replace(views, slice=torch.where(lost, EMPTY, views.slice))
        return views

    def positives(self, views: Views) -> Tensor:
        within = same(views.volume) & ~torch.eye(len(views), dtype=torch.bool, device=views.slice.device)
        across = ~same(views.volume) & same(views.view)
        if self.cross_views == "paper":
            across &= (views.view == 0)[:, None]
        return same(views.partition) & (within | across)

    def negatives(self, views: Views) -> Tensor:
        return ~same(views.partition)


STRATEGY = Partition
