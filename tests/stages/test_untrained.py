"""A control without training is a run like others: its folder, its labels, its scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from small_benchmark import SIDE, find, run_job, small_plan, write_data

from glocalseg.data.slices.store import open_store
from glocalseg.evaluation.predictions import read_predictions
from glocalseg.records.sealed import open_sealed


def test_a_run_labels_by_the_labelled_volumes_alone_and_is_scored(tmp_path: Path) -> None:
    plan = small_plan(methods=[{}, {"regime": "atlas", "control": True}], upper_bound=False)
    write_data(tmp_path, plan)
    job, scored = (find(plan, phase, "atlas", 2) for phase in ("finetune", "score"))
    run_job(job, tmp_path)
    run_job(scored, tmp_path)
    record = open_sealed(tmp_path / job.record)
    assert sorted(record["files"]) == ["predictions.npz"]
    store = open_store(tmp_path / plan.of("data")[0].record)
    assert set(record["split"]["train"]) == {v for v in record["subjects"] if v not in record["split"]["test"]}
    first, second = (store.native_label(v) for v in record["split"]["train"])
    for labels in read_predictions(tmp_path / job.record.parent / "predictions.npz").values():
        assert labels.shape == (len(first), SIDE, SIDE)
        agreed = first == second
        np.testing.assert_array_equal(labels[agreed], first[agreed])  # as many slices in all volumes: places meet exactly
    rows = pd.read_csv(tmp_path / scored.record.parent / "scores.csv")
    assert set(rows["weights"]) == {"selected"}
    assert rows[rows["metric"] == "dice"]["value"].between(0.1, 1).all()
