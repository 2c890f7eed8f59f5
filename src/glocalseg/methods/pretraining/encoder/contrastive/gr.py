"""G^{R}: the two views of a slice attract, every other image of the batch repels.

The paper's random strategy, which is SimCLR on slices (docs/method.md 4.4). The reference that the domain's knowledge is
measured by.

Departures:
- A batch has the benchmark's number of images, the same for every global strategy; the release shows 24 (D2).
- A slice that is drawn twice attracts all of its views; in the release the two drawings repel.
- Brightness and contrast of a view are its own (D6), and its crop always fits the frame (D26).
- It stands in the first version of the authors' code and is commented out in the published one.

Source: Chaitanya et al., Contrastive learning of global and local features for medical image segmentation with limited
annotations, NeurIPS 2020, arXiv 2006.10511; docs/method.md 4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from glocalseg.methods.pretraining.batches.pool import Pool, Views, same
from glocalseg.methods.pretraining.batches.sampling import random_slices, repeated
from glocalseg.methods.pretraining.contrast.whole import GlobalContrast


class Random(GlobalContrast):
    """Random slices of all volumes, two augmented views each."""

    unread = ("partitions", "partition_bounds")

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        index, view = repeated(random_slices(pool, images // 2, generator), 2)
        return pool.take(index, view + 1)

    def positives(self, views: Views) -> Tensor:
        return same(views.slice) & ~torch.eye(len(views), dtype=torch.bool, device=views.slice.device)

    def negatives(self, views: Views) -> Tensor:
        return ~same(views.slice)


METHOD = Random
