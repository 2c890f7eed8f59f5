"""Figures of scores: Dice against labels, gain over random initialisation, structures, and every draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glocalseg.evaluation.statistics import Summary
from glocalseg.report.analysis import DatasetAnalysis, draw_means
from glocalseg.report.figures import INK, Plot, canvas, finish
from glocalseg.report.names import BASELINE, UPPER_BOUND, colours, display, markers, mathtext, plain, volumes
from glocalseg.report.table import number


def score_plots(a: DatasetAnalysis) -> list[Plot]:
    """The figures of one data set's scores, in the order in which the page shows them."""
    plots = [_dice(a), _structures(a), _draws(a)]
    return [plots[0], _gain(a), *plots[1:]] if a.comparisons else plots


def _dice(a: DatasetAnalysis) -> Plot:
    figure = canvas(9.6, 4.6)
    axes = figure.subplots()
    _lines(axes, a, {m: [_mean(a, m, n) for n in a.budgets] for m in a.methods})
    if a.upper:
        _upper(axes, a.upper.summary)
    axes.set_ylabel("Dice (mean over test subjects)")
    axes.set_ylim(_limits([c.summary.mean.estimate for c in a.cells.values()]))
    _budget_axis(axes, a.budgets)
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


def _mean(a: DatasetAnalysis, method: str, budget: str) -> Summary | None:
    cell = a.cell(method, budget)
    return cell.summary if cell else None


def _lines(axes: Axes, a: DatasetAnalysis, values: dict[str, list[Summary | None]]) -> None:
    colour, marker = colours(a.methods), markers(a.methods)
    shift = np.linspace(-0.24, 0.24, len(values)) if len(values) > 1 else np.zeros(1)
    for (method, summaries), dx in zip(values.items(), shift, strict=True):
        there = [(i + dx, s.mean) for i, s in enumerate(summaries) if s]
        if not there:
            continue
        x = [x for x, _ in there]
        y = np.array([m.estimate for _, m in there])
        low, high = np.array([m.low for _, m in there]), np.array([m.high for _, m in there])
        baseline = method == BASELINE
        axes.errorbar(
            x, y, yerr=[y - low, high - y], color=colour[method], marker=marker[method], markersize=5.5, capsize=0,
            elinewidth=1.3, linewidth=1.1, linestyle=(0, (1, 1.5)) if baseline else "-", alpha=0.95,
            markerfacecolor="white" if baseline else colour[method], markeredgewidth=1.2, label=mathtext(display(method)),
        )  # fmt: skip


def _upper(axes: Axes, summary: Summary) -> None:
    grey = colours([])[UPPER_BOUND]
    mean = summary.mean
    axes.axhspan(mean.low, mean.high, color=grey, alpha=0.14, linewidth=0)
    axes.axhline(mean.estimate, color=grey, linestyle="--", linewidth=1.2, label=display(UPPER_BOUND))


def _budget_axis(axes: Axes, budgets: Sequence[str]) -> None:
    axes.set_xticks(range(len(budgets)), budgets)
    axes.set_xlim(-0.45, len(budgets) - 0.55)
    axes.set_xlabel("labelled volumes")
    axes.grid(axis="x", visible=False)


def _gain(a: DatasetAnalysis) -> Plot:
    methods = [m for m in a.methods if m != BASELINE]
    means, colour = draw_means(a), colours(a.methods)
    figure = canvas(max(8.0, min(10.0, 2.6 + 2.5 * len(a.budgets))), 1.0 + 0.48 * len(methods))
    panels = figure.subplots(1, len(a.budgets), sharey=True, squeeze=False)[0]
    for axes, budget in zip(panels, a.budgets, strict=True):
        axes.axvline(0, color=INK, linewidth=1)
        for row, method in enumerate(methods):
            own = means[(means["method"] == method) & (means["budget"] == budget)]
            _gain_row(axes, a, method, budget, len(methods) - 1 - row, own["gain"].to_numpy(), colour[method])
        axes.set_title(volumes(budget))
        axes.set_xlabel("gain in Dice")
        axes.grid(axis="y", visible=False)
    panels[0].set_yticks(range(len(methods)), [mathtext(display(m)) for m in reversed(methods)])
    panels[0].tick_params(axis="y", colors=INK, length=0)
    panels[0].set_ylim(-0.6, len(methods) - 0.4)
    held = [c for c in a.comparisons if c.verdict in ("better", "worse")]
    return finish(
        figure, f"{a.dataset}-gain", dataset=a.dataset, title="Gain over random initialisation, draw by draw",
        caption="Pale points: one draw of the labelled volumes each, the mean of its subjects and seeds, minus Random init with "
        "the same volumes. Line and marker: mean gain with its bootstrap interval; filled where the difference held after "
        "correction for the number of comparisons, hollow where it is not distinguishable from no gain.",
        alt=f"Dot plot of the paired gain in Dice of {len(methods)} methods over random initialisation at "
        f"{len(a.budgets)} budgets; {len(held)} of {len(a.comparisons)} differences held after correction.",
    )  # fmt: skip


def _gain_row(axes: Axes, a: DatasetAnalysis, method: str, budget: str, y: int, gains: np.ndarray, colour: str) -> None:
    gains = gains[np.isfinite(gains)]
    spread = np.linspace(-0.16, 0.16, len(gains)) if len(gains) > 1 else np.zeros(len(gains))
    axes.scatter(gains, y + spread, s=20, color=colour, alpha=0.35, linewidth=0)
    compared = a.compared(method, budget)
    if compared is None or not np.isfinite(compared.comparison.difference.estimate):
        return
    d = compared.comparison.difference
    held = compared.verdict in ("better", "worse")
    axes.plot([d.low, d.high], [y, y], color=colour, linewidth=2.2, solid_capstyle="round")
    face = colour if held else "white"
    axes.plot(d.estimate, y, marker="D", markersize=7, color=colour, markerfacecolor=face, markeredgewidth=1.6)


def _structures(a: DatasetAnalysis) -> Plot:
    columns = min(3, len(a.structures))
    rows = -(-len(a.structures) // columns)
    figure = canvas(1.8 + 2.6 * max(columns, 3), 3.5 * rows)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, structure in zip(grid.flat, a.structures, strict=False):
        cells = {m: [a.cell(m, n) for n in a.budgets] for m in a.methods}
        _lines(axes, a, {m: [c.structures.get(structure) if c else None for c in of] for m, of in cells.items()})
        if a.upper and structure in a.upper.structures:
            _upper(axes, a.upper.structures[structure])
        axes.set_title(structure)
        _budget_axis(axes, a.budgets)
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
        for method in a.methods:
            own = means[(means["method"] == method) & (means["budget"] == budget)].sort_values("draw")
            baseline = method == BASELINE
            axes.plot(
                own["draw"], own["dice"], color=colour[method], marker=marker[method], markersize=5, linewidth=0.9,
                linestyle=(0, (1, 1.5)) if baseline else "-", markerfacecolor="white" if baseline else colour[method],
                alpha=0.9, label=mathtext(display(method)),
            )  # fmt: skip
        draws = sorted(means.loc[means["budget"] == budget, "draw"].unique())
        axes.set_xticks(draws)
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
