"""What is measured of a volume, from the slice store alone: lengths, structures, and the intensities that networks get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glocalseg.data.slices.geometry import window
from glocalseg.data.slices.store import SliceStore
from glocalseg.data.slices.store import Volume as Stored
from glocalseg.report.look.measured.losses import Area, areas

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Measures:
    """What is measured of one volume.

    ``stored``: its grid, as the store has it. ``areas`` by structure, see ``areas``; ``ml`` is the volume of each in millilitres,
    on the native grid. ``intensities`` are QUANTILES of its pixels on the frame, without the border that the frame adds, and
    ``inside`` the median of each structure's pixels; NaN where there is no pixel. ``along`` counts each structure's pixels on
    the frame, (depth,) int64.
    """

    stored: Stored
    areas: dict[str, Area]
    ml: dict[str, float]
    intensities: tuple[float, ...]
    inside: dict[str, float]
    along: Mapping[str, NDArray[np.int64]]

    @property
    def cut(self) -> float:
        """The largest share that the frame cuts off of a structure."""
        return max((area.cut for area in self.areas.values()), default=0.0)

    @property
    def middle(self) -> int:
        """The slice, from 0, that halves the largest structure on the frame; that of the volume where there is none."""
        largest = max(self.along.values(), key=lambda counts: int(counts.sum()), default=None)
        if largest is None or not largest.any():
            return self.stored.depth // 2
        total = np.cumsum(largest)
        return int(np.searchsorted(total, total[-1] / 2))


def measure(store: SliceStore, volume: str) -> Measures:
    """The measures of a volume of a store. Raises KeyError."""
    stored, rows = store.known[volume], store.rows([volume])
    whole = slice(rows[0], rows[-1] + 1)  # slices of a volume follow each other: a view, not a copy
    size = (stored.resampled_height, stored.resampled_width)
    (_, high), (_, wide) = (window(n, m) for n, m in zip(size, store.size, strict=True))
    images, labels = store.images[whole, high, wide], store.labels[whole, high, wide]
    found = areas(store, volume)
    masks = {name: labels == number for number, name in store.structures.items() if name in found}
    return Measures(
        stored=stored,
        areas=found,
        ml={name: area.native * stored.spacing_depth / 1000 for name, area in found.items()},
        intensities=tuple(_quantiles(images, QUANTILES)),
        inside={name: _quantiles(images[mask], (0.5,))[0] for name, mask in masks.items()},
        along={name: mask.sum(axis=(1, 2)) for name, mask in masks.items()},
    )


def _quantiles(values: NDArray[np.float32], at: tuple[float, ...]) -> list[float]:
    known = values[np.isfinite(values)]
    return [float(q) for q in np.quantile(known, at)] if known.size else [float("nan")] * len(at)
