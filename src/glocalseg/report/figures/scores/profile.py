"""Performance profile: the share of results that reach a Dice, for every Dice there is."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glocalseg.evaluation.statistics.arrays import Array
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.figures.figure import Plot, Shape, plot
from glocalseg.report.figures.panels import grid, legend_below, named
from glocalseg.report.figures.scores.frame import method_handles, method_mark, parts, spent
from glocalseg.report.tables.table import number
from glocalseg.report.text.names import BASELINE, display, plain

_STEPS = 121  # of a curve: more cannot be seen
_MARKS = 7  # on a curve
_MOST = 12  # curves in a panel
_DOTTED = (0, (1, 1.5))


def share_reaching(scores: Array, levels: Array) -> Array:
    """(levels,) share of the values of an array, NaN left out, that are at least as high as each level."""
    there = np.sort(scores[np.isfinite(scores)])
    return 1 - np.searchsorted(there, levels, side="left") / len(there)


def profile_plot(a: DatasetAnalysis) -> Plot | None:
    """Share of (subject, repeat) with at least a Dice, for random weights and the candidates; None without any of them."""
    shown = [m for m in a.methods if m not in a.references]
    scores = {(m, n): c.scores for n in a.budgets for m in shown if (c := a.cell(m, n))}
    if not scores:
        return None
    low = min(float(np.nanquantile(s, 0.005)) for s in scores.values())
    levels = np.linspace(np.floor(20 * low) / 20, 1.0, _STEPS)
    curves = {key: share_reaching(s, levels) for key, s in scores.items()}
    methods = [m for m in shown if any(key[0] == m for key in curves)]

    def draw(shape: Shape) -> Figure:
        there = [n for n in a.budgets if any(key[1] == n for key in curves)]
        wanted = [(part, n) for part in parts(methods, _MOST) for n in there]
        columns = len(there) if len(there) <= 3 else 2 if len(there) == 4 else 3
        figure, panels = grid(shape, len(wanted), wide=columns, narrow=1, height=2.7)
        for axes, (part, budget) in zip(panels, wanted, strict=True):
            for place, m in enumerate(part):
                if (m, budget) in curves:
                    _curve(axes, a, m, levels, curves[m, budget], place / len(part))
            axes.set_title(spent(a, budget))
            axes.set_xlim(levels[0], 1.0)
            axes.set_ylim(0, 1.02)
            axes.set_xlabel("Dice of at least")
            axes.locator_params(axis="x", nbins=6)
        for axes in panels if shape.narrow else panels[::columns]:
            axes.set_ylabel("share of results")
        legend_below(figure, shape, method_handles(a, methods), [named(m, shape) for m in methods])
        return figure

    return plot(
        draw, f"{a.dataset}-profile", dataset=a.dataset, title="Performance profile",
        caption="Share of all results, one per test subject and repeat, with at least the Dice on the axis below. A curve that "
        "lies higher throughout belongs to the better method; where curves cross, one has more failures and the other more good "
        "results. Results share subjects and repeats, so that a gap is no finding: the comparisons are.",
        alt=_alt(a, scores),
    )  # fmt: skip


def _curve(axes: Axes, a: DatasetAnalysis, method: str, levels: Array, shares: Array, shift: float) -> None:
    """A curve with a few marks, those of different methods at different places."""
    apart = len(levels) // _MARKS
    axes.plot(
        levels, shares, linewidth=1.2, linestyle=_DOTTED if method == BASELINE else "-",
        markevery=(int(shift * apart), apart), **method_mark(a, method, 4.2),
    )  # fmt: skip


def _alt(a: DatasetAnalysis, scores: dict[tuple[str, str], Array]) -> str:
    """What nine tenths and one half of the results reach, at the smallest budget."""
    budget = next(n for n in a.budgets if any(key[1] == n for key in scores))
    said = [
        f"{plain(display(m))} {number(float(np.nanquantile(s, 0.1)), 2)} and {number(float(np.nanmedian(s)), 2)}"
        for (m, n), s in scores.items() if n == budget
    ]  # fmt: skip
    return f"Performance profiles. With {a.price(budget)}, nine tenths and one half of the results reach: {', '.join(said)}."
