"""Dice against the number of labelled volumes, over all structures and for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import CARETDOWN, CARETUP

from glocalseg.evaluation.statistics.intervals import Interval
from glocalseg.report.analysis.cells import Cell, DatasetAnalysis
from glocalseg.report.figures.figure import EDGE, INK, Plot, Shape, plot
from glocalseg.report.figures.panels import bar, grid, legend_below, named, two_lines
from glocalseg.report.figures.scores.frame import brief, frame, method_handles, method_mark, parts, unstretching
from glocalseg.report.tables.table import bracket, number
from glocalseg.report.text.colours import colours
from glocalseg.report.text.names import ALL, BASELINE, UPPER_BOUND, display, plain

_DOTTED = (0, (1, 1.5))  # lines of random weights
_SPREAD = 0.76  # of the methods of one budget, of the distance between budgets
_MOST = {True: 9, False: 15}  # methods in a panel, narrow and wide

Means = Callable[[Cell], Interval | None]


@dataclass(frozen=True)
class _Panel:
    """The means of some methods, under a title."""

    title: str
    methods: tuple[str, ...]
    means: Means


def dice_plot(a: DatasetAnalysis) -> Plot | None:
    """Mean Dice over all structures; None without a single mean."""

    def mean(cell: Cell) -> Interval | None:
        return cell.mean.interval

    best = "; ".join(
        f"{a.price(n)}: {plain(display(c.method))} {number(i.estimate)} {bracket(i.low, i.high)}".rstrip()
        for n in a.budgets
        if (c := a.best(n)) and (i := c.mean.interval)
    )
    upper = f" {plain(display(UPPER_BOUND))} {number(a.upper.mean.interval.estimate)}." if a.upper else ""
    return _plot(
        a, "dice", {"": mean}, title="Dice against the number of labelled volumes",
        caption="Mean Dice over test subjects and repeats with its interval; an arrow where it leaves the picture. Methods stand "
        "beside each other, random weights hollow. " + _last(a) + "Overlapping intervals do not mean that methods are equal: all "
        "see the same subjects and repeats, and the figure of gains compares them pair by pair. “n + m for selection”: n volumes "
        "to train on, and m others whose labels chose the weights.",
        alt=f"Mean Dice with intervals against labelled volumes (methods: {len(a.methods)}). Highest means: {best}.{upper}",
    )  # fmt: skip


def structures_plot(a: DatasetAnalysis) -> Plot | None:
    """Mean Dice of each structure on a common scale; None where there is only one structure, which the first figure shows."""
    there = [s for s in a.structures if any(s in c.structure_means for c in a.cells.values())]
    if len(there) < 2:
        return None

    def mean_of(structure: str) -> Means:
        return lambda cell: cell.structure_means[structure].interval if structure in cell.structure_means else None

    return _plot(
        a, "structures", {s: mean_of(s) for s in there}, title="Dice per structure",
        caption="Mean Dice of each structure over test subjects and repeats with its interval, on one scale; an arrow where it "
        "leaves the picture. " + _last(a),
        alt=f"Mean Dice with intervals against labelled volumes by structure. {_hardest(a, there)}",
    )  # fmt: skip


def _last(a: DatasetAnalysis) -> str:
    return "Last point: random weights trained on all volumes. " if a.upper else ""


def _hardest(a: DatasetAnalysis, structures: Sequence[str]) -> str:
    """The means of random weights, or of the first method there is, by structure at the smallest budget."""
    cell = next((c for m in (BASELINE, *a.methods) if (c := a.cell(m, a.budgets[0]))), None)
    if cell is None:
        return ""
    said = [f"{s} {number(cell.structure_means[s].interval.estimate)}" for s in structures if s in cell.structure_means]
    return f"{plain(display(cell.method))} with {a.price(cell.budget, cell.method)}: {', '.join(said)}."


def _plot(a: DatasetAnalysis, name: str, of: dict[str, Means], *, title: str, caption: str, alt: str) -> Plot | None:
    intervals = [i for mean in of.values() for c in a.cells.values() if (i := mean(c)) and np.isfinite(i.estimate)]
    if not intervals:
        return None
    shown = [i for mean in of.values() for c in unstretching(a) if (i := mean(c)) and np.isfinite(i.estimate)] or intervals
    limits = frame((i.estimate for i in shown), shown, least=0.06, bounds=(0.0, 1.0))

    there = [*(m for m in a.methods if any(a.cell(m, n) for n in a.budgets)), *([UPPER_BOUND] if a.upper else [])]

    def draw(shape: Shape) -> Figure:
        panels = [_Panel(t, part, mean) for t, mean in of.items() for part in parts(there, _MOST[shape.narrow])]
        shared = len({p.methods for p in panels}) == 1
        columns = 2 if len(of) > 1 and shared and len(panels[0].methods) <= _MOST[True] else 1
        figure, axes = grid(shape, len(panels), wide=columns, narrow=1, height=3.3 if len(panels) == 1 else 2.6)
        for place, (own, panel) in enumerate(zip(axes, panels, strict=True)):
            own.set_ylim(limits)
            _panel(own, a, panel, shape, labelled=place % columns == 0)
            if not shared:
                _beside(own, a, panel.methods, shape)
        if shared:
            methods = panels[0].methods
            legend_below(figure, shape, method_handles(a, methods, linestyle="none"), [named(m, shape) for m in methods])
        return figure

    return plot(draw, f"{a.dataset}-{name}", dataset=a.dataset, title=title, caption=caption, alt=alt)


def _beside(axes: Axes, a: DatasetAnalysis, methods: Sequence[str], shape: Shape) -> None:
    """A legend of a panel's own: at its right, or below it."""
    where: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.45, -0.2), "ncols": 2} if shape.narrow else {
        "loc": "center left", "bbox_to_anchor": (1.0, 0.5)
    }  # fmt: skip
    handles = method_handles(a, methods, linestyle="none", size=5)
    axes.legend(handles, [named(m, shape) for m in methods], fontsize=shape.small, labelcolor=INK, **where)


def _panel(axes: Axes, a: DatasetAnalysis, panel: _Panel, shape: Shape, *, labelled: bool) -> None:
    """Methods beside each other at every number of labelled volumes, those of a method joined, and all volumes at the end."""
    dodged = [m for m in panel.methods if m != UPPER_BOUND]
    offsets = _SPREAD * ((np.arange(len(dodged)) + 0.5) / len(dodged) - 0.5)
    size = min(5.5, max(3.5, 60 / len(dodged))) - (0.8 if shape.narrow else 0)
    for method, offset in zip(dodged, offsets, strict=True):
        means = {i: m for i, n in enumerate(a.budgets) if (c := a.cell(method, n)) and (m := panel.means(c))}
        _method(axes, a, method, {i + offset: m for i, m in means.items()}, size)
    if a.upper and (mean := panel.means(a.upper)):
        axes.axvline(len(a.budgets) - 0.5, color=EDGE, linewidth=0.8, linestyle=(0, (4, 3)))
        _method(axes, a, UPPER_BOUND, {len(a.budgets): mean}, size + 1)
    prices = [*(a.price(n) for n in a.budgets), *([a.price(ALL, UPPER_BOUND)] if a.upper else [])]
    axes.set_xlim(-0.5, len(prices) - 0.5)
    short, ending = brief(prices) if shape.narrow else ([two_lines(p) for p in prices], "")
    axes.set_xticks(range(len(prices)), short)
    axes.set_xlabel(f"labelled volumes{ending}")
    axes.tick_params(axis="x", labelcolor=INK, length=0)
    axes.grid(axis="x", visible=False)
    axes.set_title(panel.title)
    if labelled or shape.narrow:
        axes.set_ylabel("mean Dice")


def _method(axes: Axes, a: DatasetAnalysis, method: str, means: dict[float, Interval], size: float) -> None:
    colour = colours(a.methods)[method]
    low, high = axes.get_ylim()
    for place, mean in means.items():
        bar(axes, place, mean, colour, upright=True, width=1.3)
    axes.plot(
        list(means), [m.estimate for m in means.values()], linewidth=0.9, zorder=3,
        linestyle=_DOTTED if method == BASELINE else "-", **method_mark(a, method, size),
    )  # fmt: skip
    for place, mean in means.items():
        if not low <= mean.estimate <= high:
            end, arrow = (low, CARETDOWN) if mean.estimate < low else (high, CARETUP)
            axes.plot(place, end, marker=arrow, markersize=size + 1, color=colour, markeredgewidth=0, clip_on=False)
