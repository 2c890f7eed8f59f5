"""Every repeat: a row a method, a dot a repeat, and below the dots the mean with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glocalseg.evaluation.statistics.arrays import Array, repeat_means
from glocalseg.evaluation.statistics.intervals import Interval
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.figures.figure import GRID, INK, MUTED, PAPER, Plot, Shape, plot
from glocalseg.report.figures.panels import bar, by_budget, legend_below, named
from glocalseg.report.figures.scores.frame import dots, frame, repeat_handles, spent
from glocalseg.report.tables.table import number
from glocalseg.report.text.colours import repeat_styles
from glocalseg.report.text.names import UPPER_BOUND, display, plain

DOT = 4.4  # points
_TOP, _BOTTOM = -0.36, 0.14  # of a row: where its dots are
_MEAN = 0.3  # of a row: where its mean is


@dataclass(frozen=True)
class Row:
    """A method at a budget: the mean of every repeat, all of them with their interval, and the mark of the mean.

    ``filled`` is None where nothing is said of the row: its mean is a stroke.
    """

    values: Array
    mean: Interval
    filled: bool | None
    note: str = ""


def rows_of_repeats(axes: Axes, a: DatasetAnalysis, rows: Sequence[Row | None], shape: Shape) -> None:
    """A panel of ``panels.by_budget``, its limits across set; a row without runs says so."""
    for place in range(1, len(rows)):
        axes.axhline(place - 0.5, color=GRID, linewidth=0.8, zorder=0.5)
    spread = np.linspace(_TOP, _BOTTOM, len(a.repeats)) if len(a.repeats) > 1 else [(_TOP + _BOTTOM) / 2]
    for i, (colour, mark) in enumerate(repeat_styles(a.repeats).values()):
        there = [(r.values[i], y + spread[i]) for y, r in enumerate(rows) if r and np.isfinite(r.values[i])]
        dots(
            axes, [x for x, _ in there], [y for _, y in there], colour, mark, size=DOT if len(a.repeats) <= 12 else DOT - 0.8
        )
    for place, row in enumerate(rows):
        if row is not None:
            _mean(axes, place + _MEAN, row)
        said = row.note if row else "no run"
        if said:
            left = row is not None and _roomier_left(axes, row)
            axes.annotate(
                said, (0 if left else 1, place), xycoords=("axes fraction", "data"), ha="left" if left else "right", va="center",
                fontsize=shape.small, color=MUTED, zorder=1,
            )  # fmt: skip


def _roomier_left(axes: Axes, row: Row) -> bool:
    """Whether there is more room before a row's dots and interval than after them."""
    left, right = axes.get_xlim()
    marks = np.clip([*row.values[np.isfinite(row.values)], row.mean.low, row.mean.high], left, right)
    return len(marks) > 0 and bool(np.nanmin(marks) - left > right - np.nanmax(marks))


def _mean(axes: Axes, place: float, row: Row) -> None:
    if not np.isfinite(row.mean.estimate):
        return
    bar(axes, place, row.mean, INK, upright=False, width=1.8)
    stroke: dict[str, Any] = {"marker": "|", "markersize": 8, "markeredgewidth": 2.2}
    face = INK if row.filled else PAPER
    diamond: dict[str, Any] = {"marker": "D", "markersize": 5, "markeredgewidth": 1.2, "markerfacecolor": face}
    axes.plot(row.mean.estimate, place, color=INK, linestyle="none", zorder=4, **(stroke if row.filled is None else diamond))


def repeats_plot(a: DatasetAnalysis) -> Plot:
    """Dice of every repeat of every method, controls and upper bound included."""
    methods = [*(m for m in a.methods if any(a.cell(m, n) for n in a.budgets)), *([UPPER_BOUND] if a.upper else [])]
    rows = {n: [_row(a, m, n) for m in methods] for n in a.budgets}
    there = [r for of in rows.values() for r in of if r]
    limits = frame((v for r in there for v in r.values), (r.mean for r in there), least=0.05, bounds=(0.0, 1.0))

    def draw(shape: Shape) -> Figure:
        figure, panels = by_budget(shape, [spent(a, n) for n in a.budgets], [named(m, shape) for m in methods], row=0.3)
        for axes, budget in zip(panels, a.budgets, strict=True):
            axes.set_xlim(limits)
            rows_of_repeats(axes, a, rows[budget], shape)
            axes.set_xlabel("Dice (mean of subjects)")
            axes.locator_params(axis="x", nbins=6 if len(a.budgets) < 4 else 4)
        legend_below(figure, shape, *repeat_handles(a, DOT + 1))
        return figure

    return plot(
        draw, f"{a.dataset}-repeats", dataset=a.dataset, title="Every repeat",
        caption="A dot is a repeat, coloured and shaped by which, at the same height in every row: its mean Dice over test "
        "subjects. All methods got the same repeats, each with its own labelled volumes and seeds. Line and stroke: mean of the "
        "repeats with its interval; an arrow where it, or a dot, leaves the picture."
        + (" The upper bound is the same in all panels." if a.upper and len(a.budgets) > 1 else ""),
        alt=f"Dot plot of mean Dice by repeat. {_ranges(a, methods)}",
    )  # fmt: skip


def _row(a: DatasetAnalysis, method: str, budget: str) -> Row | None:
    cell = a.cell(method, budget)
    if cell is None:
        return None
    return Row(
        repeat_means(cell.scores), cell.mean.interval, None, "" if cell.complete else f"{cell.runs} of {cell.planned}"
    )


def _ranges(a: DatasetAnalysis, methods: Sequence[str]) -> str:
    """From the worst to the best repeat of each method at the smallest budget."""
    budget = a.budgets[0]
    means = {m: repeat_means(c.scores) for m in methods if (c := a.cell(m, budget))}
    said = [f"{plain(display(m))} {number(np.nanmin(v), 2)} to {number(np.nanmax(v), 2)}" for m, v in means.items()]
    return f"Worst to best repeat with {a.price(budget)}: {', '.join(said)}."
