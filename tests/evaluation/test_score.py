"""The step from predictions to rows: what it reads, what it writes, what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from glocalseg.data.cards.reading import Preparation
from glocalseg.data.slices.store import write_store
from glocalseg.evaluation.metrics import METRICS, case_scores
from glocalseg.evaluation.overlap import dice
from glocalseg.evaluation.predictions import LAST, PREDICTIONS, read_predictions, write_predictions
from glocalseg.records.sealed import CorruptedError, open_sealed, seal
from glocalseg.stages.score import COLUMNS, score
from glocalseg.stages.specs import Place, ScoreSpec

SPACING = (3.0, 1.5, 1.0)
SHAPES = {"a_1": (4, 18, 17), "file": (5, 16, 20), "volumes": (3, 17, 16)}  # names that numpy's files use themselves
STRUCTURES = {1: "core", 2: "rim"}


def label(volume: str, shift: int = 0) -> NDArray[np.uint8]:
    found = np.zeros(SHAPES[volume], np.uint8)
    found[1:3, 3 + shift : 9 + shift, 4:10] = 1
    if volume != "volumes":
        found[1:3, 9 + shift : 11 + shift, 4:10] = 2
    return found


def make_store(record: Path) -> None:
    depths = [shape[0] for shape in SHAPES.values()]
    count = sum(depths)
    sizes = [int(np.prod(shape)) for shape in SHAPES.values()]
    volumes = pd.DataFrame({
        "volume": list(SHAPES), "subject": [f"s{v}" for v in SHAPES], "depth": depths,
        "first_slice": np.cumsum([0, *depths])[:-1],
        "height": [s[1] for s in SHAPES.values()], "width": [s[2] for s in SHAPES.values()], "spacing_depth": SPACING[0],
        "spacing_height": SPACING[1], "spacing_width": SPACING[2], "resampled_height": 16, "resampled_width": 16,
        "native_offset": np.cumsum([0, *sizes])[:-1], "labelled": True,
    })  # fmt: skip
    slices = pd.DataFrame({
        "subject": "s", "volume": np.repeat(list(SHAPES), depths), "slice": range(count), "position": 0.5,
    })  # fmt: skip
    preparation = Preparation.model_validate(
        {"structures": STRUCTURES, "slice_axis": "A", "frame": {"spacing": [1, 1], "size": [16, 16]}}
    )
    images = np.zeros((count, 16, 16), np.float32)
    write_store(
        record, images=images, labels=images.astype(np.uint8), native_labels=np.concatenate([label(v).ravel() for v in SHAPES]),
        slices=slices, volumes=volumes, preparation=preparation, manifest={},
    )  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Place:
    data, start = tmp_path / "store/d1/manifest.json", tmp_path / "finetune/f1/run.json"
    make_store(data)
    write_predictions(start.parent / PREDICTIONS, {v: label(v, shift=1) for v in ("file", "volumes")})
    seal(start, {"split": {"test": ["file", "volumes"]}})
    return Place(tmp_path / "score/k/run.json", "toy gd n1", data=data, start=start)


SPEC = ScoreSpec(code="c1", data="d1", start="f1")


def test_every_metric_of_every_structure_and_test_volume_is_a_row(place: Place):
    score(SPEC, place)
    rows = pd.read_csv(place.folder / "scores.csv")
    assert list(rows.columns) == COLUMNS
    assert len(rows) == 2 * len(STRUCTURES) * len(METRICS)
    assert rows["subject"].unique().tolist() == ["sfile", "svolumes"]
    expected = case_scores(label("file", 1), label("file"), spacing=SPACING, structures=STRUCTURES)
    own = rows[rows["volume"] == "file"]
    found = list(zip(own["structure"], own["metric"], own["value"].fillna(-1), strict=True))
    assert found == [(structure, metric, -1 if value != value else value) for structure, metric, value in expected]
    absent = rows[(rows["volume"] == "volumes") & (rows["structure"] == "rim")].set_index("metric")["value"]
    assert absent.drop("stray").isna().all()
    assert absent["stray"] == 0
    assert own[own["metric"] == "dice"]["value"].iloc[0] == dice(label("file", 1) == 1, label("file") == 1)


def test_the_last_weights_are_rows_of_their_own(place: Place):
    assert place.start is not None
    write_predictions(place.start.parent / LAST, {v: label(v, shift=0) for v in ("file", "volumes")})
    seal(place.start, {"split": {"test": ["file", "volumes"]}})
    score(SPEC, place)
    rows = pd.read_csv(place.folder / "scores.csv")
    of = {w: rows[(rows["weights"] == w) & (rows["metric"] == "dice")]["value"].dropna() for w in ("selected", "last")}
    assert len(of["selected"]) == len(of["last"])
    assert (of["last"] == 1).all()
    assert (of["selected"] < 1).any()


def test_the_record_holds_the_specification_and_the_same_rows_are_the_same_bytes(place: Place):
    score(SPEC, place)
    payload = open_sealed(place.record)
    assert payload["spec"] == SPEC.dump()
    assert payload["label"] == "toy gd n1"
    assert payload["timing"]["wall_seconds"] >= 0
    first = (place.folder / "scores.csv").read_bytes()
    shutil.rmtree(place.folder)
    score(SPEC, place)
    assert (place.folder / "scores.csv").read_bytes() == first


def test_inputs_of_other_keys_are_refused(place: Place):
    with pytest.raises(CorruptedError, match=r"toy gd n1: expected start of key f2, found .*f1/run\.json"):
        score(SPEC.model_copy(update={"start": "f2"}), place)
    with pytest.raises(CorruptedError, match="expected data of key d2"):
        score(SPEC.model_copy(update={"data": "d2"}), place)


def test_predictions_of_other_volumes_are_refused(place: Place):
    assert place.start is not None
    seal(place.start, {"split": {"test": ["file", "a_1"]}})
    with pytest.raises(
        CorruptedError, match=r"predictions\.npz: expected file, a_1, the test volumes of .*found file, volumes"
    ):
        score(SPEC, place)


def test_an_edited_prediction_is_refused(place: Place):
    assert place.start is not None
    path = place.start.parent / PREDICTIONS
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(CorruptedError, match=r"predictions\.npz: expected sha256"):
        score(SPEC, place)


def test_predictions_come_back_by_volume_all_or_some(tmp_path: Path):
    made = {v: label(v) for v in SHAPES}
    write_predictions(tmp_path / PREDICTIONS, made)
    found = read_predictions(tmp_path / PREDICTIONS)
    assert list(found) == list(made)
    assert all(np.array_equal(found[v], made[v]) for v in made)
    assert list(read_predictions(tmp_path / PREDICTIONS, ["volumes"])) == ["volumes"]
    with pytest.raises(KeyError):
        read_predictions(tmp_path / PREDICTIONS, ["nobody"])


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "another"])
def test_damaged_predictions_are_one_line(tmp_path: Path, damage: str):
    path = tmp_path / PREDICTIONS
    write_predictions(path, {"a": np.zeros((2, 3, 4), np.uint8)})
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 255
    path.write_bytes({"cut": data[:-30], "empty": b"", "flipped": data, "another": b"x" * 100}[damage])
    with pytest.raises(CorruptedError, match=r"predictions\.npz: expected predictions as they were written, found [^\n]+$"):
        read_predictions(path)


def test_predictions_that_are_no_labels_are_named(tmp_path: Path):
    np.savez(tmp_path / PREDICTIONS, volumes=np.array(["a"]), prediction0=np.zeros((2, 3)))
    with pytest.raises(
        CorruptedError, match=r"npz: a: expected labels \(D, H, W\) of uint8, found float64 of shape \(2, 3\)"
    ):
        read_predictions(tmp_path / PREDICTIONS)
