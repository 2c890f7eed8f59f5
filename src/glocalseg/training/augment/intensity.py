"""One pointwise pass: brightness and contrast per image (docs/method.md 4.3)."""

from __future__ import annotations

from torch import Tensor


def adjust(images: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    """``(x + b - mean) * f + mean`` with the mean of each brightened image: brightness first, then contrast.

    Args:
        images: (N, 1, H, W) float32.
        brightness: (N,) added value b.
        contrast: (N,) factor f.
    """
    shape = (-1, 1, 1, 1)
    f = contrast.view(shape)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    # (x + b - (mean + b)) * f + (mean + b), gathered into one multiply and one add
    return images * f + (mean * (1 - f) + brightness.view(shape))
