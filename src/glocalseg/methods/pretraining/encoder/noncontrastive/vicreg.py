"""VICReg: the two views of a slice agree, each value of an embedding varies, and no two values say the same; nothing repels.

Variance, invariance, covariance. It shows the slices that G^{R} shows, in the same views, so that the loss is what differs.

Departures:
- The projector is that of the other global strategies, the flattened bottleneck through 1024 to 128 values without batch norm;
  the source projects the averaged map through 8192, 8192 and 8192 with batch norm.
- Variances and covariances are over the benchmark's number of slices, some dozens of 128 values; over 2048 in the source.
- The variance terms of both views are added, as in the source's formula; its released code halves them.
- Both views of all slices are one batch, so batch norm's statistics are over both; in the source each view is a batch.
- Adam with the benchmark's learning rate, without weight decay; the source uses LARS.
- Views are crops with changed brightness and contrast.

As in its released code, the squared distance is divided by the number of values.

Source: Bardes et al., VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning, ICLR 2022, arXiv
2105.04906.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from glocalseg.methods.pretraining.batches.pool import Views
from glocalseg.methods.pretraining.siamese.agreement import Agreement
from glocalseg.methods.pretraining.siamese.redundancy import deviation, effective_rank, vicreg_loss


class Vicreg(Agreement):
    """Random slices of all volumes, two augmented views each.

    Options:
        invariance: weight of the squared distance of two embeddings.
        variance: weight of the hinge that keeps each value's standard deviation at 1.
        covariance: weight of the squared covariances of two values.
    """

    unread: ClassVar[tuple[str, ...]] = ("temperature", "partitions", "partition_bounds")
    diagnostics: ClassVar[dict[str, str]] = {
        "deviation": "Mean standard deviation of an embedding's values, held at 1 or more; near 0 all slices are one point.",
        "rank": "Effective rank of the embeddings, at most the images of a step; near 1 they are one line or one point.",
    }
    invariance: float = Field(default=25.0, ge=0, le=1000)
    variance: float = Field(default=25.0, ge=0, le=1000)
    covariance: float = Field(default=1.0, ge=0, le=1000)

    def weights(self) -> dict[str, float]:
        """The weights of the three terms."""
        return {"invariance": self.invariance, "variance": self.variance, "covariance": self.covariance}

    def loss(self, embedded: Tensor, views: Views) -> Tensor:
        first, second = embedded.chunk(2)
        return vicreg_loss(first, second, **self.weights())

    def signs(self, embedded: Tensor, views: Views) -> Mapping[str, Tensor]:
        return {"deviation": deviation(embedded), "rank": effective_rank(embedded)}


METHOD = Vicreg
