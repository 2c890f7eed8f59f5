"""The slice store: what goes in comes out, and an edited byte is noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from glocalseg.data.slices.store import open_store, write_store
from glocalseg.records.sealed import CorruptedError

DEPTHS = {"a_1": 2, "b_1": 3}
NATIVE = {"a_1": (2, 4, 5), "b_1": (3, 3, 3)}


def content() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    slices = [("a" if v == "a_1" else "b", v, k, (k + 0.5) / d, k % 2) for v, d in DEPTHS.items() for k in range(d)]
    volumes, first, offset = [], 0, 0
    for volume, shape in NATIVE.items():
        volumes.append((volume, volume[0], first, *shape, 8.0, 1.5, 1.25, 6, 5, offset))
        first, offset = first + shape[0], offset + int(np.prod(shape))
    names = "volume subject first_slice depth height width spacing_depth spacing_height spacing_width"
    return {
        "images": rng.normal(size=(5, 6, 6)).astype(np.float32),
        "labels": rng.integers(0, 3, (5, 6, 6)).astype(np.uint8),
        "native_labels": rng.integers(0, 3, offset).astype(np.uint8),
        "slices": pd.DataFrame(slices, columns=["subject", "volume", "slice", "position", "partition"]),
        "volumes": pd.DataFrame(volumes, columns=[*names.split(), "resampled_height", "resampled_width", "native_offset"]),
        "manifest": {"parts": {"phase": "data"}},
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
    pd.testing.assert_frame_equal(store.slices, put["slices"])
    pd.testing.assert_frame_equal(store.volumes, put["volumes"])
    assert store.manifest["parts"] == {"phase": "data"}
    assert store.rows(["b_1", "a_1"]).tolist() == [2, 3, 4, 0, 1]
    assert store.rows([]).tolist() == []
    np.testing.assert_array_equal(store.native_label("b_1"), put["native_labels"][40:].reshape(3, 3, 3))
    with pytest.raises(KeyError):
        store.rows(["c_1"])


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
