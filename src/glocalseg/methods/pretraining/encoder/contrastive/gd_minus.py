"""G^{D−}: the views of a slice attract, slices of other partitions repel, of whatever volume; the same partition of another
volume does neither.

So slices that probably show the same anatomy are not pushed apart (docs/method.md 4.4).

Departures:
- A batch has the benchmark's number of images, so the number of volumes follows from it; the release takes three (D2).
- Borders of partitions are proportional, unless partition_bounds says release (D7), and any number of partitions works
  (D19).
- The loss is the mean over ordered pairs; the release's is twice that (D25).
- Brightness and contrast of a view are its own (D6), and its crop always fits the frame (D26).

Source: Chaitanya et al., Contrastive learning of global and local features for medical image segmentation with limited
annotations, NeurIPS 2020, arXiv 2006.10511; docs/method.md 4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from glocalseg.methods.pretraining.batches.pool import Pool, Views, same
from glocalseg.methods.pretraining.batches.sampling import one_per_partition, repeated
from glocalseg.methods.pretraining.contrast.whole import GlobalContrast


class PartitionMinus(GlobalContrast):
    """One slice per partition of some volumes: the untouched original and two views of each."""

    by_partition = (1, 3)

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        volumes = max(1, images // (3 * pool.partitions))
        return pool.take(*repeated(one_per_partition(pool, volumes, generator), 3))

    def positives(self, views: Views) -> Tensor:
        return same(views.slice) & ~torch.eye(len(views), dtype=torch.bool, device=views.slice.device)

    def negatives(self, views: Views) -> Tensor:
        return ~same(views.partition)


METHOD = PartitionMinus
