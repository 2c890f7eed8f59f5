"""The slice store: what goes in comes out, and an edited byte is noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from nifti_layouts import make_card

from glocalseg.data.cards.reading import Preparation
from glocalseg.data.slices.store import open_store, positions, write_store
from glocalseg.records.sealed import CorruptedError

DEPTHS = {"a_1": 2, "b_1": 3}
NATIVE = {"a_1": (2, 4, 5), "b_1": (3, 3, 3)}


def content() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    slices = [("a" if v == "a_1" else "b", v, k, (k + 0.5) / d) for v, d in DEPTHS.items() for k in range(d)]
    volumes, first, offset = [], 0, 0
    for volume, shape in NATIVE.items():
        volumes.append((volume, volume[0], first, *shape, 8.0, 1.5, 1.25, 6, 5, offset))
        first, offset = first + shape[0], offset + int(np.prod(shape))
    names = "volume subject first_slice depth height width spacing_depth spacing_height spacing_width"
    return {
        "images": rng.normal(size=(5, 16, 18)).astype(np.float32),
        "labels": rng.integers(0, 3, (5, 16, 18)).astype(np.uint8),
        "native_labels": rng.integers(0, 3, offset).astype(np.uint8),
        "slices": pd.DataFrame(slices, columns=["subject", "volume", "slice", "position"]),
        "volumes": pd.DataFrame(
            volumes, columns=[*names.split(), "resampled_height", "resampled_width", "native_offset"]
        ).assign(labelled=True),
        "preparation": make_card(frame={"spacing": [1, 1], "size": [16, 18]}).preparation,
        "manifest": {"spec": {"identity": "x"}},
    }


@pytest.fixture
def record(tmp_path: Path) -> Path:
    record = tmp_path / "store" / "manifest.json"
    write_store(record, **content())
    return record


def test_round_trip(record: Path) -> None:
    store, put = open_store(record), content()
    for name in ("images", "labels", "native_labels"):
        np.testing.assert_array_equal(getattr(store, name), put[name])
        assert isinstance(getattr(store, name), np.memmap)
    pd.testing.assert_frame_equal(store.volumes, put["volumes"])
    assert store.manifest["spec"] == {"identity": "x"}
    assert store.rows(["b_1", "a_1"]).tolist() == [2, 3, 4, 0, 1]
    assert store.rows([]).tolist() == []
    in_order = put["slices"].set_index("volume")["position"].loc[["b_1", "a_1"]]
    assert store.positions(["b_1", "a_1"]).tolist() == in_order.tolist()
    assert store.positions([]).tolist() == []
    np.testing.assert_array_equal(store.native_label("b_1"), put["native_labels"][40:].reshape(3, 3, 3))
    with pytest.raises(KeyError):
        store.rows(["c_1"])


def test_a_store_knows_how_it_was_read(record: Path) -> None:
    store, preparation = open_store(record), content()["preparation"]
    assert store.size == (16, 18)
    assert store.structures == preparation.structures == {1: "one", 2: "two"}
    assert store.classes == preparation.classes == 3
    assert Preparation.model_validate(store.manifest["preparation"]) == preparation


def test_positions_are_the_slices_middles() -> None:
    assert positions(4).tolist() == [0.125, 0.375, 0.625, 0.875]


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "native_labels.npy", "slices.csv", "volumes.csv"])
def test_an_edited_byte_is_an_error_that_names_the_file(record: Path, name: str) -> None:
    path = record.parent / name
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptedError, match=f"{name}: expected sha256"):
        open_store(record)


def test_a_missing_file_and_a_missing_record_are_errors(record: Path) -> None:
    (record.parent / "slices.csv").unlink()
    with pytest.raises(CorruptedError, match=r"slices\.csv: expected a file"):
        open_store(record)
    record.unlink()
    with pytest.raises(CorruptedError, match="found nothing"):
        open_store(record)


@pytest.mark.parametrize("wrong", ["images", "labels", "slices", "volumes"])
def test_what_does_not_belong_together_is_not_written(tmp_path: Path, wrong: str) -> None:
    parts = content()
    parts[wrong] = parts[wrong][1:]
    with pytest.raises(ValueError, match="do not belong together"):
        write_store(tmp_path / "manifest.json", **parts)
    assert not (tmp_path / "manifest.json").exists()


def test_another_frame_than_the_images_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\(5, 16, 18\) and a frame of \(16, 16\) do not belong together"):
        write_store(tmp_path / "manifest.json", **{**content(), "preparation": make_card().preparation})
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize(("volumes", "subjects"), [(("NA", "007"), ("nan", "1e5")), (("None", "1e5"), ("007", "n"))])
def test_volumes_and_subjects_may_be_called_na_or_like_a_number(
    tmp_path: Path, volumes: tuple[str, str], subjects: tuple[str, str]
) -> None:
    parts = content()
    names = {"volume": dict(zip(DEPTHS, volumes, strict=True)), "subject": dict(zip("ab", subjects, strict=True))}
    for table in ("slices", "volumes"):
        parts[table] = parts[table].assign(**{c: parts[table][c].map(of) for c, of in names.items()})
    write_store(tmp_path / "manifest.json", **parts)
    store = open_store(tmp_path / "manifest.json")
    assert (tuple(store.volumes["volume"]), tuple(store.volumes["subject"])) == (volumes, subjects)
    assert tuple(store.known) == volumes
    assert store.rows(volumes).tolist() == [0, 1, 2, 3, 4]
