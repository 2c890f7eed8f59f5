"""Volumes to a slice store: orientation, bias field, intensity, resampling, frame, partitions (METHOD.md 2.2)."""

from __future__ import annotations

import logging
import multiprocessing
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from glocalseg.config import Card, Quirk
from glocalseg.data.geometry import fit, resample_image, resample_label, resampled_size, to_canonical
from glocalseg.data.partition import partition_labels, positions
from glocalseg.data.readers.base import Case, ReaderError, load_volume, require_cases
from glocalseg.data.store import write_store
from glocalseg.provenance import environment

log = logging.getLogger(__name__)


class PrepareError(ValueError):
    """A volume that cannot be prepared: names it, what was expected and what was found."""


@dataclass(frozen=True)
class Prepared:
    """One volume on the network's frame, and its label on the native grid."""

    case: Case
    image: NDArray[np.float32]  # (D, H, W)
    label: NDArray[np.uint8]  # (D, H, W)
    native_label: NDArray[np.uint8]  # (D, h, w)
    spacing: tuple[float, float, float]  # mm: depth, height, width
    resampled: tuple[int, int]
    foreground: int  # labelled voxels after resampling
    cropped: int  # how many of them the frame cuts off


def prepare(
    card: Card, root: Path, record: Path, *, partition_bounds: Quirk, parts: Mapping[str, Any], workers: int
) -> None:
    """Write the slice store of a data set; its files are the same bits for any number of workers.

    Args:
        card: how the data is read and what frame it goes to.
        root: folder that the card's reader gets.
        record: the store's ``manifest.json``.
        partition_bounds: D7, see ``partition.partition_borders``.
        parts: what the store's key is made of, recorded in the manifest.
        workers: processes, at least one.

    Raises:
        ReaderError: if there is no case, or the layout is not the card's.
        PrepareError: if a volume cannot be read, is constant, too short, or has labels that the card does not name.
    """
    cases = require_cases(card, root)
    progress = tqdm(
        _prepared(card, cases, workers),
        total=len(cases),
        desc=f"prepare {card.name}",
        unit="volume",
        mininterval=0.5 if sys.stderr.isatty() else 10,
    )
    volumes = list(progress)
    lost = {p.case.volume: {"voxels": p.cropped, "of": p.foreground} for p in volumes if p.cropped}
    for volume, loss in lost.items():
        log.warning("%s: the frame cuts off %d of %d labelled voxels", volume, loss["voxels"], loss["of"])
    write_store(
        record,
        images=np.concatenate([p.image for p in volumes]),
        labels=np.concatenate([p.label for p in volumes]),
        native_labels=np.concatenate([p.native_label.ravel() for p in volumes]),
        slices=_slice_table(volumes, card.partitions, partition_bounds),
        volumes=_volume_table(volumes),
        manifest={
            "parts": dict(parts),
            "card": card.model_dump(mode="json"),
            "volumes": len(volumes),
            "slices": sum(len(p.image) for p in volumes),
            "cut_off": lost,
            "environment": environment(),
        },
    )


def prepare_volume(card: Card, case: Case) -> Prepared:
    """One case on the frame of its card. Raises PrepareError."""
    try:
        volume = load_volume(card, case)
    except ReaderError as error:
        raise PrepareError(str(error)) from None
    image, spacing = to_canonical(volume.image, volume.affine, card.slice_axis)
    native, _ = to_canonical(volume.label, volume.affine, card.slice_axis)
    if len(native) < card.partitions:
        raise PrepareError(
            f"{case.volume}: expected at least {card.partitions} slices, one a partition, found {len(native)}"
        )
    if card.bias_correction:
        image = correct_bias(image, spacing)
    image = normalise(image, card.percentiles, name=case.volume)
    resampled = resampled_size((native.shape[1], native.shape[2]), spacing[1:], card.frame.spacing)
    label = resample_label(native, resampled)
    framed = fit(label, card.frame.size)
    return Prepared(
        case=case,
        image=fit(resample_image(image, resampled), card.frame.size),
        label=framed,
        native_label=native,
        spacing=spacing,
        resampled=resampled,
        foreground=int(np.count_nonzero(label)),
        cropped=int(np.count_nonzero(label)) - int(np.count_nonzero(framed)),
    )


def normalise(image: NDArray[np.float32], percentiles: tuple[float, float], *, name: str) -> NDArray[np.float32]:
    """(v - low) / (high - low) with two percentiles of the whole volume, not clipped (METHOD.md 2.2.2).

    Raises:
        PrepareError: if the percentiles are equal.
    """
    low, high = np.percentile(image, percentiles)
    if not high > low:
        raise PrepareError(
            f"{name}: expected different percentiles {percentiles} of its intensities, found {low} and {high}"
        )
    return ((image - np.float32(low)) / np.float32(high - low)).astype(np.float32)


def correct_bias(image: NDArray[np.float32], spacing: tuple[float, float, float]) -> NDArray[np.float32]:
    """The volume without its smooth bias field, by N4 on the full grid and without a mask (METHOD.md 2.2.1).

    Args:
        image: (D, h, w) float32.
        spacing: mm, in that order.
    """
    import SimpleITK as sitk  # a second of import that only cards with bias_correction need

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # sums depend on the number of threads
    volume = sitk.GetImageFromArray(image)
    volume.SetSpacing(spacing[::-1])
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetConvergenceThreshold(0.001)
    n4.SetMaximumNumberOfIterations([50] * 4)
    return np.asarray(sitk.GetArrayFromImage(n4.Execute(volume)), dtype=np.float32)


def _prepared(card: Card, cases: list[Case], workers: int) -> Iterator[Prepared]:
    """Every case in the order given, prepared by this process or by several."""
    work = partial(prepare_volume, card)
    if workers == 1:
        yield from map(work, cases)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, cases)


def _slice_table(volumes: list[Prepared], partitions: int, bounds: Quirk) -> pd.DataFrame:
    tables = [
        pd.DataFrame(
            {
                "subject": p.case.subject,
                "volume": p.case.volume,
                "slice": np.arange(len(p.image)),
                "position": positions(len(p.image)),
                "partition": partition_labels(len(p.image), partitions, bounds),
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
            }
        )
        first_slice += depth
        native_offset += p.native_label.size
    return pd.DataFrame(rows)
