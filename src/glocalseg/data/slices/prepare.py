"""Volumes to a slice store: orientation, bias field, intensity, resampling, frame (docs/method.md 2.2)."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glocalseg.data.readers.base import Case, ReaderError, require_cases
from glocalseg.data.slices.geometry import fit, resample_image, resample_label, resampled_size, to_canonical
from glocalseg.data.slices.store import positions, write_store
from glocalseg.data.volumes import load_volume
from glocalseg.records.environment import environment
from glocalseg.records.progress import Progress

if TYPE_CHECKING:
    from glocalseg.data.reading import Reading

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


def prepare(reading: Reading, root: Path, record: Path, *, payload: Mapping[str, Any], workers: int) -> None:
    """Write the slice store of a data set; its files are the same bits for any number of workers.

    Args:
        reading: how the data is read and what frame it goes to.
        root: folder that the reader gets.
        record: the store's ``manifest.json``.
        payload: what the manifest says beside what is found here, such as what the store's key is made of.
        workers: processes, at least one.

    Raises:
        ReaderError: if there is no case, or the layout is not the card's.
        PrepareError: if a volume cannot be read, is constant, or has labels that the card does not name.
    """
    cases = require_cases(reading.reader, reading.subject, root)
    volumes = []
    with Progress("preparing", len(cases), "volumes") as progress:
        for prepared in _prepared(reading, cases, workers):
            volumes.append(prepared)
            progress.add()
    lost = {p.case.volume: {"voxels": p.cropped, "of": p.foreground} for p in volumes if p.cropped}
    for volume, loss in lost.items():
        log.warning("%s: the frame cuts off %d of %d labelled voxels", volume, loss["voxels"], loss["of"])
    write_store(
        record,
        images=np.concatenate([p.image for p in volumes]),
        labels=np.concatenate([p.label for p in volumes]),
        native_labels=np.concatenate([p.native_label.ravel() for p in volumes]),
        slices=_slice_table(volumes),
        volumes=_volume_table(volumes),
        reading=reading,
        manifest={
            **payload,
            "volumes": len(volumes),
            "slices": sum(len(p.image) for p in volumes),
            "cut_off": lost,
            "environment": environment(),
        },
    )


def prepare_volume(reading: Reading, case: Case) -> Prepared:
    """One case on the frame of its reading. Raises PrepareError."""
    try:
        volume = load_volume(reading, case)
    except ReaderError as error:
        raise PrepareError(str(error)) from None
    image, spacing = to_canonical(volume.image, volume.affine, reading.slice_axis)
    native, _ = to_canonical(volume.label, volume.affine, reading.slice_axis)
    if reading.bias_correction:
        image = correct_bias(image, spacing)
    image = normalise(image, reading.percentiles, name=case.volume)
    resampled = resampled_size((native.shape[1], native.shape[2]), spacing[1:], reading.frame.spacing)
    label = resample_label(native, resampled)
    framed = fit(label, reading.frame.size)
    return Prepared(
        case=case,
        image=fit(resample_image(image, resampled), reading.frame.size),
        label=framed,
        native_label=native,
        spacing=spacing,
        resampled=resampled,
        foreground=int(np.count_nonzero(label)),
        cropped=int(np.count_nonzero(label)) - int(np.count_nonzero(framed)),
    )


def normalise(image: NDArray[np.float32], percentiles: tuple[float, float], *, name: str) -> NDArray[np.float32]:
    """(v - low) / (high - low) with two percentiles of the whole volume, not clipped (docs/method.md 2.2.2).

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
    """The volume without its smooth bias field, by N4 on the full grid and without a mask (docs/method.md 2.2.1).

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


def _prepared(reading: Reading, cases: list[Case], workers: int) -> Iterator[Prepared]:
    """Every case in the order given, prepared by this process or by several."""
    work = partial(prepare_volume, reading)
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
            }
        )
        first_slice += depth
        native_offset += p.native_label.size
    return pd.DataFrame(rows)
