"""Figures of all volumes of a data set: how everything that is measured is spread, and the intensities of each volume."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from glocalseg.report.figures.figure import INK, MUTED, Plot, Shape, canvas, plot
from glocalseg.report.figures.panels import grid
from glocalseg.report.look.axis import span
from glocalseg.report.look.measured.measure import QUANTILES, Measures
from glocalseg.report.look.measured.odd import Quantity, bounds, odd
from glocalseg.report.text.colours import PHASES
from glocalseg.report.text.fact import listed
from glocalseg.report.text.names import mathtext

BINS = 24  # at most
BAND, ODD = PHASES["pretrain_global"], PHASES["pretrain_local"]


def distribution_plots(dataset: str, measured: Mapping[str, Measures], found: Sequence[Quantity]) -> list[Plot]:
    """Histograms of all quantities that differ between volumes, and quantiles of intensities; nothing that has no value."""
    return [p for p in (_histograms(dataset, found), _intensities(dataset, measured)) if p]


def _histograms(dataset: str, found: Sequence[Quantity]) -> Plot | None:
    differ = [q for q in found if len(set(q.values.values())) > 1]
    if not differ:
        return None
    same = [f"{q.name} {q.said(next(iter(q.values.values())))}" for q in found if len(set(q.values.values())) == 1]

    def draw(shape: Shape) -> Figure:
        figure, panels = grid(shape, len(differ), wide=4, narrow=2, height=1.75)
        for axes, quantity in zip(panels, differ, strict=True):
            _histogram(axes, quantity, shape)
        return figure

    return plot(
        draw,
        f"{dataset}-data-distributions",
        dataset=dataset,
        title="How volumes differ",
        caption="Numbers of volumes. Beyond the dotted lines a volume is unlike the others (triangles; the rule stands above)."
        + (f" The same in all volumes: {listed(same)}." if same else ""),
        alt="Histograms over volumes. " + " ".join(_described(q) for q in differ),
    )


def _described(q: Quantity) -> str:
    values = list(q.values.values())
    strange = len(odd(q))
    said = f", {strange} odd" if strange else ""
    return f"{q.name}: median {q.said(float(np.median(values)))}, {span(min(values), max(values))}{said}.".capitalize()


def _histogram(axes: Axes, quantity: Quantity, shape: Shape) -> None:
    values = np.array(list(quantity.values.values()))
    whole = bool((values == values.round()).all()) and np.ptp(values) < BINS
    bins = np.arange(values.min() - 0.5, values.max() + 1).tolist() if whole else min(BINS, max(5, math.isqrt(len(values))))
    axes.hist(values, bins=bins, color=MUTED)
    limits = bounds(quantity)
    left, right = axes.get_xlim()
    for end in (limits.low, limits.high) if limits else ():
        if left < end < right:
            axes.axvline(end, color=INK, linestyle=":", linewidth=1.1)
    strange = [quantity.values[one.volume] for one in odd(quantity)]
    if strange:  # above the bars of one volume, which are too low to be seen
        axes.plot(strange, np.zeros(len(strange)), "^", color=ODD, markersize=5, markeredgewidth=0, clip_on=False, zorder=3)
    axes.set_title(mathtext(_title(quantity, shape)), fontweight="normal", fontsize=shape.small + 0.5)
    axes.grid(axis="x", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=whole))
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.tick_params(labelsize=shape.small)


def _title(quantity: Quantity, shape: Shape) -> str:
    """Name and unit in lines that fit above a small panel."""
    name = quantity.name[0].upper() + quantity.name[1:] + (f", {quantity.unit}" if quantity.unit else "")
    lines, most = [""], 22 if shape.narrow else 30
    for word in name.split():
        if lines[-1] and len(lines[-1]) + len(word) >= most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def _intensities(dataset: str, measured: Mapping[str, Measures]) -> Plot | None:
    rows = sorted((m.intensities for m in measured.values() if np.isfinite(m.intensities).all()), key=lambda q: (q[2], q))
    if not rows:
        return None
    low, lower, median, upper, high = np.array(rows).T

    def draw(shape: Shape) -> Figure:
        figure = canvas(shape.width, 2.9)
        axes = figure.subplots()
        edges = np.arange(len(rows) + 1) + 0.5
        for bottom, top, alpha in ((low, high, 0.3), (lower, upper, 0.55)):
            axes.fill_between(edges, _closed(bottom), _closed(top), step="post", color=BAND, alpha=alpha, linewidth=0)
        axes.step(edges, _closed(median), where="post", color=INK, linewidth=1.6)
        for end in (0, 1):
            axes.axhline(end, color=MUTED, linestyle=":", linewidth=1.1)
        axes.set_xlim(edges[0], edges[-1])
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("Volumes, from the darkest to the brightest median")
        axes.set_ylabel("Intensity")
        return figure

    parts = [f"{100 * q:g}" for q in QUANTILES]
    return plot(
        draw,
        f"{dataset}-data-intensities",
        dataset=dataset,
        title="Intensities of each volume",
        caption="A column a volume: the line is the median, the bands hold what lies between percentiles "
        f"{parts[1]} and {parts[3]}, and {parts[0]} and {parts[4]}, of its pixels on the frame. These are the intensities after "
        "scaling (dotted: 0 and 1), which the network gets; the slice store does not hold those before.",
        alt=f"Quantiles of intensities of {len(rows)} volumes: medians {span(median[0], median[-1])}, "
        f"percentile {parts[0]} {span(low.min(), low.max())}, percentile {parts[4]} {span(high.min(), high.max())}.",
    )


def _closed(values: np.ndarray) -> np.ndarray:
    """A value more, so that the last column has an end."""
    return np.append(values, values[-1])
