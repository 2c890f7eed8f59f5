"""The file of a fine-tuning's predictions: one array a volume, called by its number, because a volume's name may be anything."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glocalseg.records.files import write_atomic

PREDICTIONS = "predictions.npz"


def write_predictions(path: Path, predictions: Mapping[str, NDArray[np.uint8]]) -> None:
    """Write the predicted labels of volumes, (D, H, W) uint8 each, on their native grids."""
    content = io.BytesIO()
    arrays = {f"prediction{i}": prediction for i, prediction in enumerate(predictions.values())}
    np.savez_compressed(content, volumes=np.array(list(predictions), dtype=np.str_), **arrays)  # type: ignore[arg-type]
    write_atomic(path, content.getvalue())


def read_predictions(path: Path, only: Iterable[str] | None = None) -> dict[str, NDArray[np.uint8]]:
    """The predictions of a file by volume, or of some of its volumes. Raises KeyError if one of these is not in it."""
    with np.load(path, allow_pickle=False) as file:
        number = {str(volume): i for i, volume in enumerate(file["volumes"])}
        return {volume: file[f"prediction{number[volume]}"] for volume in (number if only is None else only)}
