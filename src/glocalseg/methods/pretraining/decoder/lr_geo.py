"""L^{R,geo}: as L^{R}, but the two views of a slice are cropped differently, and a region attracts what shows the same anatomy.

In L^{R} the same region of both views lies at the same place of the frame, so features that say nothing but where they are
fulfil the loss. Here the 5 x 5 grid of regions is laid over what the two crops have in common and read from each map at the
place where that map shows it, so that a place in the map alone no longer finds the partner. Trains the first decoder blocks
behind a frozen encoder (docs/method.md 5).

Departures:
- Views are cropped as those of the global strategies; the source changes intensities alone and compares equal places.
- Regions are spread over the overlap of two crops and read bilinearly, one sample a pixel; where the overlap is shorter than
  8 pixels of the map, the grid of 8 pixels is shrunk to it, in maps of 8 x 8 nearly always, and its regions overlap. Views that
  share less than the option overlap are no pair; with the usual crops all share 0.41.
- Every drawing of a slice is paired with itself, as in the release.
- Regions are compared without the release's further projection to 128 values, unless region_projection says release (D9).
- The number of slices follows from the benchmark's number of images; the release always draws 10 (D22).
- Brightness and contrast of a view are its own (D6), and its crop always fits the frame (D26).
- The number of blocks follows from the frame where it is not given: up to a quarter of its resolution, three in the paper's
  frames.

Source: loss and regions of Chaitanya et al., Contrastive learning of global and local features for medical image segmentation
with limited annotations, NeurIPS 2020, arXiv 2006.10511; docs/method.md 5. Matching by the geometry of crops as in the dense
methods after it, such as Xie et al., Propagate Yourself, CVPR 2021, arXiv 2011.10043.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import LocalConfig, PretrainConfig
from glocalseg.methods.pretraining.base import Pretext, Slices, drawn
from glocalseg.methods.pretraining.batches.geometry import overlap_lines, read_at, same_place, shift_in_cells
from glocalseg.methods.pretraining.batches.pool import Pool, Views
from glocalseg.methods.pretraining.batches.sampling import random_slices, repeated
from glocalseg.methods.pretraining.contrast.regions import SIDE, Repulsion, neighbour_mask, region_starts
from glocalseg.networks.build import local_blocks
from glocalseg.networks.heads import LocalHead
from glocalseg.networks.unet import SegmentationNet
from glocalseg.networks.weights import freeze
from glocalseg.training.augment.views import apply_views, draw_views
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task

SMALLEST = 8.0  # pixels of the smallest map that L^{R} lays its regions on
Pair = tuple[Tensor, Tensor]


class LocalGeometry(Pretext):
    """Random slices of all volumes, two cropped views each; five negatives an anchor and map.

    Options:
        regions: anchors of an overlap, 13 or 9 (the 3 x 3 grid alone).
        overlap: least share of a view's side that the views of a pair have in common, along both axes, in (0, 1].
    """

    unread: ClassVar[tuple[str, ...]] = ("partitions", "partition_bounds")
    diagnostics: ClassVar[dict[str, str]] = {
        "same_place": "Near 1 the decoder's map encodes where a pixel is in the frame, not what it shows.",
        "same_place_chance": "What same_place is where chance alone decides.",
        "overlapping": "Share of the pairs of views that overlap enough to be compared; at 0 nothing is learned.",
    }
    regions: Literal[9, 13] = 13
    overlap: float = Field(default=0.3, gt=0, le=1)

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        """Views of one batch of about ``images`` images. Raises ConfigError if the pool is too small."""
        index, view = repeated(random_slices(pool, images // 2, generator), 2)
        return pool.take(index, view + 1)

    def paired(self, values: Tensor, partitions: int) -> Pair:
        """Values (N, ...) of the views of ``draw``: those whose maps hold the anchors of each pair, and those of the partners.

        By copies and shifts, whose gradients repeat to the bit whatever the number of threads; those of an index with
        repeated numbers do not.
        """
        return values, values.roll(len(values) // 2, dims=0)

    def repelled(self) -> Tensor:
        """(25, 25) bool on the CPU: region v of a map is pushed from region u; a row without any is no anchor."""
        return neighbour_mask(5, self.regions)

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: PretrainConfig) -> Task:
        """The first decoder blocks with g2 behind the frozen encoder, and the local loss of the pairs.

        Raises:
            ConfigError: if the decoder has too few blocks or its map is too small for the regions.
        """
        config = cast(LocalConfig, config)
        blocks = local_blocks(net, config.blocks)
        head = LocalHead(
            net.decoder.channels[blocks - 1],
            region_size=config.region_size,
            project=config.region_projection == "release",
            momentum=net.momentum,
        )
        drawn(head, "local head", seed, device)
        freeze(net.encoder)
        modules = nn.ModuleDict({"encoder": net.encoder, "decoder": net.decoder.blocks[:blocks], "head": head}).train()
        if config.frozen_batchnorm == "paper":  # D21
            net.encoder.eval()
        repulsion = Repulsion.of(self.repelled(), device.device)
        last: dict[str, Any] = {}

        @device.compile
        def forward(shown: Tensor) -> Tensor:
            with device.autocast():
                return head(net.decoder(net.encoder(shown), blocks))

        augment = device.compile(apply_views)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            draws = device.generator(seed, "local", step)
            views = self.draw(slices.pool, config.images, draws)
            draw = draw_views(views.view, config.views, crop=True, generator=draws)
            maps = forward(augment(slices.images[views.slice], draw, config.views))
            pairs, starts = (self.paired(v, slices.pool.partitions) for v in (maps, cast(Tensor, draw.start)))
            common, counted = common_regions(pairs, starts, config.views.crop, config.region_size, self.overlap)
            with device.autocast():
                first, second = (v if head.project is None else head.project(v) for v in common)
            last.update(maps=maps.detach(), views=views, counted=counted)
            return {EVERYTHING: paired_loss(unit(first), unit(second), counted, repulsion, temperature=config.temperature)}

        def diagnostics() -> dict[str, Tensor]:
            return {**same_place(last["maps"], last["views"]), "overlapping": last["counted"].float().mean()}

        count = len(self.draw(slices.pool, config.images, device.generator(seed, "local")))
        return Task(modules, losses, forward, count, net, diagnostics=diagnostics)


def unit(vectors: Tensor) -> Tensor:
    """Vectors (..., D) at length 1, float32."""
    return F.normalize(vectors.float(), dim=-1)


def common_regions(pair: Pair, starts: Pair, side: float, region: int, overlap: float) -> tuple[Pair, Tensor]:
    """The 25 regions of what the two views of each pair have in common, as both maps show them.

    Args:
        pair: maps (P, C, h, w) of the first and of the second view of every pair.
        starts: (P, 2) each, top and left edges of these views' windows as shares of the frame.
        side: the windows' side as a share of the frame.
        region: K, 1 or 3: samples of a region along an axis.
        overlap: least share of a view's side that a pair has in common along both axes.

    Returns:
        Regions (P, 25, K K C) of the first and of the second views, and which pairs overlap enough, (P,) bool.

    Raises:
        ConfigError: if the map is too small for five different regions.
    """
    size = (pair[0].shape[2], pair[0].shape[3])
    for pixels in size:
        region_starts(pixels, region)  # the error of a map that is too small
    shift = shift_in_cells(*starts, side, size)
    rows, columns = (overlap_lines(shift[:, axis], size[axis], SIDE, region, SMALLEST) for axis in (0, 1))
    found = []
    for maps, *places in zip(pair, rows, columns, strict=True):
        patches = read_at(maps, *places)  # (P, C, 5 K, 5 K)
        patches = patches.unflatten(3, (SIDE, region)).unflatten(2, (SIDE, region))  # (P, C, 5, K, 5, K)
        found.append(patches.permute(0, 2, 4, 3, 5, 1).reshape(len(patches), SIDE**2, -1))
    missed = torch.stack([shift[:, axis].abs() / size[axis] for axis in (0, 1)]).amax(dim=0)
    return (found[0], found[1]), missed <= 1 - overlap


def paired_loss(first: Tensor, second: Tensor, counted: Tensor, repulsion: Repulsion, *, temperature: float) -> Tensor:
    """Mean local contrastive loss over the pairs that count and all anchors, which lie in the first of a pair.

    Args:
        first, second: (P, 25, D) float32 unit vectors of the regions of P pairs: the same number shows the same place.
        counted: (P,) bool.
        repulsion: for anchor u, the regions that repel it, in both views of the pair.
        temperature: tau > 0.

    Returns:
        Scalar float32, 0 where no pair counts.

    Source: docs/method.md 5.2, equation (3).
    """
    anchors = first[:, repulsion.anchors]
    across = anchors @ second.mT / temperature  # (P, A, 25)
    own = anchors @ first.mT / temperature
    repelled = torch.cat([s.masked_fill(~repulsion.regions, -torch.inf) for s in (own, across)], dim=2).logsumexp(dim=2)
    each = torch.arange(len(repulsion.anchors), device=first.device)
    attracted = across[:, each, repulsion.anchors]
    terms = (torch.logaddexp(attracted, repelled) - attracted).mean(dim=1)
    return terms.masked_fill(~counted, 0.0).sum() / counted.sum().clamp(min=1)


METHOD = LocalGeometry
