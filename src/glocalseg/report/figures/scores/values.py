"""Dice against the value of a setting that variants change, the row with the usual value among them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from glocalseg.config.benchmark import Benchmark
from glocalseg.report.analysis.cells import Cell, DatasetAnalysis
from glocalseg.report.analysis.methods.variants import POOL, Series, series, value_of
from glocalseg.report.figures.figure import INK, PAPER, Plot, Shape, plot
from glocalseg.report.figures.panels import bar, grid, legend_below
from glocalseg.report.figures.scores.frame import frame
from glocalseg.report.tables.table import number
from glocalseg.report.text.colours import colours, markers
from glocalseg.report.text.names import display, mathtext, plain, shortened

LineStyle = tuple[float, tuple[float, ...]]
_STYLES: tuple[LineStyle, ...] = (
    (0, ()),
    (0, (4, 1.5)),
    (0, (1, 1.2)),
    (0, (5, 1.2, 1, 1.2)),
)  # of numbers of labelled volumes
_TICKS = 5  # values that an axis names
_FAR = 3.0  # times the smallest value: from there on an axis is logarithmic
_UNITS = {POOL: "share of unlabelled volumes, %"}


def values_plot(a: DatasetAnalysis, b: Benchmark) -> Plot | None:
    """A panel per method and setting, a line per number of labelled volumes; None where no number is varied."""
    found = series(a, b)
    if not found:
        return None
    usual = {s.setting for s in found if s.usual is None and value_of(b, s.setting) is None}
    without = " Dotted: the row with what is chosen automatically, which has no number." if usual else ""
    several = "; a line for each number of labelled volumes" if len({s.budget for s in found}) > 1 else ""
    return plot(
        lambda shape: _draw(shape, a, found), f"{a.dataset}-values", dataset=a.dataset,
        title="Dice against the value of a setting",
        caption=f"Rows that differ in one number alone, by that number, with the interval over subjects and repeats{several}; "
        f"hollow: the row with the benchmark's own value.{without} An arrow where an interval leaves the picture. Intervals of "
        "points overlap more than those of their paired differences, which the table above holds.",
        alt=f"Line plots of mean Dice by the value of a setting. {_alt(found)}",
    )  # fmt: skip


def _alt(found: Sequence[Series]) -> str:
    """The ends of each line."""
    said = []
    for s in found:
        values = list(s.points)
        ends = [f"{number(s.points[v].mean.interval.estimate)} at {v:g}" for v in (values[0], values[-1])]
        said.append(f"{plain(display(s.twin))}, {s.setting}, {s.budget} labelled: {' to '.join(ends)}")
    return "; ".join(said) + "."


def _draw(shape: Shape, a: DatasetAnalysis, found: Sequence[Series]) -> Figure:
    panels: dict[tuple[str, str], list[Series]] = {}
    for s in found:
        panels.setdefault((s.setting, s.twin), []).append(s)
    budgets = [n for n in a.budgets if any(s.budget == n for s in found)]
    line = {n: _STYLES[i % len(_STYLES)] for i, n in enumerate(budgets)}
    means = [cell.mean.interval for s in found for cell in (*s.points.values(), *_own(a, s))]
    limits = frame([m.estimate for m in means], means, least=0.06, bounds=(0.0, 1.0))
    figure, all_axes = grid(shape, len(panels), wide=3, narrow=1, height=1.9)
    for axes, ((setting, twin), own) in zip(all_axes, sorted(panels.items()), strict=True):
        _axis(axes, sorted({v for s in own for v in s.points}))
        axes.set_ylim(limits)
        for s in own:
            _line(axes, a, s, line[s.budget])
        axes.set_title(mathtext(shortened(display(twin), 30)))
        axes.set_xlabel(_UNITS.get(setting, setting))
    for axes in all_axes:
        if axes.get_subplotspec().is_first_col():  # type: ignore[union-attr]
            axes.set_ylabel("mean Dice")
    if len(budgets) > 1:
        handles = [Line2D([], [], color=INK, linestyle=line[n]) for n in budgets]
        legend_below(figure, shape, handles, [a.price(n) for n in budgets])
    return figure


def _own(a: DatasetAnalysis, s: Series) -> list[Cell]:
    """The cell of the row with the usual value, where that value is no number and so no point."""
    cell = a.cell(s.twin, s.budget)
    return [cell] if s.usual is None and cell else []


def _axis(axes: Axes, values: Sequence[float]) -> None:
    """Limits round the values, ticks at as many of them as can be read, logarithmic where they lie far apart."""
    low, high = values[0], values[-1]
    if low > 0 and high / low >= _FAR:
        axes.set_xscale("log")
        room = (high / low) ** 0.08
        axes.set_xlim(low / room, high * room)
    else:
        room = 0.08 * (high - low) or 1.0
        axes.set_xlim(low - room, high + room)
    kept = np.unique(np.linspace(0, len(values) - 1, min(len(values), _TICKS)).round().astype(int))
    axes.set_xticks([values[i] for i in kept], [f"{values[i]:g}" for i in kept])
    axes.set_xticks([], minor=True)


def _line(axes: Axes, a: DatasetAnalysis, s: Series, style: LineStyle) -> None:
    colour, mark = colours(a.methods)[s.twin], markers(a.methods)[s.twin]
    for cell in _own(a, s):
        axes.axhline(cell.mean.interval.estimate, color=INK, linewidth=1, linestyle=(0, (1, 1.2)))
    for value, cell in s.points.items():
        bar(axes, value, cell.mean.interval, colour, upright=True, width=1.3)
    estimates = [cell.mean.interval.estimate for cell in s.points.values()]
    axes.plot(list(s.points), estimates, color=colour, linewidth=1, linestyle=style, zorder=3)
    for value, estimate in zip(s.points, estimates, strict=True):
        axes.plot(value, estimate, marker=mark, markersize=6, color=colour, zorder=4, markeredgewidth=1.3,
                  markerfacecolor=PAPER if value == s.usual else colour)  # fmt: skip
