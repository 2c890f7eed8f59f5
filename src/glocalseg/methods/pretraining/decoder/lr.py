"""L^{R}: the same region in the two views of a slice attracts, neighbouring regions of both maps repel.

Trains the first decoder blocks behind a frozen encoder (docs/method.md 5).

Departures:
- Regions are compared without the release's further projection to 128 values, unless region_projection says release (D9).
- The number of slices follows from the benchmark's number of images; the release always draws 10 (D22).
- All first views of a slice that is drawn twice attract all its second views; the release pairs each drawing with itself.
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
from glocalseg.methods.pretraining.batches.sampling import random_slices, repeated
from glocalseg.methods.pretraining.contrast.local import LocalContrast
from glocalseg.methods.pretraining.contrast.regions import neighbour_mask


class LocalRandom(LocalContrast):
    """Random slices of all volumes, two intensity views each; five negatives an anchor and map.

    Options:
        regions: anchors of a map, 13 or 9 (the 3 x 3 grid alone).
    """

    unread = ("partitions", "partition_bounds", "views.crop", "views.crop_start")
    regions: Literal[9, 13] = 13

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        index, view = repeated(random_slices(pool, images // 2, generator), 2)
        return pool.take(index, view + 1)

    def positives(self, views: Views) -> Tensor:
        # a slice that was drawn twice has four views: only those of different number are a pair of views
        return same(views.slice) & ~same(views.view)

    def repelled(self) -> Tensor:
        return neighbour_mask(5, self.regions)


METHOD = LocalRandom
