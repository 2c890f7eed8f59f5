"""VICReg^{D}: as VICReg, and slices of the same partition of different volumes agree as well.

It shows the slices that G^{D} shows, in the same views, and its pairs are the positive pairs of G^{D}. Nothing repels here;
between G^{R} and G^{D} what repels changes, too. Against VICReg it is not the pairs across volumes alone that are new: so are the
untouched slice and its pairs with views, and a step's slices, one of each partition of some volumes, a third fewer.

Departures:
- The source knows pairs of views alone; the squared distance is the mean over all ordered pairs.
- A slice is shown untouched and in two views, as G^{D} shows it; twice the mean of the three variance terms takes the place of
  their sum over two views, and the same holds for covariances.
- Variances and covariances are over one slice per partition of some volumes; if all of a partition agreed, the embeddings could
  take no more directions than there are partitions, and the terms would pull against one another.
- Projector, batch norm, optimiser and views differ from the source's as those of VICReg here do.

Source: Bardes et al., VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning, ICLR 2022, arXiv
2105.04906; pairs of Chaitanya et al., NeurIPS 2020, arXiv 2006.10511, docs/method.md 4.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from glocalseg.methods.pretraining.batches.pool import Pool, Views
from glocalseg.methods.pretraining.encoder.contrastive.gd import Partition
from glocalseg.methods.pretraining.encoder.noncontrastive.vicreg import Vicreg
from glocalseg.methods.pretraining.siamese.agreement import partition_share
from glocalseg.methods.pretraining.siamese.redundancy import vicreg_of_pairs

SHOWN = Partition()  # G^{D} without the release's quirks


class VicregPartition(Vicreg):
    """One slice per partition of distinct volumes, untouched and in two augmented views each.

    Options: those of ``vicreg``.
    """

    unread = ("temperature",)
    by_partition = (2, 3)
    diagnostics: ClassVar[dict[str, str]] = {
        "deviation": "Mean standard deviation of an embedding's values, held at 1 or more; near 0 all slices are one point.",
        "rank": "Effective rank of the embeddings, at most the images of a step; near 1 they are one line or one point.",
        "partition_share": "Share of the embeddings' variance between partitions; near 1 they tell nothing but the partition.",
    }

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        return SHOWN.draw(pool, images, generator)

    def loss(self, embedded: Tensor, views: Views) -> Tensor:
        return vicreg_of_pairs(embedded, SHOWN.positives(views), views=3, **self.weights())

    def signs(self, embedded: Tensor, views: Views) -> Mapping[str, Tensor]:
        return {**super().signs(embedded, views), "partition_share": partition_share(embedded, views)}


METHOD = VicregPartition
