"""Prepared volumes on their way from verification to the slice store, a file each: so no file of a data set is read twice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glocalseg.data.readers.base import Case
from glocalseg.records.digest import digest, sha256_file

if TYPE_CHECKING:
    from collections.abc import Mapping

PIECES = "pieces"  # folder beside the record of a verification


@dataclass(frozen=True)
class Prepared:
    """One volume on the network's frame, and its label on the native grid; zeros for a label that it does not have."""

    case: Case
    image: NDArray[np.float32]  # (D, H, W)
    label: NDArray[np.uint8]  # (D, H, W)
    native_label: NDArray[np.uint8]  # (D, h, w)
    spacing: tuple[float, float, float]  # mm: depth, height, width
    resampled: tuple[int, int]


@dataclass(frozen=True)
class Pieces:
    """The pieces of a verification: their folder, and the sha256 of each by its name."""

    folder: Path
    known: Mapping[str, str]


def piece_name(volume: str) -> str:
    """The name of a volume's piece: volumes are called anything."""
    return f"{digest(volume)[:20]}.npz"


def write_piece(folder: Path, prepared: Prepared) -> None:
    """Write a volume's piece."""
    with (folder / piece_name(prepared.case.volume)).open("wb") as f:
        np.savez(
            f,
            image=prepared.image,
            label=prepared.label,
            native_label=prepared.native_label,
            spacing=np.array(prepared.spacing),
            resampled=np.array(prepared.resampled),
        )


def read_piece(pieces: Pieces, case: Case) -> Prepared | None:
    """The piece of a case, None if it is not there, or not the one that was written."""
    name = piece_name(case.volume)
    path = pieces.folder / name
    if name not in pieces.known or not path.is_file() or sha256_file(path) != pieces.known[name]:
        return None
    with np.load(path) as piece:
        spacing, resampled = piece["spacing"].tolist(), piece["resampled"].tolist()
        return Prepared(
            case=case,
            image=piece["image"],
            label=piece["label"],
            native_label=piece["native_label"],
            spacing=(spacing[0], spacing[1], spacing[2]),
            resampled=(resampled[0], resampled[1]),
        )
