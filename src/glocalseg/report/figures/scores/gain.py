"""The figure that answers: the gain of every candidate over random weights, a dot a repeat, by number of labelled volumes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from glocalseg.evaluation.statistics.arrays import paired, repeat_means
from glocalseg.report.analysis.cells import Compared, DatasetAnalysis
from glocalseg.report.figures.figure import EDGE, GRID, INK, PAPER, Plot, Shape, plot
from glocalseg.report.figures.panels import by_budget, by_rows, legend_below, named
from glocalseg.report.figures.scores.frame import frame, repeat_handles, spent
from glocalseg.report.figures.scores.repeats import DOT, Row, rows_of_repeats
from glocalseg.report.tables.table import bracket, signed
from glocalseg.report.text.names import BASELINE, display, plain

_ROWS = 1.59  # inches of all rows; six methods, their legend and axes have to fit into 3.1 inches
_ROW = 0.265, 0.42  # inches of a row, where there are many and few


def gain_plot(a: DatasetAnalysis) -> Plot | None:
    """Gain in Dice over random weights; None where nothing is compared with them."""
    compared = {(c.method, c.budget): c for c in a.family("random")}
    methods = [m for m in a.candidates if any((m, n) in compared for n in a.budgets)]
    rows = {n: [_row(a, compared.get((m, n))) for m in methods] for n in a.budgets}
    there = [r for of in rows.values() for r in of if r]
    if not there:
        return None
    margin = a.statistics.margin
    limits = frame([0.0, margin, -margin, *(v for r in there for v in r.values)], (r.mean for r in there), least=0.02)

    def draw(shape: Shape) -> Figure:
        row = float(np.clip(_ROWS / len(methods), *_ROW))
        figure, panels = by_budget(shape, [spent(a, n) for n in a.budgets], [named(m, shape) for m in methods], row=row)
        for axes, budget in zip(panels, a.budgets, strict=True):
            axes.set_xlim(limits)
            axes.axvspan(-margin, margin, facecolor=GRID, edgecolor=EDGE, linewidth=0.5, zorder=0.4)
            axes.locator_params(axis="x", nbins=6 if len(a.budgets) < 4 else 4)
            axes.axvline(0, color=INK, linewidth=1)
            rows_of_repeats(axes, a, rows[budget], shape)
            if budget == a.budgets[-1] or not shape.narrow:
                axes.set_xlabel("gain in Dice")
        tight: dict[str, Any] = {"ncols": 2, "handlelength": 1.3, "handletextpad": 0.4, "columnspacing": 0.8}
        how = tight if shape.narrow else {"ncols": 3}
        figure.legend(*by_rows(*_meaning(a), how["ncols"]), loc="outside upper right", labelcolor=INK, **how)
        legend_below(figure, shape, *repeat_handles(a, DOT + 1))
        return figure

    return plot(
        draw, f"{a.dataset}-gain", dataset=a.dataset, title=f"Gain over {plain(display(BASELINE))}, repeat by repeat",
        caption=_caption(a), alt=_alt(a, [c for c in compared.values() if np.isfinite(c.comparison.gain.mean.interval.estimate)]),
    )  # fmt: skip


def _row(a: DatasetAnalysis, c: Compared | None) -> Row | None:
    if c is None or a.cell(c.method, c.budget) is None or a.cell(c.other, c.budget) is None:
        return None
    values = repeat_means(paired(a.scores(c.method, c.budget), a.scores(c.other, c.budget)))
    runs = int(np.isfinite(values).sum())
    note = f"{runs} of {len(values)} repeats" if runs < len(values) else ""
    return Row(values, c.comparison.gain.mean.interval, None if a.silent else c.held, note)


def _meaning(a: DatasetAnalysis) -> tuple[list[Artist], list[str]]:
    """Handles and labels of what the marks of the mean and the band say."""
    mean: dict[str, Any] = {"color": INK, "linewidth": 1.8, "markersize": 5, "markeredgewidth": 1.2}
    marks = (
        {"mean gain": Line2D([], [], marker="|", **{**mean, "markersize": 8, "markeredgewidth": 2.2})} if a.silent else {
            "mean: difference found": Line2D([], [], marker="D", **mean),
            "none found": Line2D([], [], marker="D", markerfacecolor=PAPER, **mean),
        }
    )  # fmt: skip
    margin = a.statistics.margin
    band = {f"too small to matter, ±{margin:g}": Patch(facecolor=GRID, edgecolor=EDGE, linewidth=0.5)} if margin else {}
    return [*marks.values(), *band.values()], [*marks, *band]


def _caption(a: DatasetAnalysis) -> str:
    """How the figure is read."""
    marks = "" if a.silent else (
        "; filled: a difference was found after correction for all methods and budgets, hollow: none was"
    )  # fmt: skip
    band = f" Grey: gains up to ±{a.statistics.margin:g}, too small to matter." if a.statistics.margin else ""
    return (
        f"A dot is a repeat, coloured and shaped by which: its mean Dice over test subjects minus that of {display(BASELINE)} in "
        f"the same repeat. Line and mark below the dots: the mean gain with its interval{marks}.{band} An arrow: outside."
    )


def _alt(a: DatasetAnalysis, compared: list[Compared]) -> str:
    """The main numbers: every mean gain with its interval."""
    parts = []
    for budget in a.budgets:
        gains = [(c, c.comparison.gain.mean.interval) for c in compared if c.budget == budget]
        said = [f"{plain(display(c.method))} {signed(i.estimate)} {bracket(i.low, i.high)}".rstrip() for c, i in gains]
        if said:
            parts.append(f"With {a.price(budget)}: {', '.join(said)}")
    found = "" if a.silent else f" A difference was found in {sum(c.held for c in compared)} of {len(compared)} comparisons."
    return f"Gain in Dice over {plain(display(BASELINE))} with intervals. {'. '.join(parts)}.{found}"
