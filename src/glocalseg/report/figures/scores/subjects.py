"""Every test subject as a point, and the hardest ones by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from glocalseg.evaluation.statistics.arrays import Array
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.subjects import Worst, subject_means, worst_subjects
from glocalseg.report.figures.figure import GRID, INK, PAPER, Plot, Shape, plot
from glocalseg.report.figures.panels import by_budget, legend_below, named
from glocalseg.report.figures.scores.frame import dots, spent
from glocalseg.report.tables.table import number
from glocalseg.report.text.colours import colours
from glocalseg.report.text.names import UPPER_BOUND, display, plain, shortened

_NAMED = ("o", "s", "^")  # marks of the hardest subjects: as many as are named
_GOLDEN = 0.618034  # its multiples, without their whole part, lie evenly however many there are
_HEIGHT = 0.72  # of a row, over which its points are spread


def subjects_plot(a: DatasetAnalysis) -> Plot:
    """Dice of every test subject, over repeats, for every method."""
    methods = [*(m for m in a.methods if any(a.cell(m, n) for n in a.budgets)), *([UPPER_BOUND] if a.upper else [])]
    values = {(m, n): subject_means(a, m, n) for m in methods for n in a.budgets}
    lowest = min((float(np.nanmin(v)) for v in values.values() if np.isfinite(v).any()), default=0.0)
    worst = worst_subjects(a, most=max(1, min(len(_NAMED), a.subjects // 5)))

    def draw(shape: Shape) -> Figure:
        figure, panels = by_budget(shape, [spent(a, n) for n in a.budgets], [named(m, shape) for m in methods], row=0.27)
        for axes, budget in zip(panels, a.budgets, strict=True):
            axes.set_xlim(max(0.0, lowest - 0.04) - 0.01, 1.01)
            _rows(axes, a, methods, [values[m, budget] for m in methods], worst)
            axes.set_xlabel("Dice (mean of repeats)")
            axes.locator_params(axis="x", nbins=5)
        handles = [
            Line2D([], [], **_ring(mark), label=hard.subject) for hard, mark in zip(worst.subjects, _NAMED, strict=False)
        ]
        mean = Line2D([], [], color=INK, marker="|", linestyle="none", markersize=9, markeredgewidth=2)
        labels = [f"{shortened(h.subject, 20)}: {number(h.dice, 2)}" for h in worst.subjects]
        legend_below(figure, shape, [*handles, mean], [*labels, "mean of subjects"])
        return figure

    return plot(
        draw, f"{a.dataset}-subjects", dataset=a.dataset, title="Every test subject", caption=_caption(a), alt=_alt(a, worst),
    )  # fmt: skip


def _rows(axes: Axes, a: DatasetAnalysis, methods: Sequence[str], values: Sequence[Array], worst: Worst) -> None:
    """A row a method; a subject lies at the same height in every row."""
    heights = np.array([(i * _GOLDEN % 1 - 0.5) * _HEIGHT for i in range(1, len(a.people) + 1)])
    hardest = [a.people.index(hard.subject) for hard in worst.subjects]
    others = [i for i in range(len(a.people)) if i not in hardest]
    size = 4.0 if len(a.people) <= 25 else 3.2 if len(a.people) <= 80 else 2.4
    for place, (method, of) in enumerate(zip(methods, values, strict=True)):
        if place:
            axes.axhline(place - 0.5, color=GRID, linewidth=0.8, zorder=0.5)
        dots(axes, of[others], place + heights[others], colours(a.methods)[method], "o", size=size)
        for subject, mark in zip(hardest, _NAMED, strict=False):
            axes.plot(of[subject], place + heights[subject], zorder=4, **_ring(mark))
        if np.isfinite(of).any():
            axes.plot(np.nanmean(of), place, color=INK, marker="|", markersize=13, markeredgewidth=1.8, zorder=3.5)


def _ring(mark: str) -> dict[str, Any]:
    return {
        "marker": mark, "markersize": 4.8, "markerfacecolor": PAPER, "markeredgecolor": INK, "markeredgewidth": 1.1,
        "linestyle": "none",
    }  # fmt: skip


def _caption(a: DatasetAnalysis) -> str:
    return (
        f"A dot is one of {a.subjects} test subjects: its mean Dice over repeats, at the same height in every row. Stroke: their "
        "mean. Named, and marked in ink: the subjects with the lowest mean over random weights and all candidates, which stands "
        "beside their names."
    )


def _alt(a: DatasetAnalysis, worst: Worst) -> str:
    hardest = ", ".join(f"{h.subject} {number(h.dice)}" for h in worst.subjects)
    single = ""
    if worst.cells:
        low = worst.cells[0]
        single = (
            f" The lowest of all: {low.subject} with {number(low.dice)} for {plain(display(low.method))}, "
            f"{a.price(low.budget, low.method)} labelled."
        )
    return f"Dice of every test subject ({a.subjects}) by method. The lowest over all methods: {hardest}.{single}"
