"""What resampling and frame leave of each structure of a volume, from the slice store alone."""

from __future__ import annotations

from dataclasses import dataclass

from glocalseg.data.images.volumes import count_values
from glocalseg.data.slices.geometry import resample_label
from glocalseg.data.slices.store import SliceStore


@dataclass(frozen=True)
class Area:
    """A structure of a volume in mm², summed over its slices: as labelled, after resampling, on the frame."""

    native: float
    resampled: float
    framed: float

    @property
    def cut(self) -> float:
        """The share of what resampling left that the frame cuts off."""
        return 1 - self.framed / self.resampled if self.resampled else 0.0


def areas(store: SliceStore, volume: str) -> dict[str, Area]:
    """The structures that the label of a volume has, by name; none where it has no label. Raises KeyError."""
    row = store.volumes.set_index("volume").loc[volume]
    if not row["labelled"]:
        return {}
    native = store.native_label(volume)
    size = (int(row["resampled_height"]), int(row["resampled_width"]))
    pixel = float(row["spacing_height"]) * float(row["spacing_width"])
    target = pixel * native.shape[1] * native.shape[2] / (size[0] * size[1])  # what a pixel covers then, sizes being whole
    labels = (native, resample_label(native, size), store.labels[store.rows([volume])])
    counts = [count_values(label) for label in labels]
    found = {}
    for number, name in store.structures.items():
        parts = [n.get(float(number), 0) * area for n, area in zip(counts, (pixel, target, target), strict=True)]
        if parts[0]:
            found[name] = Area(*parts)
    return found
