"""Overlap of two masks, the score that training is selected by; nothing but numpy is needed for it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """2 |a and b| / (|a| + |b|) of two boolean masks of one shape, in [0, 1]; nan where both are empty (D20)."""
    size = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2.0 * int(np.count_nonzero(a & b)) / size if size else float("nan")


def dice_scores(prediction: NDArray[np.uint8], truth: NDArray[np.uint8], structures: Mapping[int, str]) -> dict[str, float]:
    """The Dice of every structure by name; nan for one that is not in the truth, whatever is predicted (D20).

    Args:
        prediction, truth: class indices, of one shape.
        structures: class index to name.
    """
    masks = {name: truth == index for index, name in structures.items()}
    return {
        name: dice(prediction == index, masks[name]) if masks[name].any() else float("nan")
        for index, name in structures.items()
    }
