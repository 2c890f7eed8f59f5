"""The paper's U-Net (docs/method.md 3.1), with an encoder that can be exchanged.

An encoder is a module with ``channels`` and ``reductions`` that returns one feature map per entry, finest first; a
reduction of 4 means a quarter of the frame's side. The decoder doubles the resolution block by block until the frame's is
reached, and takes the encoder's map of that resolution as a skip connection where there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FULL_RESOLUTION_CHANNELS = 16  # of a block without a skip, where an encoder has no map at the frame's resolution


class ConvBlock(nn.Sequential):
    """Convolution with bias, batch norm, ReLU; "same" zero padding, an even kernel padded right and bottom only."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, momentum: float) -> None:
        before = (kernel - 1) // 2
        pad = (before, kernel - 1 - before, before, kernel - 1 - before)
        symmetric = kernel % 2 == 1
        layers: list[nn.Module] = [] if symmetric else [nn.ZeroPad2d(pad)]
        layers += [
            nn.Conv2d(inputs, outputs, kernel, padding=before if symmetric else 0),
            nn.BatchNorm2d(outputs, eps=1e-3, momentum=momentum),
            nn.ReLU(inplace=True),
        ]
        super().__init__(*layers)


class UNetEncoder(nn.Module):
    """Blocks of two 3x3 convolutions with 2x2 max-pooling between them."""

    def __init__(self, channels: Sequence[int], *, momentum: float, inputs: int = 1) -> None:
        super().__init__()
        self.channels = list(channels)
        self.reductions = [2**i for i in range(len(channels))]
        self.blocks = nn.ModuleList()
        for outputs in channels:
            self.blocks.append(
                nn.Sequential(
                    ConvBlock(inputs, outputs, 3, momentum=momentum), ConvBlock(outputs, outputs, 3, momentum=momentum)
                )
            )
            inputs = outputs

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps of (N, 1, H, W) images, finest first: (N, C_i, H / 2^i, W / 2^i)."""
        maps: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            maps.append(block(F.max_pool2d(maps[-1], 2) if i else images))
        return maps


class DecoderBlock(nn.Module):
    """Nearest x2, 2x2 convolution, concatenation with the skip (second), then one or two 3x3 convolutions."""

    def __init__(self, inputs: int, outputs: int, skip: int, *, convolutions: int, momentum: float) -> None:
        super().__init__()
        self.up = ConvBlock(inputs, outputs, 2, momentum=momentum)
        sizes = [outputs + skip] + [outputs] * convolutions
        self.convolutions = nn.Sequential(*(ConvBlock(a, b, 3, momentum=momentum) for a, b in pairwise(sizes)))

    def forward(self, coarse: Tensor, skip: Tensor | None) -> Tensor:
        up = self.up(F.interpolate(coarse, scale_factor=2.0, mode="nearest"))
        return self.convolutions(up if skip is None else torch.cat([up, skip], dim=1))


class Decoder(nn.Module):
    """Decoder blocks from the coarsest map to the frame's resolution; ``channels[l - 1]`` is C_l of docs/method.md 3.2."""

    def __init__(self, encoder_channels: Sequence[int], reductions: Sequence[int], *, momentum: float) -> None:
        super().__init__()
        skips = dict(zip(reductions, encoder_channels, strict=True))
        inputs, reduction = encoder_channels[-1], reductions[-1]
        self.blocks = nn.ModuleList()
        self.channels: list[int] = []
        self._skips: list[int | None] = []  # index of the encoder's map that a block takes
        while reduction > 1:
            reduction //= 2
            skip = skips.get(reduction, 0)
            outputs = skip or min(inputs, FULL_RESOLUTION_CHANNELS if reduction == 1 else inputs)
            convolutions = 1 if reduction == 1 else 2
            self.blocks.append(DecoderBlock(inputs, outputs, skip, convolutions=convolutions, momentum=momentum))
            self.channels.append(outputs)
            self._skips.append(list(reductions).index(reduction) if skip else None)
            inputs = outputs

    def forward(self, maps: Sequence[Tensor], blocks: int | None = None) -> Tensor:
        """Output of the first ``blocks`` blocks (all if None) on the encoder's maps."""
        x = maps[-1]
        for block, skip in list(zip(self.blocks, self._skips, strict=True))[:blocks]:
            x = block(x, None if skip is None else maps[skip])
        return x


class SegmentationNet(nn.Module):
    """Encoder, decoder and segmentation head."""

    def __init__(self, encoder: nn.Module, *, classes: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum  # of batch norm: heads take the network's
        self.encoder = encoder
        self.decoder = Decoder(encoder.channels, encoder.reductions, momentum=momentum)  # type: ignore[arg-type]
        width = self.decoder.channels[-1]
        self.head = nn.Sequential(
            ConvBlock(width, width, 3, momentum=momentum),
            ConvBlock(width, width, 3, momentum=momentum),
            nn.Conv2d(width, classes, 3, padding=1, bias=False),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes, H, W) of images (N, 1, H, W)."""
        return self.head(self.decoder(self.encoder(images)))
