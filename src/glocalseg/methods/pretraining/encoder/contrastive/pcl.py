"""PCL: slices at a similar relative position in their volumes attract, all others repel.

Positional contrastive learning: a threshold on the distance of positions takes the place of partitions.

Departures:
- A pair's denominator holds that pair and what repels; the authors' code sums over all other images there, attracting ones
  included.
- The loss is the mean over pairs; theirs takes a mean for each image first, and multiplies by temperature / 0.07.
- The position of slice i of n is (i + 0.5) / n, theirs is (i + 1) / n: no distance differs.
- Network, head, views, optimiser and lengths are those of the other global strategies here; theirs are a wider U-Net,
  averaged bottleneck features, random rotation, scaling, deformation and mirroring, and stochastic gradient descent with a
  cosine.
- The threshold is 0.1 unless an option says otherwise, as in their example for CHD; they choose one for each data set.

Source: Zeng et al., Positional Contrastive Learning for Volumetric Medical Image Segmentation, MICCAI 2021; the authors'
code dewenzeng/positional_cl.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from glocalseg.methods.pretraining.batches.pool import Pool, Views
from glocalseg.methods.pretraining.batches.sampling import random_slices, repeated
from glocalseg.methods.pretraining.contrast.whole import GlobalContrast


class Positional(GlobalContrast):
    """Random slices of all volumes, two augmented views each.

    Options:
        threshold: largest distance of relative positions, in (0, 1), at which two slices attract.
    """

    unread = ("partitions", "partition_bounds")
    threshold: float = Field(default=0.1, gt=0, lt=1)

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        index, view = repeated(random_slices(pool, images // 2, generator), 2)
        return pool.take(index, view + 1)

    def positives(self, views: Views) -> Tensor:
        return self._near(views) & ~torch.eye(len(views), dtype=torch.bool, device=views.slice.device)

    def negatives(self, views: Views) -> Tensor:
        return ~self._near(views)

    def _near(self, views: Views) -> Tensor:
        return (views.position[:, None] - views.position[None, :]).abs() < self.threshold


METHOD = Positional
