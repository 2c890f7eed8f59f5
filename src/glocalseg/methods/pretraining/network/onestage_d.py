"""One stage^{D}: as one stage, with the global loss of G^{D}: slices of one partition of different volumes attract as well.

Departures:
- The paper trains its stages one after another, so that no losses need be weighed; here the option weight weighs them.
- Regions lie on the last map, at the frame's resolution; L^{R} stops at a quarter of it. What lies behind the local loss would
  learn nothing, and all but the last layer is handed on.
- Every slice of a step is shown as G^{D} shows it, to the encoder, and in two whole views, to the whole network; so the global
  loss sees three fifths of the images that its own stage would be shown, and the local one two.
- All of these go through the encoder as one batch, so batch norm's statistics are over all; the encoder is not frozen.
- Otherwise as G^{D} and L^{R} here, without the release's quirks and its further projection of regions.

Source: the losses of Chaitanya et al., Contrastive learning of global and local features for medical image segmentation with
limited annotations, NeurIPS 2020, arXiv 2006.10511; docs/method.md 4 and 5.
"""

from __future__ import annotations

from typing import ClassVar

import torch

from glocalseg.methods.pretraining.batches.pool import Pool, Views
from glocalseg.methods.pretraining.batches.sampling import one_per_partition, repeated
from glocalseg.methods.pretraining.contrast.whole import GlobalContrast
from glocalseg.methods.pretraining.encoder.contrastive.gd import Partition
from glocalseg.methods.pretraining.network.onestage import OneStage


class OneStagePartition(OneStage):
    """One slice per partition of distinct volumes: untouched, in two crops and in two whole views.

    Options: those of ``onestage``.
    """

    unread = ()
    by_partition = (2, 5)
    diagnostics: ClassVar[dict[str, str]] = {
        "global": "The loss of whole slices alone; if it stays while local falls, the weight is too large.",
        "local": "The loss of regions alone; if it stays while global falls, the weight is too small.",
        "same_place": "Near 1 the last map encodes where a pixel is in the frame, not what it shows.",
        "same_place_chance": "What same_place is where chance alone decides.",
    }

    def whole(self) -> GlobalContrast:
        return Partition()

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> tuple[Views, Views]:
        index = one_per_partition(pool, max(2, images // (5 * pool.partitions)), generator)
        slices, view = repeated(index, 2)
        return pool.take(*repeated(index, 3)), pool.take(slices, view + 1)


METHOD = OneStagePartition
