"""The projection heads of pretraining (docs/method.md 3.2); they are thrown away after it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EMBEDDING = 128
HIDDEN = 1024


class GlobalHead(nn.Sequential):
    """g1: the flattened bottleneck, a dense layer with ReLU, a linear one; no biases. (N, C, h, w) to (N, 128)."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__(
            nn.Flatten(),
            nn.Linear(channels * height * width, HIDDEN, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, EMBEDDING, bias=False),
        )

    @classmethod
    def behind(cls, encoder: nn.Module, images: Tensor) -> GlobalHead:
        """g1 for the bottleneck that an encoder makes of images (N, 1, H, W); leaves the encoder in inference mode."""
        with torch.no_grad():
            _, channels, height, width = encoder.eval()(images[:1])[-1].shape
        return cls(channels, height, width)


class LocalHead(nn.Module):
    """g2: two 1x1 convolutions on the decoder's map, and the projection of a flattened region (D9, release) or none."""

    def __init__(self, channels: int, *, region_size: int, project: bool, momentum: float) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels, eps=1e-3, momentum=momentum),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1, bias=False),
        )
        values = region_size**2 * channels
        self.project = nn.Linear(values, EMBEDDING, bias=False) if project and region_size > 1 else None

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, h, w) of a decoder output (N, C, h, w)."""
        return self.convolutions(features)
