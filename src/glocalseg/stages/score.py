"""Scores: from a fine-tuning's predictions and the native labels to rows of metrics. A new metric trains nothing again."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glocalseg.data.slices.store import SliceStore, open_store
from glocalseg.evaluation.metrics import case_scores
from glocalseg.evaluation.predictions import LAST, PREDICTIONS, read_predictions
from glocalseg.records.environment import environment
from glocalseg.records.files import write_atomic
from glocalseg.records.sealed import CorruptedError, open_sealed, seal
from glocalseg.stages.specs import Place, ScoreSpec

SCORES = "scores.csv"
COLUMNS = ["subject", "volume", "structure", "metric", "weights", "value"]
SELECTED = "selected"  # weights: those that the run is judged by


def score(spec: ScoreSpec, place: Place) -> None:
    """Score every test volume of a fine-tuning and seal the folder: ``scores.csv`` and its record.

    Raises:
        CorruptedError: if the slice store or the fine-tuning is missing, changed, or not that of the specification.
    """
    started = time.perf_counter()
    place.require(data=spec.data, start=spec.start)
    assert place.data is not None
    assert place.start is not None
    store, tuned = open_store(place.data), open_sealed(place.start)
    tables = []
    for weights, name in ((SELECTED, PREDICTIONS), ("last", LAST)):
        if (path := place.start.parent / name).name in tuned["files"]:
            predictions = read_predictions(path)
            if list(predictions) != tuned["split"]["test"]:
                raise CorruptedError(
                    f"{path}: expected {', '.join(tuned['split']['test'])}, the test volumes of {place.start}, found "
                    f"{', '.join(predictions)}"
                )
            tables.append(score_rows(store, predictions, weights))
    rows = pd.concat(tables, ignore_index=True)
    write_atomic(place.folder / SCORES, rows.to_csv(index=False, lineterminator="\n").encode())
    payload = {
        "spec": spec.dump(),
        "label": place.label,
        "timing": {"wall_seconds": round(time.perf_counter() - started, 3)},
        "environment": environment(),
    }
    seal(place.record, payload)


def score_rows(store: SliceStore, predictions: Mapping[str, NDArray[np.uint8]], weights: str = SELECTED) -> pd.DataFrame:
    """Every metric of every structure of predicted volumes: a row each, with COLUMNS, in the order of the predictions.

    Args:
        store: holds the native labels, their spacing, and the names of structures.
        predictions: (D, H, W) class indices by volume, on the native grid.
        weights: whose predictions they are, see ``SELECTED``.

    Raises:
        KeyError: if the store has no such volume.
        ValueError: if a prediction has another shape than the label.
    """
    rows: list[tuple[str, str, str, str, str, float]] = []
    for volume, prediction in predictions.items():
        of = store.known[volume]
        spacing = (of.spacing_depth, of.spacing_height, of.spacing_width)
        found = case_scores(prediction, store.native_label(volume), spacing=spacing, structures=store.structures)
        rows += [(of.subject, volume, structure, metric, weights, value) for structure, metric, value in found]
    return pd.DataFrame(rows, columns=COLUMNS)
