"""Barlow Twins: a value correlates with itself across the two views of a slice, and with no other value; nothing repels.

It shows the slices that G^{R} shows, in the same views, so that the loss is what differs.

Departures:
- The projector is that of the other global strategies, the flattened bottleneck through 1024 to 128 values without batch norm;
  the source projects the averaged map through 8192, 8192 and 8192 with batch norm.
- Correlations are over the benchmark's number of slices, some dozens of 128 values; over 2048 in the source. So few slices leave
  some correlation between values by chance, which no training takes away.
- The weight of correlations between values is the source's, chosen for 8192 of them. One of 128 has 64 times fewer others to
  correlate with, so agreement counts for more, and embeddings may come to take few directions, which the rank shows.
- Both views of all slices are one batch, so the encoder's batch norm takes statistics over both; in the source each view is a
  batch.
- Adam with the benchmark's learning rate, without weight decay; the source uses LARS.
- Views are crops with changed brightness and contrast.

Source: Zbontar et al., Barlow Twins: Self-Supervised Learning via Redundancy Reduction, ICML 2021, arXiv 2103.03230.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from glocalseg.methods.pretraining.batches.pool import Views
from glocalseg.methods.pretraining.siamese.agreement import Agreement
from glocalseg.methods.pretraining.siamese.redundancy import barlow_loss, deviation, effective_rank, standardised


class Barlow(Agreement):
    """Random slices of all volumes, two augmented views each.

    Options:
        off_diagonal: weight of the squared correlations of two different values, lambda.
    """

    unread: ClassVar[tuple[str, ...]] = ("temperature", "partitions", "partition_bounds")
    diagnostics: ClassVar[dict[str, str]] = {
        "deviation": "Spread of embeddings scaled to length 1, at most about 1; near 0 all slices are one point.",
        "rank": "Effective rank of the standardised embeddings, at most the images of a step; near 1 all values say the same.",
    }
    off_diagonal: float = Field(default=5e-3, ge=0, le=1)

    def loss(self, embedded: Tensor, views: Views) -> Tensor:
        first, second = embedded.chunk(2)
        return barlow_loss(first, second, off_diagonal=self.off_diagonal)

    def signs(self, embedded: Tensor, views: Views) -> Mapping[str, Tensor]:
        # the loss sees neither the length of embeddings nor the scale of a value
        spread = deviation(F.normalize(embedded.float(), dim=1)) * embedded.shape[1] ** 0.5
        return {"deviation": spread, "rank": effective_rank(standardised(embedded))}


METHOD = Barlow
