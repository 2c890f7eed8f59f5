"""Dice, HD95 and ASSD of one case, in the native grid and in millimetres.

Rules for empty cases (D20). Both empty: no value, the structure is skipped. One of the two empty: Dice 0; the distances have no
value, and the tables count how many are missing. Surfaces are those of medpy: voxels of the structure with a face neighbour
outside it; HD95 is the 95th percentile of both directions' distances taken together, ASSD their mean.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from medpy.metric.binary import assd, dc, hd95
from numpy.typing import NDArray

METRICS = ("dice", "hd95", "assd")


def case_scores(
    prediction: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    *,
    spacing: tuple[float, float, float],
    structures: Mapping[int, str],
) -> list[tuple[str, str, float]]:
    """Rows (structure, metric, value) of a case; values without meaning are nan.

    Args:
        prediction, truth: (D, H, W) class indices.
        spacing: mm, in the order of the axes.
        structures: class index to name.

    Raises:
        ValueError: if the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"expected a prediction of shape {truth.shape}, found {prediction.shape}")
    rows = []
    for index, name in structures.items():
        values = _structure_scores(prediction == index, truth == index, spacing)
        rows += [(name, metric, value) for metric, value in zip(METRICS, values, strict=True)]
    return rows


def mean_dice(rows: list[tuple[str, str, float]]) -> float:
    """Mean Dice of a case's structures, those without a value left out; nan if none has one."""
    values = [value for _, metric, value in rows if metric == "dice" and not np.isnan(value)]
    return float(np.mean(values)) if values else float("nan")


def dice_scores(prediction: NDArray[np.uint8], truth: NDArray[np.uint8], structures: Mapping[int, str]) -> dict[str, float]:
    """Dice alone, for validation while training; nan where a structure is in neither."""
    scores = {}
    for index, name in structures.items():
        a, b = prediction == index, truth == index
        scores[name] = float(dc(a, b)) if a.any() or b.any() else float("nan")
    return scores


def _structure_scores(
    a: NDArray[np.bool_], b: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> tuple[float, float, float]:
    if not a.any() and not b.any():
        return float("nan"), float("nan"), float("nan")
    if not a.any() or not b.any():
        return 0.0, float("nan"), float("nan")
    box = _box(a | b)
    a, b = a[box], b[box]
    return float(dc(a, b)), float(hd95(a, b, voxelspacing=spacing)), float(assd(a, b, voxelspacing=spacing))


def _box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Bounds of a mask, the array's own border never touching it: no surface or distance changes, and it is 10 times faster."""
    bounds = [np.flatnonzero(mask.any(axis=tuple(set(range(mask.ndim)) - {axis}))) for axis in range(mask.ndim)]
    return tuple(slice(max(0, int(b[0]) - 1), int(b[-1]) + 2) for b in bounds)
