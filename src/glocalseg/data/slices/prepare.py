"""Volumes to a slice store: orientation, bias field, intensity, resampling, frame (docs/method.md 2.2)."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glocalseg.data.images.volumes import Image, Label, known_values, load_image, load_label, map_labels
from glocalseg.data.readers.base import Case, ReaderError
from glocalseg.data.slices.geometry import fit, resample_image, resample_label, resampled_size, to_canonical
from glocalseg.data.slices.intensity import Ends, correct_bias, indistinct, limits, normalise, outside_of
from glocalseg.data.slices.pieces import Pieces, Prepared, read_piece
from glocalseg.data.slices.store import positions, write_store
from glocalseg.records.environment import environment
from glocalseg.records.progress import Progress

if TYPE_CHECKING:
    from glocalseg.data.cards.reading import Preparation, Reading


class PrepareError(ValueError):
    """A volume that cannot be prepared: names it, what was expected and what was found."""


def prepare(
    reading: Reading,
    preparation: Preparation,
    cases: list[Case],
    record: Path,
    *,
    payload: Mapping[str, Any],
    workers: int,
    contents: Mapping[str, tuple[str | None, str | None]] | None = None,
    pieces: Pieces | None = None,
) -> None:
    """Write the slice store of a data set; its files are the same bits for any number of workers, from pieces or from files.

    Args:
        reading: which voxels of the files are used.
        preparation: how they become slices.
        cases: the volumes, in the order of the store.
        record: the store's ``manifest.json``.
        payload: what the manifest says beside what is found here, such as what the store's key is made of.
        workers: processes, at least one.
        contents: digests of image and label by volume, as they were verified.
        pieces: volumes that verification prepared already; a file is read where its piece is missing.

    Raises:
        PrepareError: if volumes cannot be read, are constant, have labels that the card does not name, or are not what was
            verified: all of them, a line each.
    """
    volumes, problems = [], []
    with Progress("preparing", len(cases), "volumes") as progress:
        for prepared in _prepared(partial(_prepare_case, reading, preparation, contents, pieces), cases, workers):
            if isinstance(prepared, PrepareError):
                problems.append(str(prepared))
            else:
                volumes.append(prepared)
            progress.add()
    if problems:
        raise PrepareError("\n".join(problems))
    write_store(
        record,
        images=np.concatenate([p.image for p in volumes]),
        labels=np.concatenate([p.label for p in volumes]),
        native_labels=np.concatenate([p.native_label.ravel() for p in volumes]),
        slices=_slice_table(volumes),
        volumes=_volume_table(volumes),
        preparation=preparation,
        manifest={
            **payload,
            "volumes": len(volumes),
            "labelled": sum(p.case.label is not None for p in volumes),
            "slices": sum(len(p.image) for p in volumes),
            "environment": environment(),
        },
    )


def _prepare_case(
    reading: Reading,
    preparation: Preparation,
    contents: Mapping[str, tuple[str | None, str | None]] | None,
    pieces: Pieces | None,
    case: Case,
) -> Prepared | PrepareError:
    """One case by its piece or from its files; an error is a value, so that all of them can be told at once."""
    if pieces is not None and (piece := read_piece(pieces, case)) is not None:
        return piece
    try:
        return prepare_volume(reading, preparation, case, contents=contents[case.volume] if contents is not None else None)
    except PrepareError as error:
        return error


@dataclass(frozen=True)
class Framed:
    """An image on the network's frame."""

    image: NDArray[np.float32]  # (D, H, W)
    native: tuple[int, int, int]  # its grid in that orientation: D, h, w
    spacing: tuple[float, float, float]  # mm: depth, height, width
    resampled: tuple[int, int]


def prepare_image(preparation: Preparation, image: Image, *, name: str, ends: Ends | None = None) -> Framed:
    """An image on the frame of its preparation.

    Args:
        name: for the error.
        ends: the intensities that become 0 and 1 where they are known, as ``limits`` of the image with its bias field removed.

    Raises:
        PrepareError: if these are equal.
    """
    voxels, spacing = to_canonical(image.voxels, image.affine, preparation.slice_axis)
    outside = outside_of(preparation, voxels)
    if preparation.bias_correction:
        if outside is not None and not outside.all():  # the fit knows no mask
            voxels = np.where(outside, voxels[~outside].min(), voxels)
        voxels = correct_bias(voxels, spacing)
    ends = ends or limits(preparation, voxels if outside is None else voxels[~outside])
    if problem := indistinct(preparation, ends, name=name):
        raise PrepareError(str(problem))
    voxels = normalise(preparation, voxels, outside, ends)
    native = (voxels.shape[0], voxels.shape[1], voxels.shape[2])
    resampled = resampled_size(native[1:], spacing[1:], preparation.frame.spacing)
    return Framed(fit(resample_image(voxels, resampled), preparation.frame.size), native, spacing, resampled)


def prepare_volume(
    reading: Reading, preparation: Preparation, case: Case, *, contents: tuple[str | None, str | None] | None = None
) -> Prepared:
    """One case on the frame of its preparation; zeros for a label that it does not have.

    Args:
        contents: digests of image and label, as they were verified.

    Raises:
        PrepareError: if a file cannot be prepared, or is not the one that was verified.
    """
    try:
        image = load_image(reading, case.image)
        label = load_label(reading, case.label) if case.label is not None else None
    except ReaderError as error:
        raise PrepareError(str(error)) from None
    found = (image.content, label.content if label is not None else None)
    if contents is not None and found != contents:
        changed = " or ".join(str(path) for path in (case.image, case.label) if path is not None)
        raise PrepareError(f"{case.volume}: expected the contents that were verified, found others in {changed}")
    return prepare_read(preparation, case, image, label)


def prepare_read(
    preparation: Preparation, case: Case, image: Image, label: Label | None, *, ends: Ends | None = None
) -> Prepared:
    """One case, whose files have been read, on the frame of its preparation; ``ends`` as in ``prepare_image``.

    Raises:
        PrepareError: as ``prepare_image``, and if the label has other values than the card or another shape than the image.
    """
    framed = prepare_image(preparation, image, name=case.volume, ends=ends)
    native = np.zeros(framed.native, np.uint8)
    if label is not None:
        classes, unknown = map_labels(preparation, label.values)
        if unknown:
            raise PrepareError(f"{case.label}: expected label values {known_values(preparation)}, found also {unknown[:8]}")
        native, _ = to_canonical(classes, label.affine, preparation.slice_axis)
        if native.shape != framed.native:
            raise PrepareError(
                f"{case.label}: expected shape {image.voxels.shape}, as the image has, found {label.values.shape}"
            )
    resampled = resample_label(native, framed.resampled)
    return Prepared(
        case=case,
        image=framed.image,
        label=fit(resampled, preparation.frame.size),
        native_label=native,
        spacing=framed.spacing,
        resampled=framed.resampled,
    )


def _prepared(
    work: Callable[[Case], Prepared | PrepareError], cases: list[Case], workers: int
) -> Iterator[Prepared | PrepareError]:
    """Every case in the order given, prepared by this process or by several."""
    if workers == 1:
        yield from map(work, cases)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, cases)


def _slice_table(volumes: list[Prepared]) -> pd.DataFrame:
    tables = [
        pd.DataFrame(
            {
                "subject": p.case.subject,
                "volume": p.case.volume,
                "slice": np.arange(len(p.image)),
                "position": positions(len(p.image)),
            }
        )
        for p in volumes
    ]
    return pd.concat(tables, ignore_index=True)


def _volume_table(volumes: list[Prepared]) -> pd.DataFrame:
    rows = []
    first_slice = native_offset = 0
    for p in volumes:
        depth, height, width = p.native_label.shape
        rows.append(
            {
                "volume": p.case.volume,
                "subject": p.case.subject,
                "first_slice": first_slice,
                **dict(zip(("depth", "height", "width"), (depth, height, width), strict=True)),
                **dict(zip(("spacing_depth", "spacing_height", "spacing_width"), p.spacing, strict=True)),
                **dict(zip(("resampled_height", "resampled_width"), p.resampled, strict=True)),
                "native_offset": native_offset,
                "labelled": p.case.label is not None,
            }
        )
        first_slice += depth
        native_offset += p.native_label.size
    return pd.DataFrame(rows)
