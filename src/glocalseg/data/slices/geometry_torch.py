"""The way back from the network's frame to the native grid, for probabilities (docs/method.md 7, item 2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from glocalseg.data.slices.geometry import window


def to_native(probabilities: Tensor, *, resampled: tuple[int, int], native: tuple[int, int]) -> Tensor:
    """Probabilities on the native grid; all zero outside the frame, so that argmax gives background there.

    The crop or pad of ``geometry.fit`` is undone with zeros, then each slice is resized linearly to its native size with the
    pixel centres of ``geometry.resample_image``.

    Args:
        probabilities: (D, C, H, W) float, on the frame; any device.
        resampled: rows and columns between resampling and crop or pad.
        native: rows and columns of the native grid.

    Returns:
        (D, C, *native), same type and device.
    """
    (rows, frame_rows), (columns, frame_columns) = (
        window(n, m) for n, m in zip(resampled, probabilities.shape[2:], strict=True)
    )
    whole = probabilities.new_zeros((*probabilities.shape[:2], *resampled))
    whole[:, :, rows, columns] = probabilities[:, :, frame_rows, frame_columns]
    if resampled == native:
        return whole
    return interpolate(whole, size=native, mode="bilinear", align_corners=False, antialias=False)


def label_of(probabilities: Tensor) -> Tensor:
    """The class of the largest probability, background where all are zero: (D, C, h, w) to (D, h, w) uint8."""
    return probabilities.argmax(dim=1).to(torch.uint8)
