"""Barlow Twins^{D}: as Barlow Twins, and values also correlate across slices of the same partition of different volumes.

It shows the slices that G^{D} shows, in the same views, and its pairs are the positive pairs of G^{D}. Nothing repels here;
between G^{R} and G^{D} what repels changes, too. Against Barlow Twins it is not the pairs across volumes alone that are new: so
are the untouched slice and its pairs with views, and a step's slices, one of each partition of some volumes, a third fewer.

Departures:
- The source knows pairs of views alone; correlations are over all pairs, each taken once, of values that are standardised view
  by view.
- A slice is shown untouched and in two views, as G^{D} shows it.
- Correlations are over one slice per partition of some volumes; if all of a partition agreed, the embeddings could take no more
  directions than there are partitions, and more values than that could not but correlate.
- Projector, batch norm, optimiser and views differ from the source's as those of Barlow Twins here do.

Source: Zbontar et al., Barlow Twins: Self-Supervised Learning via Redundancy Reduction, ICML 2021, arXiv 2103.03230; pairs of
Chaitanya et al., NeurIPS 2020, arXiv 2006.10511, docs/method.md 4.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from glocalseg.methods.pretraining.batches.pool import Pool, Views
from glocalseg.methods.pretraining.encoder.contrastive.gd import Partition
from glocalseg.methods.pretraining.encoder.noncontrastive.barlow import Barlow
from glocalseg.methods.pretraining.siamese.agreement import partition_share
from glocalseg.methods.pretraining.siamese.redundancy import barlow_of_pairs

SHOWN = Partition()  # G^{D} without the release's quirks


class BarlowPartition(Barlow):
    """One slice per partition of distinct volumes, untouched and in two augmented views each.

    Options: that of ``barlow``.
    """

    unread = ("temperature",)
    by_partition = (2, 3)
    diagnostics: ClassVar[dict[str, str]] = {
        "deviation": "Spread of embeddings scaled to length 1, at most about 1; near 0 all slices are one point.",
        "rank": "Effective rank of the standardised embeddings, at most the images of a step; near 1 all values say the same.",
        "partition_share": "Share of the embeddings' variance between partitions; near 1 they tell nothing but the partition.",
    }

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        return SHOWN.draw(pool, images, generator)

    def loss(self, embedded: Tensor, views: Views) -> Tensor:
        return barlow_of_pairs(embedded, SHOWN.positives(views), views=3, off_diagonal=self.off_diagonal)

    def signs(self, embedded: Tensor, views: Views) -> Mapping[str, Tensor]:
        return {**super().signs(embedded, views), "partition_share": partition_share(embedded, views)}


METHOD = BarlowPartition
