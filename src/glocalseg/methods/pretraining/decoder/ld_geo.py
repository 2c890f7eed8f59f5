"""L^{D,geo}: as L^{R,geo}, and slices of the same partition of other volumes attract at the same place of the frame as well.

Every view has a crop of its own, so the same place of the frame lies at different places of the maps; that slices of one
partition show about the same anatomy at the same place of the uncropped frame is what L^{D} takes for granted, too. Trains the
first decoder blocks behind a frozen encoder (docs/method.md 5). One negative a map less than L^{R,geo}, as released.

Departures:
- Views are cropped as those of the global strategies; the source changes intensities alone and compares equal places.
- Regions are spread over the overlap of two crops and read bilinearly, one sample a pixel; where the overlap is shorter than
  8 pixels of the map, the grid of 8 pixels is shrunk to it. Views that share less than the option overlap are no pair.
- Regions are compared without the release's further projection to 128 values, unless region_projection says release (D9).
- The number of volumes follows from the benchmark's number of images; with the release's 24 images and four partitions it is
  the release's three.
- Borders of partitions are proportional, unless partition_bounds says release (D7), and any number of partitions works
  (D19).
- The loss is the mean over pairs and regions; the release's is 1.5 times that (D25).
- Brightness and contrast of a view are its own (D6), and its crop always fits the frame (D26).
- The number of blocks follows from the frame where it is not given: up to a quarter of its resolution, three in the paper's
  frames.

Source: loss and regions of Chaitanya et al., Contrastive learning of global and local features for medical image segmentation
with limited annotations, NeurIPS 2020, arXiv 2006.10511; docs/method.md 5. Matching by the geometry of crops as in the dense
methods after it, such as Xie et al., Propagate Yourself, CVPR 2021, arXiv 2011.10043.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from glocalseg.methods.pretraining.batches.pool import Pool, Views
from glocalseg.methods.pretraining.batches.sampling import one_per_partition, repeated
from glocalseg.methods.pretraining.contrast.regions import neighbour_mask
from glocalseg.methods.pretraining.decoder.lr_geo import LocalGeometry, Pair


class LocalPartitionGeometry(LocalGeometry):
    """One slice per partition of some volumes, two cropped views each; four negatives an anchor and map.

    Options:
        regions: anchors of an overlap, 13 or 9 (the 3 x 3 grid alone).
        overlap: least share of a view's side that the views of a pair have in common, along both axes, in (0, 1].
    """

    by_partition = (2, 2)
    unread = ()
    diagnostics: ClassVar[dict[str, str]] = {
        "same_place": "Near 1 the decoder's map encodes where a pixel is in the frame, not what it shows.",
        "same_place_chance": "What same_place is where chance alone decides.",
        "overlapping": "Share of the pairs of views that overlap enough to be compared; at 0 nothing is learned.",
    }

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        volumes = max(2, images // (2 * pool.partitions))
        index, view = repeated(one_per_partition(pool, volumes, generator), 2)
        return pool.take(index, view + 1)

    def paired(self, values: Tensor, partitions: int) -> Pair:
        """The first view of each slice with its second, and with the first views of its partition in all other volumes."""
        first, second = values.chunk(2)  # each of them volume after volume, partition after partition
        others = [first.roll(-volume * partitions, dims=0) for volume in range(1, len(first) // partitions)]
        return torch.cat([first] * (1 + len(others))), torch.cat([second, *others])

    def repelled(self) -> Tensor:
        return neighbour_mask(4, self.regions)


METHOD = LocalPartitionGeometry
