"""What a picture of a case needs, read from the slice store and the runs: nothing but the volumes that are shown is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glocalseg.data.slices.store import SliceStore
from glocalseg.evaluation.predictions import PREDICTIONS, read_predictions
from glocalseg.report.collected.ledger import ReportError
from glocalseg.report.figures.overlays.cases import Case, Run
from glocalseg.report.figures.overlays.slices import View, leaves, shown_slices, unframe, view_of, wrongest_slice

_SLICES = 2  # of a volume
_TALL, _LONG = 1.4, 1.6  # how much longer a picture may be one way than the other


@dataclass(frozen=True)
class Scene:
    """A case with all that is drawn of it.

    ``images`` holds the slices that are shown by number, from 0, (h, w) with the extent of the native grid; ``truth`` and every
    prediction are (D, H, W) on that grid. ``spacing`` is that of its rows and columns in mm.
    """

    case: Case
    images: dict[int, NDArray[np.float32]]
    truth: NDArray[np.uint8]
    predictions: tuple[tuple[Run, NDArray[np.uint8]], ...]
    spacing: tuple[float, float]
    view: View

    @property
    def cut_off(self) -> tuple[Run, ...]:
        """The runs that predict something beyond the view, in a slice that is shown."""
        depths = list(self.images)
        return tuple(run for run, labels in self.predictions if leaves(self.view, labels[depths], self.spacing))

    @property
    def grid(self) -> tuple[float, float]:
        """How many mm the native grid's rows and columns span."""
        return self.truth.shape[1] * self.spacing[0], self.truth.shape[2] * self.spacing[1]


def scene_of(case: Case, store: SliceStore, root: Path) -> Scene | None:
    """A case with its pictures; None without its volume, any prediction, or that of a failed run.

    Args:
        root: folder that the paths of runs are relative to.

    Raises:
        CorruptedError, ReportError: see ``overlay_plots``.
    """
    found = tuple((run, labels) for run in case.runs if (labels := _prediction(run, case.volume, root)) is not None)
    v = store.known.get(case.volume)
    if v is None or not found or (case.failed and found[0][0] is not case.runs[0]):
        return None
    truth, spacing = store.native_label(case.volume), (v.spacing_height, v.spacing_width)
    for _, labels in found:
        if labels.shape != truth.shape:
            raise ReportError(f"predictions of {case.volume}: expected shape {truth.shape}, found {labels.shape}")
    predicted = [labels for _, labels in found]
    depths = [wrongest_slice(truth, predicted)] if case.rank == "subject" else list(shown_slices(truth, _SLICES))
    size, rows = (v.resampled_height, v.resampled_width), store.rows([case.volume])
    images = {depth: unframe(store.images[rows[depth]], size) for depth in depths}
    view = view_of(truth[depths], [one[depths] for one in predicted], spacing)
    return Scene(case, images, truth, found, spacing, view)


def _prediction(run: Run, volume: str, root: Path) -> NDArray[np.uint8] | None:
    path = root / run.folder / PREDICTIONS
    try:
        return read_predictions(path, [volume])[volume] if path.is_file() else None
    except KeyError:
        return None


def at_one_scale(scenes: Sequence[Scene]) -> list[Scene]:
    """Scenes whose views are equally large, so that one bar of scale holds for all."""
    if not scenes:
        return []
    width, height = max(s.view.width for s in scenes), max(s.view.height for s in scenes)
    width, height = max(width, height / _TALL), max(height, width / _LONG)
    return [replace(s, view=s.view.around(width, height, s.grid)) for s in scenes]
