"""The file of a fine-tuning's predictions: one array a volume, called by its number, because a volume's name may be anything."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glocalseg.config.lines import one_line, shortened
from glocalseg.records.files import write_atomic
from glocalseg.records.sealed import CorruptedError

PREDICTIONS = "predictions.npz"  # of the weights that were selected
LAST = "predictions-last.npz"  # of those after the last step, where there was a selection
# what numpy and zipfile raise for a damaged file: of encryption (RuntimeError), of a method or a size that there is not
UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    TypeError,
    AttributeError,
    RuntimeError,
    MemoryError,
    zlib.error,
    zipfile.BadZipFile,
)


def write_predictions(path: Path, predictions: Mapping[str, NDArray[np.uint8]]) -> None:
    """Write the predicted labels of volumes, (D, H, W) uint8 each, on their native grids."""
    content = io.BytesIO()
    arrays = {f"prediction{i}": prediction for i, prediction in enumerate(predictions.values())}
    np.savez_compressed(content, volumes=np.array(list(predictions), dtype=np.str_), **arrays)  # type: ignore[arg-type]
    write_atomic(path, content.getvalue())


def read_predictions(path: Path, only: Iterable[str] | None = None) -> dict[str, NDArray[np.uint8]]:
    """The predictions of a file by volume, or of some of its volumes.

    Raises:
        KeyError: if one of these is not in it.
        CorruptedError: if the file is none of predictions, or a damaged one.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            number = {str(volume): i for i, volume in enumerate(file["volumes"])}
            wanted = list(number if only is None else only)
            found = {volume: file[f"prediction{number[volume]}"] for volume in wanted if volume in number}
    except UNREADABLE as error:
        said = shortened(one_line(f"{type(error).__name__}: {error}"))
        raise CorruptedError(f"{path}: expected predictions as they were written, found {said}") from None
    if missing := [volume for volume in wanted if volume not in number]:
        raise KeyError(missing[0])
    for volume, labels in found.items():
        if labels.dtype != np.uint8 or labels.ndim != 3:
            said = f"{labels.dtype} of shape {labels.shape}"
            raise CorruptedError(f"{path}: {volume}: expected labels (D, H, W) of uint8, found {said}")
    return found
