"""Intensities of a volume to those that the network sees: bias field, percentiles or window, padding (docs/method.md 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glocalseg.data.readers.base import Problem

if TYPE_CHECKING:
    from glocalseg.data.cards.reading import Preparation

Ends = tuple[np.floating, np.floating]  # the intensities that become 0 and 1


def outside_of(preparation: Preparation, image: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """Which voxels hold the card's padding, same shape; None without such a value."""
    return None if preparation.padding is None else np.asarray(image == np.float32(preparation.padding))


def limits(preparation: Preparation, body: NDArray[np.float32]) -> Ends:
    """The intensities that become 0 and 1: the card's window, or its percentiles. Both are NaN where there is no voxel.

    Args:
        body: the voxels that are not outside, in any shape and order.
    """
    if preparation.window is not None:
        return np.float64(preparation.window[0]), np.float64(preparation.window[1])
    if not body.size:
        return np.float64(np.nan), np.float64(np.nan)
    low, high = np.percentile(body, preparation.percentiles)
    return low, high


def indistinct(preparation: Preparation, ends: Ends, *, name: str) -> Problem | None:
    """What is wrong with the intensities that become 0 and 1, if they are one and the same."""
    low, high = ends
    if high > low:
        return None
    found = f"{low} and {high}" if not np.isnan(low) else f"nothing but padding ({preparation.padding:g})"
    return Problem(name, f"different percentiles {preparation.percentiles} of its intensities", found)


def normalise(
    preparation: Preparation, image: NDArray[np.float32], outside: NDArray[np.bool_] | None, ends: Ends
) -> NDArray[np.float32]:
    """(v - low) / (high - low), not clipped (docs/method.md 2.2.2) unless the card has a window; 0 where ``outside``.

    Args:
        outside: as ``outside_of``.
        ends: low and high, as ``limits``, different.
    """
    low, high = ends
    scaled = image - np.float32(low)
    scaled /= np.float32(high - low)
    if preparation.window is not None:
        np.clip(scaled, 0, 1, out=scaled)
    if outside is not None:
        scaled[outside] = 0
    return scaled


def correct_bias(image: NDArray[np.float32], spacing: tuple[float, float, float]) -> NDArray[np.float32]:
    """The volume without its smooth bias field, by N4 on the full grid and without a mask (docs/method.md 2.2.1).

    Args:
        image: (D, h, w) float32.
        spacing: mm, in that order.
    """
    import SimpleITK as sitk  # a second of import that only cards with bias_correction need

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # sums depend on the number of threads
    volume = sitk.GetImageFromArray(image)
    volume.SetSpacing(spacing[::-1])
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetConvergenceThreshold(0.001)
    n4.SetMaximumNumberOfIterations([50] * 4)
    return np.asarray(sitk.GetArrayFromImage(n4.Execute(volume)), dtype=np.float32)
