"""SparK: the encoder sees some cells of a slice as if the others were not there, and a decoder draws the others from its maps.

Sparse masked modelling: what was hidden stays empty in every map of the encoder, so that it learns from visible pixels alone, as
a transformer does that is not given the hidden patches. Before the decoder, the empty places of each map get a learned value.
The encoder is handed on, the decoder thrown away.

Departures:
- The encoder is the benchmark's U-Net, with all of its maps, the one at the frame's resolution included; in the source it is a
  ResNet or ConvNeXt whose finest map has a quarter of it.
- The decoder is made as the U-Net's, half as wide as the encoder's maps, and joins maps; the source's has 768 values halved at
  every step, doubles the resolution by transposed convolutions, and adds maps.
- A cell is a pixel of the encoder's coarsest map; in small frames there are few, nine of them in one of 48 pixels.
- Patches that vary by less than 1e-6, the background's, do not count; in its released code they do.
- Learned values begin at zero; in its released code at random ones near it.
- Slices are shown whole with changed brightness and contrast; the source shows crops of any size, mirrored.
- Adam with the benchmark's learning rate, without weight decay and without clipping; the source uses LAMB.

As in its released code, batch norm takes its statistics over visible cells, each target patch is brought to mean 0 and variance
1, equally many cells of every image are hidden, and the distance is squared and of hidden patches alone.

Source: Tian et al., Designing BERT for Convolutional Networks: Sparse and Hierarchical Masked Modeling, ICLR 2023, arXiv
2301.03580.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.model import ConfigError
from glocalseg.config.settings import PretrainConfig
from glocalseg.methods.pretraining.base import Pretext, Slices, drawn
from glocalseg.methods.pretraining.batches.masking import grid_of, hidden_cells, patches, spread
from glocalseg.methods.pretraining.batches.sampling import random_slices
from glocalseg.networks.unet import Decoder, SegmentationNet, UNetEncoder
from glocalseg.training.augment.views import apply_views, draw_views
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task

FLAT = 1e-6  # patches of a smaller variance have nothing to restore; also added to variances, as in the released code


class Spark(Pretext):
    """Random slices of all volumes, each with cells of its own hidden.

    Options:
        ratio: share of the cells that are hidden, in (0, 1); at least one is, and one is not.
    """

    unread = ("temperature", "partitions", "partition_bounds", "views.crop", "views.crop_start")
    unet_only: ClassVar[bool] = True
    diagnostics: ClassVar[dict[str, str]] = {
        "patch_mean": "What the loss is where each patch is filled with its own mean; at it, nothing was learned.",
        "skipped": "Share of the hidden patches that do not count because they are flat; near 1 a step teaches nothing.",
    }
    ratio: float = Field(default=0.6, gt=0, lt=1)

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: PretrainConfig) -> Task:
        """The encoder on visible cells, a decoder behind it, and the distance in hidden patches.

        Raises:
            ConfigError: if the encoder is not the U-Net's, whose layers are known to need no more than a mask.
        """
        encoder = net.encoder
        if not isinstance(encoder, UNetEncoder):
            raise ConfigError("network: encoder: expected unet, which spark can show visible cells alone, found another")
        size = (slices.images.shape[2], slices.images.shape[3])
        cell = encoder.reductions[-1]
        grid = grid_of(size, cell)
        if min(grid) < 2:
            raise ConfigError(f"network: levels: expected a coarsest map of at least 2 x 2 cells for spark, found {grid}")
        painter = drawn(Painter(encoder.channels, encoder.reductions, momentum=net.momentum), "painter", seed, device)
        last: dict[str, Any] = {}

        @device.compile
        def network(shown: Tensor, hidden: Tensor) -> Tensor:
            with device.autocast():
                seen = [spread(1 - hidden, (size[0] // r, size[1] // r), cell // r) for r in encoder.reductions]
                return painter(visible_maps(encoder, shown, seen), seen)

        def forward(shown: Tensor) -> Tensor:
            return network(shown, hidden_cells(len(shown), grid, self.ratio, device.generator(seed, "masking forward")))

        augment = device.compile(apply_views)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            draws = device.generator(seed, "masking", step)
            index = random_slices(slices.pool, config.images, draws)
            draw = draw_views(torch.ones_like(index), config.views, crop=False, generator=draws)
            images = augment(slices.images[slices.pool.row[index]], draw, config.views)
            hidden = hidden_cells(config.images, grid, self.ratio, draws)
            target, counted = targets(images, hidden, cell)
            last.update(target=target, counted=counted, hidden=hidden)
            return {EVERYTHING: patch_loss(patches(network(images, hidden), cell), target, counted)}

        def diagnostics() -> dict[str, Tensor]:
            target, counted = last["target"], last["counted"]
            return {
                "patch_mean": patch_loss(torch.zeros_like(target), target, counted),
                "skipped": 1 - counted.sum() / last["hidden"].sum(),
            }

        modules = nn.ModuleDict({"encoder": encoder, "painter": painter}).train()
        return Task(modules, losses, forward, config.images, net, diagnostics=diagnostics)


class Painter(nn.Module):
    """The decoder that is thrown away: the encoder's maps with learned values where they are empty, to one channel of pixels."""

    def __init__(self, channels: Sequence[int], reductions: Sequence[int], *, momentum: float) -> None:
        super().__init__()
        widths = [max(1, c // 2) for c in channels]
        deepest = len(channels) - 1
        self.norms = nn.ModuleList(nn.BatchNorm2d(c, eps=1e-3, momentum=momentum) for c in channels)
        self.tokens = nn.ParameterList(nn.Parameter(torch.zeros(1, c, 1, 1)) for c in channels)
        self.projections = nn.ModuleList(
            nn.Conv2d(c, w, 1) if i == deepest else nn.Conv2d(c, w, 3, padding=1)
            for i, (c, w) in enumerate(zip(channels, widths, strict=True))
        )
        self.decoder = Decoder(widths, reductions, momentum=momentum)
        self.pixels = nn.Conv2d(self.decoder.channels[-1], 1, 1)

    def forward(self, maps: Sequence[Tensor], seen: Sequence[Tensor]) -> Tensor:
        """Pixels (N, 1, H, W) of maps that are empty where ``seen`` (N, 1, h, w) is zero."""
        filled = [
            projection(torch.where(visible > 0, norm_of_visible(cast(nn.BatchNorm2d, norm), x, visible), token.to(x.dtype)))
            for x, visible, norm, token, projection in zip(
                maps, seen, self.norms, self.tokens, self.projections, strict=True
            )
        ]
        return self.pixels(self.decoder(filled))


def visible_maps(encoder: UNetEncoder, images: Tensor, seen: Sequence[Tensor]) -> list[Tensor]:
    """The encoder's maps of what is visible, zero elsewhere.

    Args:
        seen: (N, 1, h, w) for each map, one where it is visible. Cells are whole pixels of the coarsest map, so no window of
            pooling holds pixels of two.
    """
    maps: list[Tensor] = []
    x = images * seen[0]
    for i, (block, visible) in enumerate(zip(encoder.blocks, seen, strict=True)):
        x = F.max_pool2d(x, 2) if i else x
        for layer in (layer for convolution in cast(nn.Sequential, block) for layer in cast(nn.Sequential, convolution)):
            x = norm_of_visible(layer, x, visible) if isinstance(layer, nn.BatchNorm2d) else layer(x)
        maps.append(x)
    return maps


def norm_of_visible(norm: nn.BatchNorm2d, x: Tensor, visible: Tensor) -> Tensor:
    """Batch norm of a training step whose statistics are over visible pixels, and so are its running averages; zero elsewhere."""
    values = x.float()
    count = visible.sum()
    mean = (values * visible).sum(dim=(0, 2, 3), keepdim=True) / count
    apart = (values - mean) * visible
    variance = apart.square().sum(dim=(0, 2, 3), keepdim=True) / count
    with torch.no_grad():
        share = cast(float, norm.momentum)
        for average, new in ((norm.running_mean, mean), (norm.running_var, variance * count / (count - 1))):
            cast(Tensor, average).lerp_(new.flatten(), share)
        cast(Tensor, norm.num_batches_tracked).add_(1)
    scale, shift = norm.weight.view(1, -1, 1, 1), norm.bias.view(1, -1, 1, 1)
    return ((apart * (variance + norm.eps).rsqrt() * scale + shift) * visible).to(x.dtype)


def targets(images: Tensor, hidden: Tensor, cell: int) -> tuple[Tensor, Tensor]:
    """Patches (N, h w, P) of mean 0 and variance 1, and which of them count (N, h w): those that are hidden and not flat."""
    wanted = patches(images, cell)
    variance, mean = torch.var_mean(wanted, dim=2, keepdim=True)
    return (wanted - mean) * (variance + FLAT).rsqrt(), hidden.flatten(1) * (variance.squeeze(2) >= FLAT)


def patch_loss(restored: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Mean over the patches that count of the mean squared distance; zero where none does. Scalar float32."""
    distance = (restored.float() - target).square().mean(dim=2)
    return (counted * distance).sum() / counted.sum().clamp(min=1)


METHOD = Spark
