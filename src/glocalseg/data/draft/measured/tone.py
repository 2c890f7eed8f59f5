"""The intensities of a volume, as far as a draft asks for them: range, what is inside labels, what stands for outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glocalseg.data.acquire.examine.intensities import GAP, SHARE, USUAL, USUAL_GAP

SOME = 2_000_000  # voxels that percentiles are taken of


@dataclass(frozen=True)
class Padding:
    """A value at the lower or upper end that many voxels hold and that lies apart from all others."""

    value: float
    share: float
    following: float  # the next value


@dataclass(frozen=True)
class Tone:
    """``percentiles``: 0, 1, 50, 99, 100 of what is not padding; ``inside``: 0.5, 50, 99.5 of what is labelled."""

    percentiles: tuple[float, ...]
    whole: bool  # whole numbers only
    padding: Padding | None = None
    inside: tuple[float, float, float] | None = None


def tone_of(voxels: NDArray[np.float32], labels: NDArray[Any] | None) -> Tone | None:
    """Of an image, with its label if it has one; None if a voxel is no number or the image is constant."""
    if not np.isfinite(voxels).all() or voxels.min() == voxels.max():
        return None
    padding = next((found for side in (1, -1) if (found := _padding(voxels, side))), None)
    body = voxels[voxels != padding.value] if padding else voxels.ravel()
    some = body[:: max(1, body.size // SOME)]
    inside = None
    if labels is not None and labels.any():
        a, b, c = np.percentile(voxels[labels != 0], (0.5, 50, 99.5))
        inside = (float(a), float(b), float(c))
    ends = np.percentile(some, (0, 1, 50, 99, 100))
    return Tone(tuple(float(v) for v in ends), bool(np.all(some == np.round(some))), padding, inside)


def _padding(voxels: NDArray[np.float32], side: int) -> Padding | None:
    """The smallest (1) or largest (-1) value where it stands for outside; 0 around an organ is usual in MR and is none."""
    value = float(voxels.min() if side == 1 else voxels.max())
    share = float(np.mean(voxels == value))
    if not SHARE <= share < 1 or value == 0:
        return None
    rest = voxels[voxels != value]
    following = float(rest.min() if side == 1 else rest.max())
    low, high = np.percentile(rest[:: max(1, rest.size // SOME)], (1, 99))
    least = USUAL_GAP if value in USUAL else GAP
    if not abs(following - value) > least * float(high - low):
        return None
    return Padding(value, share, following)
