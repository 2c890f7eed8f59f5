"""Partitions along the slice axis: which slice is in which, and how that is shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glocalseg.config.benchmark import Benchmark
from glocalseg.config.model import Quirk
from glocalseg.data.slices.partition import NO_PARTITION, partition_labels
from glocalseg.report.text.colours import PARTITIONS, UNPARTITIONED, dark_partners
from glocalseg.report.text.names import display


@dataclass(frozen=True)
class Axis:
    """How volumes are cut along the slice axis: by the benchmark, and by methods that do it otherwise (rich text)."""

    partitions: int
    bounds: Quirk
    others: tuple[str, ...]

    def of(self, depth: int) -> NDArray[np.int64]:
        """The partition of every slice, from 0; -1 for none, and for all slices of a volume that has too few."""
        if depth < self.partitions:
            return np.full(depth, NO_PARTITION, np.int64)
        return partition_labels(depth, self.partitions, self.bounds)

    def colour(self, partition: int) -> str:
        """The colour of a partition in CSS, of those that ``palette`` names."""
        return "var(--partition-none)" if partition == NO_PARTITION else f"var(--partition-{partition % len(PARTITIONS)})"

    def bar(self, depth: int) -> str:
        """The axis of a volume as a CSS background, a stretch of colour a partition."""
        labels = self.of(depth)
        starts = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist()]
        ends = [*starts[1:], depth]
        stops = [
            f"{self.colour(int(labels[a]))} {100 * a / depth:.2f}% {100 * b / depth:.2f}%"
            for a, b in zip(starts, ends, strict=True)
        ]
        return f"linear-gradient(to right, {', '.join(stops)})"

    def rows(self, depths: pd.Series) -> list[tuple[int, str, str]]:
        """Number from 1, colour, and how many slices of a volume it has (the fewest and the most), of every partition."""
        counts = [
            np.bincount(labels[labels >= 0], minlength=self.partitions) for d in depths if len(labels := self.of(int(d)))
        ]
        low, high = np.min(counts, axis=0), np.max(counts, axis=0)
        return [(k + 1, self.colour(k), span(int(low[k]), int(high[k]))) for k in range(self.partitions)]


def palette() -> str:
    """CSS that names the colours of partitions, those of the figures, on light and on dark pages."""
    colours = {**{str(k): colour for k, colour in enumerate(PARTITIONS)}, "none": UNPARTITIONED}
    light, dark = (
        " ".join(f"--partition-{name}: {of.get(colour, colour)};" for name, colour in colours.items())
        for of in ({}, dark_partners())
    )
    return f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"


def axis_of(benchmark: Benchmark) -> Axis:
    """The partitions of a benchmark's global pretraining.

    Raises:
        ConfigError: if a method sets something that is no setting.
    """
    usual = benchmark.settings().pretrain_global
    others: dict[str, list[str]] = {}
    for method in benchmark.methods:
        own = benchmark.settings(method).pretrain_global
        if method.global_ and (own.partitions, own.partition_bounds) != (usual.partitions, usual.partition_bounds):
            others.setdefault(f"{own.partitions} ({own.partition_bounds})", []).append(display(method.id))
    said = tuple(f"{', '.join(names)}: {what}" for what, names in others.items())
    return Axis(usual.partitions, usual.partition_bounds, said)


def span(low: float, high: float) -> str:
    """``5``, or ``5 to 8``."""
    first, last = (f"{value:.0f}" if value >= 100 else f"{value:.3g}" for value in (low, high))
    return first if first == last else f"{first} to {last}"
