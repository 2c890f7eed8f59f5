"""Two label-free tests of what a pretraining learned: the position probe and the same-place test. Pure functions."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

PENALTIES = tuple(np.logspace(0, 6, 13))


def position_r2(
    features: NDArray[np.float32],
    position: NDArray[np.float32],
    held_out_features: NDArray[np.float32],
    held_out_position: NDArray[np.float32],
) -> float:
    """R2, on held-out subjects, of a ridge regression from a slice's features to its relative position; at most 1.

    Args:
        features: (n, D) of the subjects that fit the probe; the penalty is chosen on them by leave-one-out.
        position: (n,) in (0, 1).
        held_out_features, held_out_position: the same of other subjects.
    """
    probe = make_pipeline(StandardScaler(), RidgeCV(alphas=PENALTIES)).fit(features, position)
    return float(probe.score(held_out_features, held_out_position))


def same_place_share(first: Tensor, second: Tensor) -> float:
    """Share of places whose nearest feature in an unrelated map lies at the same place; chance is 1 / (h * w).

    Near 1 the map encodes where a pixel is in the frame, not what it shows.

    Args:
        first, second: (P, C, h, w) maps of P pairs of slices of different volumes and partitions.
    """
    a = F.normalize(first.flatten(2), dim=1)
    b = F.normalize(second.flatten(2), dim=1)
    places = torch.arange(a.shape[2], device=a.device)
    # pair by pair: all similarities of 200 pairs of 48 x 48 maps would take 4 GB
    found = [((u.T @ v).argmax(dim=1) == places).float().mean() for u, v in zip(a, b, strict=True)]
    return float(torch.stack(found).mean())
