"""The metrics of a case, on the native grid and in millimetres: one table, ``METRICS``, that scores, report and DVC read.

A new metric is one entry of the table and its function, whose docstring's first line is the report's explanation. Rules for
empty masks, the same for all (docs/method.md 7, D20):

- the structure is not in the truth: no value (nan), whatever is predicted, and no average holds it. So a stray pixel never makes
  the Dice of one method 0 where another method's has no value; the metric ``stray`` counts such predictions.
- it is in the truth and not predicted: the structure is *lost*, and every metric has the worst value that it can have there, so
  that losing a structure never looks better than finding it badly: Dice and surface Dice 0, a distance the diagonal of the
  whole volume. ``Metric.lost`` says which, and the metric ``lost`` counts such cases.

Surfaces are those of medpy: voxels of the structure with a face neighbour outside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from glocalseg.evaluation import overlap
from glocalseg.evaluation.surfaces import SurfaceDistances, surface_distances

Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Masks:
    """One structure of one volume: (D, H, W) boolean masks, voxels of ``spacing`` mm along (depth, height, width)."""

    prediction: NDArray[np.bool_]
    truth: NDArray[np.bool_]
    spacing: Spacing

    @cached_property
    def distances(self) -> SurfaceDistances:
        """Between both surfaces; computed when the first metric asks."""
        return surface_distances(self.prediction, self.truth, self.spacing)

    @property
    def diagonal(self) -> float:
        """Of the whole volume, in mm: no distance in it is larger."""
        return float(np.linalg.norm(np.multiply(self.truth.shape, self.spacing)))


@dataclass(frozen=True)
class Metric:
    """A number per structure and volume.

    Args:
        label: what a reader calls it.
        unit: ``mm``, or nothing.
        better: whether high or low values are.
        summary: what tables show of many values.
        lost: the value where the structure is in the truth and not predicted.
        of: the value of two masks of which none is empty.
        strays: whether it counts predictions of a structure that the truth lacks; other metrics have no value there.
    """

    label: str
    unit: Literal["", "mm"]
    better: Literal["high", "low"]
    summary: Literal["mean", "median", "sum"]
    lost: float | Literal["diagonal"]
    of: Callable[[Masks], float]
    strays: bool = False

    @property
    def title(self) -> str:
        """Label with unit: ``HD95 (mm)``."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def sentence(self) -> str:
        """What it is, to stand behind its label: the first paragraph of its function's docstring."""
        text = " ".join((self.of.__doc__ or "").split("\n\n")[0].split())
        return text[:1].lower() + text[1:].removesuffix(".")

    def __call__(self, masks: Masks) -> float:
        """The value of two masks, whichever of them are empty."""
        predicted, true = bool(masks.prediction.any()), bool(masks.truth.any())
        if not true:
            return float(predicted) if self.strays else float("nan")
        if predicted:
            return float(self.of(masks))
        return masks.diagonal if self.lost == "diagonal" else self.lost


def dice(masks: Masks) -> float:
    """Overlap of prediction and truth as a share of their mean size."""
    return overlap.dice(masks.prediction, masks.truth)


def nsd(masks: Masks) -> float:
    """Share of both surfaces that lies within one pixel (the larger in-plane spacing) of the other.

    Normalised surface Dice, counted in surface voxels. Source: Nikolov and others, JMIR 23(7), 2021, e26151.
    """
    within = masks.distances.both <= max(masks.spacing[1:])
    return float(np.mean(within))


def hd95(masks: Masks) -> float:
    """95th percentile of the distances between both surfaces, both directions taken together."""
    return float(np.percentile(masks.distances.both, 95))


def assd(masks: Masks) -> float:
    """Mean of the distances between both surfaces, both directions taken together."""
    return float(masks.distances.both.mean())


def lost(masks: Masks) -> float:
    """Volumes that hold the structure and in which none of it is predicted."""
    return 0.0


def stray(masks: Masks) -> float:
    """Volumes that do not hold the structure and in which some of it is predicted."""
    return float("nan")  # those that hold it are no part of the count


PRIMARY = "dice"  # what is averaged by subject, compared and tested
METRICS: dict[str, Metric] = {
    "dice": Metric("Dice", "", "high", "mean", 0.0, dice),
    "nsd": Metric("Surface Dice", "", "high", "mean", 0.0, nsd),
    "hd95": Metric("HD95", "mm", "low", "median", "diagonal", hd95),
    "assd": Metric("ASSD", "mm", "low", "median", "diagonal", assd),
    "lost": Metric("Lost", "", "low", "sum", 1.0, lost),
    "stray": Metric("Stray", "", "low", "sum", float("nan"), stray, strays=True),
}


def case_scores(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8], *, spacing: Spacing, structures: Mapping[int, str]
) -> list[tuple[str, str, float]]:
    """Rows (structure, metric, value) of a case; values without meaning are nan.

    Args:
        prediction, truth: (D, H, W) class indices.
        spacing: mm, in the order of the axes.
        structures: class index to name.

    Raises:
        ValueError: if the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"expected a prediction of shape {truth.shape}, found {prediction.shape}")
    rows = []
    for index, name in structures.items():
        masks = Masks(prediction == index, truth == index, spacing)
        rows += [(name, key, metric(masks)) for key, metric in METRICS.items()]
    return rows
