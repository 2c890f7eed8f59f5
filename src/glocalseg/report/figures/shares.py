"""Figures of shares: where the variance of Dice comes from, and how many runs failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from glocalseg.evaluation.statistics.components import REST, Component
from glocalseg.plan.jobs import Plan
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.failed import Failures, failures
from glocalseg.report.analysis.twoway import REPEAT, SUBJECT, twoway
from glocalseg.report.analysis.variance import levels, sources
from glocalseg.report.figures.figure import INK, MUTED, PAPER, Plot, Shape, plot
from glocalseg.report.figures.panels import by_budget, legend_below, named, percent
from glocalseg.report.text.colours import PHASES, colours, markers, repeat_styles
from glocalseg.report.text.names import ALL, UPPER_BOUND, display, plain

_REPEATS = [colour for colour, _ in repeat_styles([str(i) for i in range(12)]).values()]
SOURCES = {  # colour and name; dark enough for numbers in the colour of the paper
    SUBJECT: (_REPEATS[7], "test subject"),
    REPEAT: (_REPEATS[11], "repeat"),
    "draw": (_REPEATS[11], "labelled volumes"),
    "pretraining": (PHASES["pretrain_global"], "pretraining seed"),
    "finetuning": (PHASES["finetune"], "fine-tuning seed"),
    REST: (MUTED, "rest"),
}
_FITS = 0.28  # inches that a number of two digits takes
Key = tuple[str, str]
Parts = Mapping[Key, tuple[Component, ...]]


def share_plots(a: DatasetAnalysis, plan: Plan) -> list[Plot]:
    """Sources of variance and shares of failed runs of one data set; those without any data are left out."""
    return [p for p in (_variance(a, plan), _failures(a)) if p]


def _variance(a: DatasetAnalysis, plan: Plan) -> Plot | None:
    square = levels(plan.benchmark) is not None
    found = (
        {(s.method, s.budget): s.components for s in sources(a, plan.benchmark) if not s.of_gain}
        if square
        else {key: twoway(cell.scores) for key, cell in a.cells.items()}
    )
    parts = {key: of for key, of in found.items() if of and np.isfinite(of[0].share)}
    if not parts:
        return None
    how = (
        "Shares of the variance of a run's mean Dice. The repeats are a Latin square of choices of labelled volumes, pretraining "
        "seeds and fine-tuning seeds, which tells the three apart; the rest is what they do together, and what does not repeat."
        if square
        else "Shares of the variance of one Dice value, of a test subject in a repeat, by a two-way analysis of variance. In "
        "each repeat labelled volumes and seeds change together, and are one source; the rest is what subjects and repeats do "
        "together, and what does not repeat."
    )
    below = sum(c.share < 0 for of in parts.values() for c in of)
    said = f" Estimates are unbiased and may fall below zero: {below} did, and are drawn as 0." if below else ""
    failed = sum(len(f.runs) for key, f in failures(a).items() if key in parts)
    mixed = f" {failed} failed run{'s are' if failed > 1 else ' is'} among the repeats." if failed else ""
    return plot(
        lambda shape: _draw_variance(shape, a, parts), f"{a.dataset}-variance", dataset=a.dataset,
        title="Where the variance comes from", caption=f"{how}{said}{mixed}", alt=_largest(a, parts),
    )  # fmt: skip


def _largest(a: DatasetAnalysis, parts: Parts) -> str:
    """How often each source is the largest."""
    largest = [max(of, key=lambda c: c.share).source for of in parts.values()]
    counts = [f"{SOURCES[s][1]} in {largest.count(s)}" for s in SOURCES if s in largest]
    return f"Stacked bars of the sources of variance; the largest is: {', '.join(counts)} of {len(parts)}."


def _rows(shape: Shape, a: DatasetAnalysis, keys: Sequence[Key]) -> tuple[list[str], list[str], list[str]]:
    """Budgets and methods that have something to show, and the names of these; the upper bound stands in a panel of its own."""
    budgets = [n for n in [*a.budgets, ALL] if any(k[1] == n for k in keys)]
    methods = [m for m in [*a.methods, UPPER_BOUND] if any(k[0] == m for k in keys)]
    return budgets, methods, [named(m, shape) for m in methods]


def _draw_variance(shape: Shape, a: DatasetAnalysis, parts: Parts) -> Figure:
    keys = [k for k in parts if k[1] != ALL] or list(parts)
    budgets, methods, names = _rows(shape, a, keys)
    figure, panels = by_budget(shape, [a.price(n) for n in budgets], names, label="share of variance, %")
    width = (shape.width - 1.5) / (1 if shape.narrow else len(budgets))
    for axes, budget in zip(panels, budgets, strict=True):
        for row, method in enumerate(methods):
            _stack(axes, row, parts.get((method, budget)), width)
        percent(axes, len(budgets), shape)
        axes.grid(visible=False)
    shown = [s for s in SOURCES if any(c.source == s for of in parts.values() for c in of)]
    legend_below(figure, shape, [Patch(color=SOURCES[s][0]) for s in shown], [SOURCES[s][1] for s in shown])
    return figure


def _stack(axes: Axes, row: int, parts: tuple[Component, ...] | None, width: float) -> None:
    """One bar, ``width`` inches when it is full."""
    if parts is None:
        axes.text(2, row, "not known", va="center", color=MUTED)
        return
    sizes = np.array([max(0.0, c.share) for c in parts])
    sizes *= 100 / sizes.sum()
    for component, size, end in zip(parts, sizes, np.cumsum(sizes), strict=True):
        colour = SOURCES[component.source][0]
        axes.barh(row, size, left=end - size, height=0.76, color=colour, edgecolor=PAPER, linewidth=0.8)
        if size * width / 100 > _FITS:
            axes.text(end - size / 2, row, f"{size:.0f}", ha="center", va="center", color=PAPER, fontsize=8.5)


def _failures(a: DatasetAnalysis) -> Plot | None:
    found = {key: f for key, f in failures(a).items() if np.isfinite(f.share.estimate)}
    if not any(f.runs for f in found.values()):
        return None
    worst = max(found.values(), key=lambda f: f.share.estimate)
    runs, bad = sum(f.cell.runs for f in found.values()), sum(len(f.runs) for f in found.values())
    name = plain(display(worst.cell.method))
    return plot(
        lambda shape: _draw_failures(shape, a, found), f"{a.dataset}-failures", dataset=a.dataset, title="Failed runs",
        caption="Share of runs that failed, by number of labelled volumes, with Wilson's interval; beside it how many of how "
        "many. What a failed run is stands with the table of failed runs. Methods and numbers of labelled volumes without failed "
        f"runs are shown, too: with few runs their intervals are wide. {bad} of {runs} runs failed.",
        alt=f"Dot plot of the share of failed runs: {bad} of {runs} failed, most of {name} at "
        f"{a.price(worst.cell.budget, worst.cell.method)} labelled, {len(worst.runs)} of {worst.cell.runs}.",
    )  # fmt: skip


def _draw_failures(shape: Shape, a: DatasetAnalysis, found: Mapping[Key, Failures]) -> Figure:
    keys = [k for k, f in found.items() if k[1] != ALL or f.runs]
    budgets, methods, names = _rows(shape, a, keys)
    figure, panels = by_budget(
        shape, [a.price(n, UPPER_BOUND if n == ALL else None) for n in budgets], names, label="failed runs, %"
    )
    colour, mark = colours(a.methods), markers(a.methods)
    for axes, budget in zip(panels, budgets, strict=True):
        percent(axes, len(budgets), shape)
        for row, method in enumerate(methods):
            if (f := found.get((method, budget))) is None:
                continue
            share = f.share
            axes.plot([100 * share.low, 100 * share.high], [row, row], color=colour[method], linewidth=1.6)
            axes.plot(100 * share.estimate, row, marker=mark[method], color=colour[method], markersize=6,
                      markerfacecolor=colour[method] if f.runs else PAPER, clip_on=False)  # fmt: skip
            axes.annotate(f"{len(f.runs)}/{f.cell.runs}", (100 * share.high, row), xytext=(4, 0), textcoords="offset points",
                          va="center", color=INK if f.runs else MUTED, fontsize=8.5)  # fmt: skip
    return figure
