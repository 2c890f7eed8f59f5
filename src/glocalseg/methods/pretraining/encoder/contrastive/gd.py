"""G^{D}: as G^{D−}, and slices of the same partition of different volumes attract as well.

The paper's main global strategy (docs/method.md 4.4).

Departures:
- All images of a batch are real; the release leaves a group of zeros (D1, option zero_group).
- A slice is shown untouched and in two views; the release shows one (D3, option views).
- Across volumes only untouched slices attract; in the release views do, too (D4, option cross_views).
- All volumes of a batch are distinct (D8), and each attracts every other at equal partitions; the release pairs neighbours
  in a ring of two draws that may hold the same volume.
- A batch has the benchmark's number of images, so the number of volumes follows from it (D2). With it goes what pairs across
  volumes weigh beside those within a slice, all in one mean: of V volumes (V - 1) / (V + 5), that is 33% of four and 54% of
  eight, where the release has half. Rows that change images, partitions or views change that, too.
- Borders of partitions are proportional, unless partition_bounds says release (D7), and any number of partitions works
  (D19).
- The loss is the mean over ordered pairs, with another factor than the release's (D25).
- Brightness and contrast of a view are its own (D6), and its crop always fits the frame (D26). With scalars: release all first
  views share them, and all second ones; in the release each of the two draws of volumes has its own.

Source: Chaitanya et al., Contrastive learning of global and local features for medical image segmentation with limited
annotations, NeurIPS 2020, arXiv 2006.10511; docs/method.md 4.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from glocalseg.config.model import ConfigError, Quirk
from glocalseg.methods.pretraining.batches.pool import EMPTY, Pool, Views, same
from glocalseg.methods.pretraining.batches.sampling import one_per_partition, repeated
from glocalseg.methods.pretraining.contrast.whole import GlobalContrast


class Partition(GlobalContrast):
    """One slice per partition of distinct volumes (D8).

    Options, each ``paper`` or ``release``:
        zero_group: D1, the release leaves the last volume of each of its two sets all zeros.
        views: D3, paper: original and two views of a slice; release: original and one.
        cross_views: D4, the release also attracts views of different volumes that have the same number.
    """

    by_partition = (2, 3)
    zero_group: Quirk = "paper"
    views: Quirk = "paper"
    cross_views: Quirk = "paper"

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


METHOD = Partition
