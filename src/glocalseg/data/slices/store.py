"""The slice store: every slice of a data set on the network's grid, and every label on its native grid (docs/architecture.md).

Folder ``data/slices/<dataset>/<key>/``:

- ``images.npy`` (N, H, W) float32; ``labels.npy`` (N, H, W) uint8
- ``native_labels.npy`` (sum of D*h*w,) uint8: the untouched labels, canonical orientation, volume after volume
- ``slices.csv``: one row a slice, in the order of ``images.npy``: subject, volume, slice, position
- ``volumes.csv``: one row a volume: volume, subject, first_slice, depth, height, width (native grid), spacing_depth,
  spacing_height, spacing_width (mm), resampled_height, resampled_width (before crop or pad), native_offset,
  labelled (True or False: labels of a volume without one are zeros)
- ``manifest.json``: written last, with the sha256 of the others and, under ``preparation``, how they were prepared
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glocalseg.records.sealed import open_sealed, seal

if TYPE_CHECKING:
    from glocalseg.data.cards.reading import Preparation

SLICE_COLUMNS = ["subject", "volume", "slice", "position"]
VOLUME_COLUMNS = [
    "volume", "subject", "first_slice", "depth", "height", "width", "spacing_depth", "spacing_height", "spacing_width",
    "resampled_height", "resampled_width", "native_offset", "labelled",
]  # fmt: skip


@dataclass(frozen=True)
class SliceStore:
    """A data set ready for training; arrays are memory-mapped. ``position`` of a slice is (slice + 0.5) / depth."""

    images: NDArray[np.float32]
    labels: NDArray[np.uint8]
    native_labels: NDArray[np.uint8]
    slices: pd.DataFrame
    volumes: pd.DataFrame
    manifest: dict[str, Any]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the network's frame."""
        rows, columns = self.manifest["preparation"]["frame"]["size"]
        return int(rows), int(columns)

    @property
    def structures(self) -> dict[int, str]:
        """Names of the structures by class, from 1."""
        return {int(number): str(name) for number, name in self.manifest["preparation"]["structures"].items()}

    @property
    def classes(self) -> int:
        """Number of classes, background included."""
        return len(self.structures) + 1

    def rows(self, volumes: tuple[str, ...] | list[str]) -> NDArray[np.int64]:
        """Indices into ``images`` of all slices of the named volumes, in the order given. Raises KeyError."""
        table = self.volumes.set_index("volume")
        parts = [np.arange(table.at[v, "first_slice"], table.at[v, "first_slice"] + table.at[v, "depth"]) for v in volumes]
        return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, np.int64)

    def native_label(self, volume: str) -> NDArray[np.uint8]:
        """The untouched label of a volume, (depth, height, width) uint8. Raises KeyError."""
        row = self.volumes.set_index("volume").loc[volume]
        shape = (int(row["depth"]), int(row["height"]), int(row["width"]))
        start = int(row["native_offset"])
        return self.native_labels[start : start + int(np.prod(shape))].reshape(shape)


def positions(depth: int) -> NDArray[np.float64]:
    """Relative position of every slice along the axis, (slice + 0.5) / depth, in (0, 1)."""
    return (np.arange(depth) + 0.5) / depth


def open_store(record: Path) -> SliceStore:
    """The slice store behind ``<folder>/manifest.json``, every file checked against it. Raises CorruptedError."""
    manifest = open_sealed(record)
    folder = record.parent
    text = {"subject": str, "volume": str}  # they may be called 007, 1e5 or NA
    return SliceStore(
        images=np.load(folder / "images.npy", mmap_mode="r"),
        labels=np.load(folder / "labels.npy", mmap_mode="r"),
        native_labels=np.load(folder / "native_labels.npy", mmap_mode="r"),
        slices=pd.read_csv(folder / "slices.csv", dtype=text, keep_default_na=False),
        volumes=pd.read_csv(folder / "volumes.csv", dtype=text, keep_default_na=False),
        manifest=manifest,
    )


def write_store(
    record: Path,
    *,
    images: NDArray[np.float32],
    labels: NDArray[np.uint8],
    native_labels: NDArray[np.uint8],
    slices: pd.DataFrame,
    volumes: pd.DataFrame,
    preparation: Preparation,
    manifest: Mapping[str, Any],
) -> None:
    """Write the files of a slice store and seal them with ``record``; shapes and columns as in the module's docstring.

    Args:
        preparation: how they were prepared; goes into the manifest.
        manifest: what else goes there.

    Raises:
        ValueError: if the tables, the arrays and the frame do not belong together.
    """
    if len(slices) != len(images) or images.shape != labels.shape or volumes["depth"].sum() != len(images):
        raise ValueError(f"{len(slices)} rows, images {images.shape}, labels {labels.shape} do not belong together")
    if images.shape[1:] != preparation.frame.size:
        raise ValueError(f"images {images.shape} and a frame of {preparation.frame.size} do not belong together")
    folder = record.parent
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", np.ascontiguousarray(images, dtype=np.float32))
    np.save(folder / "labels.npy", np.ascontiguousarray(labels, dtype=np.uint8))
    np.save(folder / "native_labels.npy", np.ascontiguousarray(native_labels, dtype=np.uint8))
    slices[SLICE_COLUMNS].to_csv(folder / "slices.csv", index=False, lineterminator="\n")
    volumes[VOLUME_COLUMNS].to_csv(folder / "volumes.csv", index=False, lineterminator="\n")
    seal(record, {**manifest, "preparation": preparation.model_dump(mode="json")})
