"""One stage: whole slices and regions of the network's last map are contrasted at once, as G^{R} and L^{R} do one after another.

The weighted sum of two losses trains encoder and decoder together: that of G^{R} on the encoder, and that of L^{R} on the map
that the last layer would read. Everything but that layer is handed on.

Departures:
- The paper trains its stages one after another, so that no losses need be weighed; here the option weight weighs them.
- Regions lie on the last map, at the frame's resolution; L^{R} stops at a quarter of it. What lies behind the local loss would
  learn nothing, and all but the last layer is handed on.
- Every slice of a step is shown in two crops, to the encoder, and in two whole views, to the whole network, so each loss sees
  half of the images that its own stage would be shown.
- Crops and whole views go through the encoder as one batch, so batch norm's statistics are over both; the encoder is not frozen.
- A step shows four slices, 16 images, where the benchmark asks for fewer.
- Otherwise as G^{R} and L^{R} here, without the release's further projection of regions.

Source: the losses of Chaitanya et al., Contrastive learning of global and local features for medical image segmentation with
limited annotations, NeurIPS 2020, arXiv 2006.10511; docs/method.md 4 and 5.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import PretrainConfig
from glocalseg.methods.pretraining.base import Pretext, Slices, drawn
from glocalseg.methods.pretraining.batches.geometry import same_place
from glocalseg.methods.pretraining.batches.pool import Pool, Views
from glocalseg.methods.pretraining.batches.sampling import random_slices, repeated
from glocalseg.methods.pretraining.contrast.loss import cosine_similarity, info_nce
from glocalseg.methods.pretraining.contrast.regions import Repulsion, local_loss, region_vectors
from glocalseg.methods.pretraining.contrast.whole import GlobalContrast
from glocalseg.methods.pretraining.decoder.lr import LocalRandom
from glocalseg.methods.pretraining.encoder.contrastive.gr import Random
from glocalseg.networks.heads import GlobalHead, LocalHead
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import ViewDraw, apply_views, draw_views
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task


class OneStage(Pretext):
    """Random slices of all volumes, each in two crops and in two whole views.

    Options:
        weight: of the local loss, in (0, 1); that of the global one is the rest.
        region_size: a region's side in pixels, 1 or 3.
        regions: anchors of a map, 13 or 9 (the 3 x 3 grid alone).
    """

    unread: ClassVar[tuple[str, ...]] = ("partitions", "partition_bounds")
    diagnostics: ClassVar[dict[str, str]] = {
        "global": "The loss of whole slices alone; if it stays while local falls, the weight is too large.",
        "local": "The loss of regions alone; if it stays while global falls, the weight is too small.",
        "same_place": "Near 1 the last map encodes where a pixel is in the frame, not what it shows.",
        "same_place_chance": "What same_place is where chance alone decides.",
    }
    weight: float = Field(default=0.5, gt=0, lt=1)
    region_size: Literal[1, 3] = 3
    regions: Literal[9, 13] = 13

    def whole(self) -> GlobalContrast:
        """The global strategy, which says what attracts and what repels."""
        return Random()

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> tuple[Views, Views]:
        """The views that the encoder sees, and the whole ones that the network sees, of the same slices."""
        index, view = repeated(random_slices(pool, max(4, images // 4), generator), 2)
        views = pool.take(index, view + 1)
        return views, views

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: PretrainConfig) -> Task:
        """The encoder with g1, the whole network but its last layer with g2, and the sum of both losses.

        Raises:
            ConfigError: if the frame is too small for the regions, or the pool for the batch.
        """
        first, second = self.draw(slices.pool, config.images, device.generator(seed, "one stage"))
        split, count = len(first), len(first) + len(second)
        head = drawn(GlobalHead.behind(net.encoder, slices.images), "global head", seed, device)
        hidden = net.head[:-1]
        width = net.decoder.channels[-1]
        regions = LocalHead(width, region_size=self.region_size, project=False, momentum=net.momentum)
        drawn(regions, "local head", seed, device)
        whole, local = self.whole(), LocalRandom(regions=self.regions)
        repulsion = Repulsion.of(local.repelled(), device.device)
        last: dict[str, Any] = {}

        @device.compile
        def network(shown: Tensor) -> tuple[Tensor, Tensor]:
            with device.autocast():
                maps = net.encoder(shown)
                return head(maps[-1][:split]), regions(hidden(net.decoder([m[split:] for m in maps])))

        def forward(shown: Tensor) -> Tensor:
            return torch.cat([part.flatten() for part in network(shown)])

        @device.compile
        def augment(crops: Tensor, crop: ViewDraw, changed: Tensor, others: Tensor, change: ViewDraw) -> Tensor:
            cropped = torch.where(changed, apply_views(crops, crop, config.views), crops)
            return torch.cat([cropped, apply_views(others, change, config.views)])

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            draws = device.generator(seed, "one stage", step)
            views, others = self.draw(slices.pool, config.images, draws)
            crop = draw_views(views.view, config.views, crop=True, generator=draws)
            change = draw_views(others.view, config.views, crop=False, generator=draws)
            changed = (views.view > 0).view(-1, 1, 1, 1)
            shown = augment(slices.images[views.slice], crop, changed, slices.images[others.slice], change)
            embedded, maps = network(shown)
            masks = whole.positives(views), whole.negatives(views)
            of_slices = info_nce(cosine_similarity(embedded), *masks, temperature=config.temperature)
            vectors = region_vectors(maps, self.region_size, None)
            of_regions = local_loss(vectors, local.positives(others), repulsion, temperature=config.temperature)
            last.update(whole=of_slices.detach(), local=of_regions.detach(), maps=maps.detach(), views=others)
            return {EVERYTHING: (1 - self.weight) * of_slices + self.weight * of_regions}

        def diagnostics() -> dict[str, Tensor]:
            return {"global": last["whole"], "local": last["local"], **same_place(last["maps"], last["views"])}

        parts = {"encoder": net.encoder, "decoder": net.decoder, "head": hidden, "whole": head, "regions": regions}
        return Task(nn.ModuleDict(parts).train(), losses, forward, count, net, diagnostics=diagnostics)


METHOD = OneStage
