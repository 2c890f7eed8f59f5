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

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glocalseg.records.sealed import open_sealed, seal

if TYPE_CHECKING:
    import pandas as pd

    from glocalseg.data.cards.reading import Preparation

SLICE_COLUMNS = ["subject", "volume", "slice", "position"]


@dataclass(frozen=True)
class Volume:
    """What a store knows of a volume; the columns of ``volumes.csv``, see the module's docstring."""

    volume: str
    subject: str
    first_slice: int
    depth: int
    height: int
    width: int
    spacing_depth: float
    spacing_height: float
    spacing_width: float
    resampled_height: int
    resampled_width: int
    native_offset: int
    labelled: bool


VOLUME_COLUMNS = [field.name for field in fields(Volume)]


@dataclass(frozen=True)
class SliceStore:
    """A data set ready for training; arrays are memory-mapped.

    ``known`` are its volumes by name, in the order of their slices. ``position`` of a slice is (slice + 0.5) / depth.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.uint8]
    native_labels: NDArray[np.uint8]
    known: Mapping[str, Volume]
    manifest: dict[str, Any]

    @cached_property
    def volumes(self) -> pd.DataFrame:
        """``known`` as a table with VOLUME_COLUMNS, for whoever counts and shows; a training imports no pandas."""
        import pandas as pd

        return pd.DataFrame([asdict(v) for v in self.known.values()], columns=VOLUME_COLUMNS)

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

    def rows(self, volumes: Iterable[str]) -> NDArray[np.int64]:
        """Indices into ``images`` of all slices of the named volumes, in the order given. Raises KeyError."""
        of = [self.known[v] for v in volumes]
        parts = [np.arange(v.first_slice, v.first_slice + v.depth) for v in of]
        return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, np.int64)

    def positions(self, volumes: Iterable[str]) -> NDArray[np.float64]:
        """Relative position along the axis of all slices of the named volumes, (n,) in (0, 1), as ``rows`` has them."""
        parts = [positions(self.known[v].depth) for v in volumes]
        return np.concatenate(parts) if parts else np.zeros(0)

    def native_label(self, volume: str) -> NDArray[np.uint8]:
        """The untouched label of a volume, (depth, height, width) uint8. Raises KeyError."""
        v = self.known[volume]
        shape = (v.depth, v.height, v.width)
        return self.native_labels[v.native_offset : v.native_offset + int(np.prod(shape))].reshape(shape)


def positions(depth: int) -> NDArray[np.float64]:
    """Relative position of every slice along the axis, (slice + 0.5) / depth, in (0, 1)."""
    return (np.arange(depth) + 0.5) / depth


def open_store(record: Path) -> SliceStore:
    """The slice store behind ``<folder>/manifest.json``, every file checked against it. Raises CorruptedError."""
    manifest = open_sealed(record)
    folder = record.parent
    return SliceStore(
        images=np.load(folder / "images.npy", mmap_mode="r"),
        labels=np.load(folder / "labels.npy", mmap_mode="r"),
        native_labels=np.load(folder / "native_labels.npy", mmap_mode="r"),
        known={v.volume: v for v in _volumes(folder / "volumes.csv")},
        manifest=manifest,
    )


def _volumes(path: Path) -> Iterable[Volume]:
    """The rows of a sealed ``volumes.csv``. Names are text, whatever they look like: 007, 1e5, NA."""
    read: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": {"True": True, "False": False}.__getitem__}
    how = {field.name: read[str(field.type)] for field in fields(Volume)}
    with path.open(encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f):
            yield Volume(**{name: how[name](row[name]) for name in VOLUME_COLUMNS})


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
