"""Volumes that are unlike the others of their data set, by one stated rule for everything that is measured.

A value is odd where it lies more than LIMIT robust standard deviations from the median of all volumes: 1.4826 times the median
absolute deviation, which estimates the standard deviation of normal values and which few odd ones do not move. Where more than
half of the values are equal that is zero, and 1.2533 times the mean absolute deviation stands in (B. Iglewicz and D. Hoaglin, How
to detect and handle outliers, 1993). Lengths, volumes and counts are compared as logarithms: half and twice as much are equally
far. What lies within LEAST of the median is never odd, however alike the others are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glocalseg.report.look.measured.measure import Measures

LIMIT = 3.5  # robust standard deviations
LEAST = 0.1  # a tenth of the median; of intensities, a tenth of the way from black to white
ENOUGH = 8  # volumes from which one can be unlike the others
RULE = (
    f"more than {LIMIT:g} robust standard deviations (1.4826 times the median absolute deviation; where that is zero, 1.2533 "
    f"times the mean absolute deviation) and more than {LEAST:.0%} from the median of all volumes; lengths, volumes and numbers "
    "of slices on a logarithmic scale"
)


@dataclass(frozen=True)
class Quantity:
    """A number a volume: ``values`` by volume, those that have none left out. ``ratio``: compared as logarithms."""

    name: str
    unit: str
    ratio: bool
    values: Mapping[str, float]

    def said(self, value: float) -> str:
        """A value with its unit."""
        return f"{value:.3g}{' ' + self.unit if self.unit else ''}".replace("-", "−")


@dataclass(frozen=True)
class Bounds:
    """The median of a quantity, and where oddness begins on both sides."""

    median: float
    low: float
    high: float
    spread: float  # robust standard deviation, of logarithms for a ratio


@dataclass(frozen=True)
class Odd:
    """A volume whose value is odd, and by how many robust standard deviations; negative: below the median."""

    volume: str
    quantity: Quantity
    median: float
    deviations: float

    @property
    def sentence(self) -> str:
        """What is odd, without the volume's name."""
        q = self.quantity
        side = "above" if self.deviations > 0 else "below"
        far = f"{abs(self.deviations):.1f}" if abs(self.deviations) < 100 else "over 100"
        return f"{q.name} is {q.said(q.values[self.volume])}, {far} deviations {side} the median of {q.said(self.median)}"


def quantities(measured: Mapping[str, Measures], structures: Sequence[str]) -> list[Quantity]:
    """All numbers that volumes are compared by.

    Args:
        measured: by volume.
        structures: their names, in the order of the classes.
    """

    def of(get: Callable[[Measures], float | None]) -> dict[str, float]:
        found = {name: get(one) for name, one in measured.items()}
        return {name: value for name, value in found.items() if value is not None and math.isfinite(value)}

    square = all(math.isclose(m.stored.spacing_height, m.stored.spacing_width, rel_tol=1e-4) for m in measured.values())
    lengths: dict[str, Callable[[Measures], float]] = {
        "distance of slices": lambda m: m.stored.spacing_depth,
        "pixel size" if square else "pixel height": lambda m: m.stored.spacing_height,
        "slice height": lambda m: m.stored.height * m.stored.spacing_height,
        "slice width": lambda m: m.stored.width * m.stored.spacing_width,
    }
    if not square:
        lengths["pixel width"] = lambda m: m.stored.spacing_width
    return [
        Quantity("number of slices", "", True, of(lambda m: m.stored.depth)),
        *(Quantity(name, "mm", True, of(get)) for name, get in lengths.items()),
        *(Quantity(f"volume of {s}", "ml", True, of(lambda m, s=s: m.ml.get(s))) for s in structures),  # type: ignore[misc]
        Quantity("median intensity", "", False, of(lambda m: m.intensities[2])),
        *(Quantity(f"median intensity inside {s}", "", False, of(lambda m, s=s: m.inside.get(s))) for s in structures),  # type: ignore[misc]
    ]


def bounds(quantity: Quantity) -> Bounds | None:
    """Where a quantity becomes odd; None where it has too few values to say so."""
    values = np.array(list(quantity.values.values()))
    if len(values) < ENOUGH:
        return None
    on = np.log(values) if quantity.ratio else values
    centre = float(np.median(on))
    away = np.abs(on - centre)
    spread = 1.4826 * float(np.median(away)) or 1.2533 * float(away.mean())
    low, high = (centre - LIMIT * spread, centre + LIMIT * spread)
    if not quantity.ratio:
        return Bounds(centre, min(low, centre - LEAST), max(high, centre + LEAST), spread)
    median = math.exp(centre)
    return Bounds(median, min(math.exp(low), median * (1 - LEAST)), max(math.exp(high), median * (1 + LEAST)), spread)


def odd(quantity: Quantity) -> list[Odd]:
    """The odd volumes of a quantity, the farthest first."""
    b = bounds(quantity)
    if b is None:
        return []
    found = []
    for volume, value in quantity.values.items():
        if not b.low <= value <= b.high:
            away = math.log(value / b.median) if quantity.ratio else value - b.median
            found.append(Odd(volume, quantity, b.median, away / b.spread))
    return sorted(found, key=lambda one: (-abs(one.deviations), one.volume))
