"""Pix2Rep: pixel features stay the same under changed intensities, and move with the image when it is turned, cropped, mirrored.

The whole U-Net is trained, with 1x1 convolutions in place of its last layer, and everything but that layer is handed on. One
view of a slice is whole, the other is moved by a known affine map; features of some pixels of the second view meet those of the
first, read where these pixels come from.

Departures:
- Only pixels that come from inside the frame are sampled; the released code fills others with zeros and may compare them.
- Pixels of a slice that are nearer in the frame than the option radius do not repel each other; in the released code they do.
- Every slice gives as many pixels, together about the released code's 1,000 of a batch, which are drawn from all of them at once.
- Half of the second views are mirrored left to right; in the released code most are, left to right or upside down.
- The head is that of the local strategies, as wide as the network's last map; the source's network ends in 1,024 maps, which
  are projected to 256.
- The temperature is the benchmark's; in the released code it is 0.53.
- Brightness and contrast are changed; in the released code noise, blur, gamma, bias field and inversion.
- Both views of all slices are one batch, so batch norm's statistics are over both; in the released code each view is a batch.
- Adam's learning rate and the number of steps are the benchmark's, and the last weights are taken.

Source: Seince et al., Dense Self-Supervised Learning for Medical Image Segmentation, MIDL 2024, arXiv 2407.20395; numbers of
samples, turns and crops as in the authors' code pix2rep/pix2rep.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import PretrainConfig
from glocalseg.methods.pretraining.base import Pretext, Slices, drawn
from glocalseg.methods.pretraining.batches.geometry import read_points, same_place
from glocalseg.methods.pretraining.batches.pool import same
from glocalseg.methods.pretraining.batches.sampling import random_slices, repeated
from glocalseg.methods.pretraining.contrast.loss import cosine_similarity, info_nce
from glocalseg.methods.pretraining.siamese.redundancy import barlow_loss, effective_rank
from glocalseg.networks.heads import LocalHead
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.augment.views import ViewDraw, apply_views, draw_views
from glocalseg.training.augment.warp import affine_grid, resample
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task

LARGEST = 0.95  # side of a second view as a share of the frame's


class PixelEquivariance(Pretext):
    """Random slices of all volumes, one view whole and one moved of each.

    Options:
        loss: contrastive; or barlow, Barlow Twins over the sampled pixels, where nothing repels.
        samples: pixels of a step, at most a quarter of each view.
        radius: pixels of one slice that are at most so far apart do not repel, as a share of the frame's longer side.
        rotation: largest turn of the second view in degrees.
        crop: smallest side of the second view as a share of the frame's; the largest is 0.95, or this if it is larger.
        mirror: whether half of the second views are mirrored.
        off_diagonal: weight of the correlations between values, of barlow.
    """

    unread = ("partitions", "partition_bounds", "views.crop", "views.crop_start")
    diagnostics: ClassVar[dict[str, str]] = {
        "match": "Share of sampled pixels whose most similar one in the other view shows the same place; noise at match_chance.",
        "match_chance": "What match is where chance alone decides.",
        "inside": "Share of the second views' pixels that come from inside the frame, of which all are sampled.",
        "rank": "Effective rank of the pixels' features, at most their number of values; near 1 they have collapsed.",
        "same_place": "Near 1 pixel features encode where a pixel is in the frame, not what it shows.",
        "same_place_chance": "What same_place is where chance alone decides.",
    }
    loss: Literal["contrastive", "barlow"] = "contrastive"
    samples: int = Field(default=1000, ge=8, le=8000)  # the contrast compares all with all
    radius: float = Field(default=0.05, ge=0, lt=1)
    rotation: float = Field(default=90.0, ge=0, le=180)
    crop: float = Field(default=0.33, ge=0.1, le=1)
    mirror: bool = True
    off_diagonal: float = Field(default=5e-3, ge=0, le=1)

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: PretrainConfig) -> Task:
        """The U-Net with 1x1 convolutions in place of its last layer, and the loss of sampled pixels."""
        size = (slices.images.shape[2], slices.images.shape[3])
        count = config.images // 2
        each = max(1, min(round(self.samples / count), size[0] * size[1] // 4))
        hidden = net.head[:-1]
        last_layer = LocalHead(net.decoder.channels[-1], region_size=1, project=False, momentum=net.momentum)
        pixels = drawn(last_layer, "pixels", seed, device)
        last: dict[str, Any] = {}

        @device.compile
        def forward(shown: Tensor) -> Tensor:
            with device.autocast():
                return pixels(hidden(net.decoder(net.encoder(shown))))

        @device.compile
        def augment(images: Tensor, grid: Tensor, draw: ViewDraw) -> Tensor:
            return apply_views(torch.cat([images, resample(images, grid)]), draw, config.views)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            draws = device.generator(seed, "pixels", step)
            index, view = repeated(random_slices(slices.pool, count, draws), 2)
            draw = draw_views(view + 1, config.views, crop=False, generator=draws)
            views = slices.pool.take(index[:count], view[:count] + 1)  # the whole ones
            grid = self.moved(count, size, draws).grid(size)
            inside = (grid.abs() <= 1).all(dim=3).flatten(1)
            chosen = sampled(inside, each, draws)
            whole, moved = forward(augment(slices.images[views.slice], grid, draw)).chunk(2)
            places = taken(grid.flatten(1, 2).mT, chosen).mT  # (B, n, 2)
            first, second = read_points(whole, places), taken(moved.float().flatten(2), chosen)
            near = near_pixels(places, views.slice, size, self.radius)
            last.update(first=first.detach(), second=second.detach(), near=near, inside=inside)
            last.update(whole=whole.detach(), views=views)
            if self.loss == "barlow":
                return {EVERYTHING: barlow_loss(rows(first), rows(second), off_diagonal=self.off_diagonal)}
            return {EVERYTHING: pixel_contrast(rows(first), rows(second), near, temperature=config.temperature)}

        def diagnostics() -> dict[str, Tensor]:
            found = {
                **matches(last["first"], last["second"], last["near"]),
                "inside": last["inside"].float().mean(),
                "rank": effective_rank(rows(last["first"])),
            }
            return {**found, **same_place(last["whole"], last["views"])}

        parts = {"encoder": net.encoder, "decoder": net.decoder, "head": hidden, "pixels": pixels}
        return Task(nn.ModuleDict(parts).train(), losses, forward, 2 * count, net, diagnostics=diagnostics)

    def moved(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Moved:
        """The maps of n second views."""
        u = torch.rand(n, 5, generator=generator, device=generator.device)
        angle = (2 * u[:, 0] - 1) * math.radians(self.rotation)
        scale = self.crop + (max(self.crop, LARGEST) - self.crop) * u[:, 1]
        mirror = torch.where(u[:, 2] < 0.5, -1.0, 1.0) if self.mirror else torch.ones_like(scale)
        cos, sin = scale * angle.cos(), scale * angle.sin()
        matrix = torch.stack([torch.stack([cos * mirror, -sin], 1), torch.stack([sin * mirror, cos], 1)], 1)
        return Moved(matrix, (2 * u[:, 3:] - 1) * (1 - scale)[:, None])


@dataclass(frozen=True)
class Moved:
    """Affine maps from B second views to the frame: matrix (B, 2, 2) of (x, y) in pixels, then offset (B, 2) in half frames."""

    matrix: Tensor
    offset: Tensor

    def grid(self, size: tuple[int, int]) -> Tensor:
        """(B, H, W, 2) where in the frame each pixel of a second view comes from, as ``grid_sample`` has it."""
        return affine_grid(self.matrix, size) + self.offset[:, None, None, :]


def sampled(inside: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """(B, n) random numbers of pixels that are True in ``inside`` (B, H W), each once; the first again where there are fewer."""
    order = torch.rand(inside.shape, generator=generator, device=inside.device) + inside
    chosen = order.topk(n, dim=1).indices
    return torch.where(inside.gather(1, chosen), chosen, chosen[:, :1])


def taken(values: Tensor, chosen: Tensor) -> Tensor:
    """The pixels (B, n) of values (B, C, H W): (B, C, n)."""
    return values.gather(2, chosen[:, None].expand(-1, values.shape[1], -1))


def rows(features: Tensor) -> Tensor:
    """Features (B, C, n) of n pixels of B slices, slice after slice: (B n, C)."""
    return features.mT.flatten(0, 1)


def near_pixels(places: Tensor, index: Tensor, size: tuple[int, int], radius: float) -> Tensor:
    """(B n, B n) bool: which pixels lie in one slice and at most ``radius`` of the frame's longer side apart.

    Args:
        places: (B, n, 2) of the pixels in the frame, as ``grid_sample`` has them.
        index: (B,) which slice each is.
    """
    x, y = (places[..., axis].flatten() * (side / 2) for axis, side in ((0, size[1]), (1, size[0])))
    squared = (x[:, None] - x[None, :]).square() + (y[:, None] - y[None, :]).square()
    return same(index.repeat_interleave(places.shape[1])) & (squared <= (radius * max(size)) ** 2)


def pixel_contrast(first: Tensor, second: Tensor, near: Tensor, *, temperature: float) -> Tensor:
    """Mean contrastive loss of pixels: those of one number attract, those that are not near repel, within a view and across.

    Args:
        first, second: (M, C) features of M pixels in both views.
        near: (M, M) bool, the diagonal is True.
        temperature: tau > 0.

    Returns:
        Scalar float32.
    """
    number = torch.arange(2 * len(first), device=first.device)
    positives = (number[:, None] - number[None, :]).abs() == len(first)
    return info_nce(cosine_similarity(torch.cat([first, second])), positives, ~near.repeat(2, 2), temperature=temperature)


def matches(first: Tensor, second: Tensor, near: Tensor) -> dict[str, Tensor]:
    """How often the most similar pixel of the other view is near the same place; features as ``rows`` takes them."""
    slices, _, n = first.shape
    number = torch.arange(slices, device=first.device)
    within = near.view(slices, n, slices, n)[number, :, number]  # (B, n, n)
    nearest = (F.normalize(second, dim=1).mT @ F.normalize(first, dim=1)).argmax(dim=2)
    return {"match": within.gather(2, nearest[:, :, None]).float().mean(), "match_chance": within.float().mean()}


METHOD = PixelEquivariance
