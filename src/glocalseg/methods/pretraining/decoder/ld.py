"""L^{D}: as L^{R}, and the same region in slices of the same partition of other volumes attracts as well.

Trains the first decoder blocks behind a frozen encoder (docs/method.md 5). One negative a map less than L^{R}, as
released.

Departures:
- Regions are compared without the release's further projection to 128 values, unless region_projection says release (D9).
- The number of volumes follows from the benchmark's number of images; with the release's 24 images and four partitions it is
  the release's three.
- Borders of partitions are proportional, unless partition_bounds says release (D7), and any number of partitions works
  (D19).
- The loss is the mean over pairs and regions; the release's is 1.5 times that (D25).
- Brightness and contrast of a view are its own (D6).
- In small frames the map is small: of 8 x 8, as one block gives it in frames of 32, all 5 x 5 regions overlap their neighbours,
  and every negative shares pixels with its anchor. From 16 x 16 on none does.
- The number of blocks follows from the frame where it is not given: up to a quarter of its resolution, three in the paper's
  frames.

Source: Chaitanya et al., Contrastive learning of global and local features for medical image segmentation with limited
annotations, NeurIPS 2020, arXiv 2006.10511; docs/method.md 5.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from glocalseg.methods.pretraining.batches.pool import Pool, Views, same
from glocalseg.methods.pretraining.batches.sampling import one_per_partition, repeated
from glocalseg.methods.pretraining.contrast.local import LocalContrast
from glocalseg.methods.pretraining.contrast.regions import neighbour_mask


class LocalPartition(LocalContrast):
    """One slice per partition of some volumes, two intensity views each; four negatives an anchor and map.

    Options:
        regions: anchors of a map, 13 or 9 (the 3 x 3 grid alone).
    """

    by_partition = (2, 2)
    unread = ("views.crop", "views.crop_start")
    regions: Literal[9, 13] = 13

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        volumes = max(2, images // (2 * pool.partitions))
        index, view = repeated(one_per_partition(pool, volumes, generator), 2)
        return pool.take(index, view + 1)

    def positives(self, views: Views) -> Tensor:
        # anchors are first views; the other direction of a pair of volumes comes when the partner is the anchor
        own = same(views.slice) & (views.view == 2)
        other = same(views.partition) & ~same(views.volume) & (views.view == 1)
        return (views.view == 1)[:, None] & (own | other)

    def repelled(self) -> Tensor:
        return neighbour_mask(4, self.regions)


METHOD = LocalPartition
