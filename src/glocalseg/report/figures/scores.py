"""Figures of scores: Dice against labels, gain over random initialisation, structures, and every draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glocalseg.evaluation.statistics import Interval, Summary
from glocalseg.report.analysis import DatasetAnalysis, draw_means
from glocalseg.report.figures.figure import INK, Plot, canvas, finish
from glocalseg.report.names import BASELINE, UPPER_BOUND, colours, display, markers, mathtext, plain, volumes
from glocalseg.report.tables.table import number

DOTTED = (0, (1, 1.5))  # of the baseline
SPREAD = 0.48  # of the methods of one budget, of the distance between budgets


def score_plots(a: DatasetAnalysis) -> list[Plot]:
    """The figures of one data set's scores, in the order in which the page shows them."""
    plots = [_dice(a), _structures(a), _draws(a)]
    return [plots[0], _gain(a), *plots[1:]] if a.comparisons else plots


def _dice(a: DatasetAnalysis) -> Plot:
    figure = canvas(9.6, 4.6)
    axes = figure.subplots()
    _points(axes, a, {(m, n): c.summary.mean for m in a.methods for n in a.budgets if (c := a.cell(m, n))})
    if a.upper:
        _upper(axes, a.upper.summary)
    axes.set_ylabel("Dice (mean over test subjects)")
    axes.set_ylim(_limits([c.summary.mean.estimate for c in a.cells.values()]))
    axes.legend(*_ordered(axes), loc="center left", bbox_to_anchor=(1.01, 0.5))
    best = "; ".join(
        f"{volumes(n)}: {plain(display(c.method))} highest with {number(c.summary.mean.estimate)}"
        for n in a.budgets
        if (c := a.best(n))
    )
    return finish(
        figure, f"{a.dataset}-dice", dataset=a.dataset, title="Dice against the number of labelled volumes",
        caption="Points: mean over test subjects, draws of the labelled volumes and seeds; bars: its bootstrap interval, which "
        "may run out of the picture. Methods are moved apart sideways. Dashed line and band: the network trained on all "
        "volumes, with its interval. Overlapping bars do not mean that methods are equal, because all see the same "
        "subjects and draws: see the next figure.",
        alt=f"Line plot of mean Dice against labelled volumes for {len(a.methods)} methods. {best}.",
    )  # fmt: skip


def _limits(estimates: Sequence[float]) -> tuple[float, float]:
    """An axis that shows the differences between means; with two or three draws an interval may run out of it."""
    room = max(0.06, 0.6 * (max(estimates) - min(estimates)))
    return max(0.0, min(estimates) - room), min(1.0, max(estimates) + room / 2)


def _points(axes: Axes, a: DatasetAnalysis, means: dict[tuple[str, str], Interval]) -> None:
    """A point with its interval per (method, budget), the points of a method joined."""
    bounds = [
        {"method": method, "budget": budget, "value": value}
        for (method, budget), mean in means.items()
        for value in (mean.low, mean.estimate, mean.high)  # the middle one is their median: seaborn finds all three again
    ]
    rows = pd.DataFrame(bounds, columns=["method", "budget", "value"])
    colour, marker = colours(a.methods), markers(a.methods)
    sns.pointplot(
        rows, x="budget", y="value", hue="method", order=list(a.budgets), hue_order=list(a.methods), palette=colour,
        estimator="median", errorbar=("pi", 100), dodge=SPREAD if len(a.methods) > 1 else False,
        markers=[marker[m] for m in a.methods], linestyles=[DOTTED if m == BASELINE else "-" for m in a.methods],
        markersize=5.5, linewidth=1.1, err_kws={"linewidth": 1.3}, alpha=0.95, legend=False, ax=axes,
    )  # fmt: skip
    drawn = [m for m in a.methods if any(method == m for method, _ in means)]
    for method, line in zip(drawn, [line for line in axes.lines if line.get_marker() not in ("", "None")], strict=False):
        line.set(label=mathtext(display(method)), markeredgewidth=1.2)
        if method == BASELINE:
            line.set_markerfacecolor("white")
    axes.set_xlabel("labelled volumes")
    axes.set_xlim(-0.45, len(a.budgets) - 0.55)
    axes.grid(axis="x", visible=False)


def _upper(axes: Axes, summary: Summary) -> None:
    grey = colours([])[UPPER_BOUND]
    mean = summary.mean
    axes.axhspan(mean.low, mean.high, color=grey, alpha=0.14, linewidth=0)
    axes.axhline(mean.estimate, color=grey, linestyle="--", linewidth=1.2, label=display(UPPER_BOUND))


def _gain(a: DatasetAnalysis) -> Plot:
    methods = [m for m in a.methods if m != BASELINE]
    means = draw_means(a)
    figure = canvas(max(8.0, min(10.0, 2.6 + 2.5 * len(a.budgets))), 1.0 + 0.48 * len(methods))
    panels = figure.subplots(1, len(a.budgets), sharey=True, squeeze=False)[0]
    for axes, budget in zip(panels, a.budgets, strict=True):
        _gains(axes, a, budget, means[means["budget"] == budget], methods)
    panels[0].set_yticks(range(len(methods)), [mathtext(display(m)) for m in methods])
    for axes in panels:
        axes.tick_params(axis="y", colors=INK, length=0)
    panels[0].set_ylim(len(methods) - 0.4, -0.6)
    held = [c for c in a.comparisons if c.verdict in ("better", "worse")]
    return finish(
        figure, f"{a.dataset}-gain", dataset=a.dataset, title="Gain over random initialisation, draw by draw",
        caption="Pale points: one draw of the labelled volumes each, the mean of its subjects and seeds, minus Random init with "
        "the same volumes. Line and marker: mean gain with its bootstrap interval; filled where the difference held after "
        "correction for the number of comparisons, hollow where it is not distinguishable from no gain.",
        alt=f"Dot plot of the paired gain in Dice of {len(methods)} methods over random initialisation at "
        f"{len(a.budgets)} budgets; {len(held)} of {len(a.comparisons)} differences held after correction.",
    )  # fmt: skip


def _gains(axes: Axes, a: DatasetAnalysis, budget: str, means: pd.DataFrame, methods: Sequence[str]) -> None:
    """One budget: a row a method, its draws as pale points, its mean gain with the interval."""
    colour = colours(a.methods)
    axes.axvline(0, color=INK, linewidth=1)
    for method in methods:
        own = means[means["method"] == method].dropna(subset=["gain"])
        sns.stripplot(
            own, x="gain", y="method", hue="draw", palette=[colour[method]] * own["draw"].nunique(), order=methods, dodge=True,
            jitter=False, size=4.5, alpha=0.35, linewidth=0, legend=False, ax=axes,
        )  # fmt: skip
        compared = a.compared(method, budget)
        if compared is None or not np.isfinite(compared.comparison.difference.estimate):
            continue
        d = compared.comparison.difference
        sns.pointplot(
            x=[d.low, d.estimate, d.high], y=[method] * 3, order=methods, orient="h", estimator="median",
            errorbar=("pi", 100), color=colour[method], markers="D", markersize=7, markeredgewidth=1.6, linestyle="none",
            markerfacecolor=colour[method] if compared.verdict in ("better", "worse") else "white",
            err_kws={"linewidth": 2.2}, ax=axes,
        )  # fmt: skip
    axes.set_title(volumes(budget))
    axes.set_xlabel("gain in Dice")
    axes.set_ylabel("")
    axes.grid(axis="y", visible=False)


def _structures(a: DatasetAnalysis) -> Plot:
    columns = min(3, len(a.structures))
    rows = -(-len(a.structures) // columns)
    figure = canvas(1.8 + 2.6 * max(columns, 3), 3.5 * rows)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, structure in zip(grid.flat, a.structures, strict=False):
        cells = [c for m in a.methods for n in a.budgets if (c := a.cell(m, n)) and structure in c.structures]
        _points(axes, a, {(c.method, c.budget): c.structures[structure].mean for c in cells})
        if a.upper and structure in a.upper.structures:
            _upper(axes, a.upper.structures[structure])
        axes.set_title(structure)
        axes.set_ylabel("")
    for axes in list(grid.flat)[len(a.structures) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("Dice")
    grid[0, 0].set_ylim(_limits([s.mean.estimate for c in a.cells.values() for s in c.structures.values()]))
    _legend(figure, grid.flat[0])
    return finish(
        figure, f"{a.dataset}-structures", dataset=a.dataset, title="Dice per structure",
        caption="As the first figure, for each structure by itself, on one common scale.",
        alt=f"Line plots of Dice against labelled volumes for the structures {', '.join(a.structures)}.",
    )  # fmt: skip


def _draws(a: DatasetAnalysis) -> Plot:
    means, colour, marker = draw_means(a), colours(a.methods), markers(a.methods)
    figure = canvas(max(9.0, 2.4 + 2.4 * len(a.budgets)), 3.6)
    panels = figure.subplots(1, len(a.budgets), sharey=True, squeeze=False)[0]
    for axes, budget in zip(panels, a.budgets, strict=True):
        own = means[(means["budget"] == budget) & means["method"].isin(a.methods)].dropna(subset=["dice"])
        for method in a.methods:
            baseline = method == BASELINE
            sns.lineplot(
                own[own["method"] == method], x="draw", y="dice", color=colour[method], marker=marker[method], markersize=5,
                linewidth=0.9, linestyle=DOTTED if baseline else "-", alpha=0.9, errorbar=None,
                markerfacecolor="white" if baseline else colour[method], markeredgecolor=colour[method],
                label=mathtext(display(method)), legend=False, ax=axes,
            )  # fmt: skip
        axes.set_xticks(sorted(own["draw"].unique()))
        axes.set_xlabel("draw")
        axes.set_title(volumes(budget))
    panels[0].set_ylabel("Dice (mean of subjects and seeds)")
    _legend(figure, panels[0])
    return finish(
        figure, f"{a.dataset}-draws", dataset=a.dataset, title="Every draw of the labelled volumes",
        caption="Each draw labels other volumes; all methods got the same ones. Where the lines go up and down together, the "
        "choice of the volume matters more than the method. The order of draws means nothing; lines only guide the eye.",
        alt=f"Line plots of mean Dice by draw for {len(a.methods)} methods at {len(a.budgets)} budgets.",
    )  # fmt: skip


def _ordered(axes: Axes) -> tuple[list[Artist], list[str]]:
    """Handles and labels of a legend, the upper bound last."""
    pairs = list(zip(*axes.get_legend_handles_labels(), strict=True))
    pairs.sort(key=lambda pair: pair[1] == display(UPPER_BOUND))
    return [handle for handle, _ in pairs], [str(label) for _, label in pairs]


def _legend(figure: Figure, axes: Axes) -> None:
    figure.legend(*_ordered(axes), loc="outside right center", labelcolor=INK)
