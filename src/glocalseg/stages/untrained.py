"""Labels without training: what a control of ``methods.untrained`` says of the test volumes, in the place of a fine-tuning."""

from __future__ import annotations

import time
from typing import cast

import numpy as np

from glocalseg.data.slices.geometry_torch import label_of, to_native
from glocalseg.data.slices.store import open_store
from glocalseg.data.splits.lists import volumes_of
from glocalseg.evaluation.predictions import PREDICTIONS, write_predictions
from glocalseg.methods.catalogue import untrained
from glocalseg.methods.untrained.atlas import Atlas
from glocalseg.records.environment import environment
from glocalseg.records.sealed import seal
from glocalseg.stages.specs import Place, UntrainedSpec


def label(spec: UntrainedSpec, place: Place) -> None:
    """Label the test volumes and seal the folder: ``predictions.npz`` and its record, as a fine-tuning leaves them.

    Raises:
        CorruptedError: if the slice store is missing, changed, or not that of the specification.
        ConfigError: if the card's split does not fit the data.
    """
    started = time.perf_counter()
    place.require(data=spec.data, start=None)
    assert place.data is not None
    store = open_store(place.data)
    split = volumes_of(spec.split, store.volumes)
    method = cast("Atlas", untrained()[spec.regime].option_class().model_validate(spec.options))
    rows = store.rows(split.train)
    labels, known = np.asarray(store.labels[rows]), store.positions(split.train)
    place.folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for volume in split.test:
        shares = method.probabilities(labels, known, store.positions([volume]), classes=store.classes)
        of = store.known[volume]
        resampled, native = (of.resampled_height, of.resampled_width), (of.height, of.width)
        found[volume] = label_of(to_native(shares, resampled=resampled, native=native)).numpy()
    write_predictions(place.folder / PREDICTIONS, found)
    used = {"train": list(split.train), "validation": [], "test": list(split.test), "unlabelled": []}
    payload = {
        "spec": spec.dump(),
        "label": place.label,
        "split": used,
        "subjects": {v: store.known[v].subject for names in used.values() for v in names},
        "timing": {"wall_seconds": round(time.perf_counter() - started, 3)},
        "environment": environment(),
    }
    seal(place.record, payload)
