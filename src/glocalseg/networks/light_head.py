"""A light head on features of slices, which were computed before and lie in a file; it needs no timm."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

FEATURES = "features.npy"  # (N, C, h, w) float16, in the order of a store's slices


class FeatureHead(nn.Module):
    """One 1x1 convolution on a slice's features, enlarged to the frame."""

    def __init__(self, channels: int, *, classes: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.head = nn.Conv2d(channels, classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (N, classes, H, W) of features (N, 1, C, h, w), which stand where others have images."""
        return F.interpolate(self.head(features[:, 0]), self.size, mode="bilinear", align_corners=False)
