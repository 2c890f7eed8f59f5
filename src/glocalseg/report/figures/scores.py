"""Figures of scores: Dice against labels, gain over random initialisation, structures, and every repeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glocalseg.evaluation.statistics.intervals import Interval
from glocalseg.report.analysis.cells import Compared, DatasetAnalysis
from glocalseg.report.analysis.dataset import repeat_table
from glocalseg.report.figures.figure import INK, Plot, canvas, finish
from glocalseg.report.tables.table import number
from glocalseg.report.text.colours import colours, markers
from glocalseg.report.text.names import ALL, BASELINE, UPPER_BOUND, display, mathtext, plain

DOTTED = (0, (1, 1.5))  # of the baseline
SPREAD = 0.8  # of the methods of one budget, of the distance between budgets: what stripplot leaves them


def score_plots(a: DatasetAnalysis) -> list[Plot]:
    """The figures of one data set's scores, in the order in which the page shows them."""
    plots = [_dice(a), _structures(a), _repeats(a)]
    return [plots[0], _gain(a), *plots[1:]] if _gaining(a) else plots


def _dice(a: DatasetAnalysis) -> Plot:
    figure = canvas(9.6, 4.8)
    axes = figure.subplots()
    means = repeat_table(a)
    shown = means[(means["budget"] != ALL) & means["method"].isin(a.methods)]
    drawn = [m for m in a.methods if any(a.cell(m, n) for n in a.budgets)]  # of others seaborn draws lines without points
    sns.stripplot(
        shown, x="budget", y="dice", hue="method", order=list(a.budgets), hue_order=drawn, palette=colours(a.methods),
        dodge=len(drawn) > 1, jitter=False, size=2.8, alpha=0.35, linewidth=0, legend=False, ax=axes,
    )  # fmt: skip
    _points(axes, a, drawn, {(m, n): c.mean.interval for m in drawn for n in a.budgets if (c := a.cell(m, n))})
    if a.upper:
        _upper(axes, a.upper.mean.interval)
    axes.set_ylabel("Dice (mean over test subjects)")
    axes.set_ylim(_limits([*shown["dice"], *(c.mean.interval.estimate for c in a.cells.values())]))
    axes.legend(*_ordered(axes), loc="center left", bbox_to_anchor=(1.01, 0.5))
    best = "; ".join(
        f"{a.price(n)}: {plain(display(c.method))} highest with {number(c.mean.interval.estimate)}"
        for n in a.budgets
        if (c := a.best(n))
    )
    return finish(
        figure, f"{a.dataset}-dice", dataset=a.dataset, title="Dice against the number of labelled volumes",
        caption="Small dots: a repeat each, its mean over test subjects. Large points: the mean of all repeats; bars: its "
        "interval over subjects and repeats, which may run out of the picture. Methods are moved apart sideways. Dashed line and "
        "band: the network trained on all volumes, with its interval. Overlapping bars do not mean that methods are equal, "
        "because all see the same subjects and repeats: see the next figure. Labelled volumes are counted as they were paid for, "
        "those that chose the weights included.",
        alt=f"Plot of mean Dice against labelled volumes for {len(a.methods)} methods, a dot per repeat. {best}.",
    )  # fmt: skip


def _limits(estimates: Sequence[float]) -> tuple[float, float]:
    """An axis that shows the differences between means; with two or three repeats an interval may run out of it."""
    room = max(0.03, 0.15 * (max(estimates) - min(estimates)))
    return max(0.0, min(estimates) - room), min(1.0, max(estimates) + room)


def _points(axes: Axes, a: DatasetAnalysis, drawn: Sequence[str], means: dict[tuple[str, str], Interval]) -> None:
    """A point with its interval per (method, budget), the points of a method joined."""
    bounds = [
        {"method": method, "budget": budget, "value": value}
        for (method, budget), mean in means.items()
        for value in (mean.low, mean.estimate, mean.high)  # the middle one is their median: seaborn finds all three again
    ]
    rows = pd.DataFrame(bounds, columns=["method", "budget", "value"])
    colour, marker = colours(a.methods), markers(a.methods)
    spread = SPREAD * (len(drawn) - 1) / max(1, len(drawn))
    sns.pointplot(
        rows, x="budget", y="value", hue="method", order=list(a.budgets), hue_order=drawn, palette=colour,
        estimator="median", errorbar=("pi", 100), dodge=spread or False,
        markers=[marker[m] for m in drawn], linestyles=[DOTTED if m == BASELINE else "-" for m in drawn],
        markersize=5.5, linewidth=1.1, err_kws={"linewidth": 1.3}, alpha=0.95, legend=False, ax=axes,
    )  # fmt: skip
    for method, line in zip(drawn, [line for line in axes.lines if line.get_marker() not in ("", "None")], strict=True):
        line.set(label=mathtext(display(method)), markeredgewidth=1.2)
        if method == BASELINE:
            line.set_markerfacecolor("white")
    axes.set_xticks(range(len(a.budgets)), [_two_lines(a.price(n)) for n in a.budgets])
    axes.set_xlabel("labelled volumes")
    axes.set_xlim(-0.45, len(a.budgets) - 0.55)
    axes.grid(axis="x", visible=False)


def _two_lines(price: str) -> str:
    """A price that fits below its points: ``1 + 6`` above ``for selection``."""
    return price.replace(" for", "\nfor").replace(" (", "\n(")


def _upper(axes: Axes, mean: Interval) -> None:
    grey = colours([])[UPPER_BOUND]
    axes.axhspan(mean.low, mean.high, color=grey, alpha=0.14, linewidth=0)
    axes.axhline(mean.estimate, color=grey, linestyle="--", linewidth=1.2, label=display(UPPER_BOUND))


def _gaining(a: DatasetAnalysis) -> list[str]:
    """The methods that are compared with random weights, controls last."""
    controls = [m for m, other in a.references.items() if other == BASELINE]
    return [m for m in (*a.candidates, *controls) if any(a.against_random(m, n) for n in a.budgets)]


def _gain(a: DatasetAnalysis) -> Plot:
    methods = _gaining(a)
    means = repeat_table(a)
    figure = canvas(max(8.0, min(10.0, 2.6 + 2.5 * len(a.budgets))), 1.0 + 0.48 * len(methods))
    panels = figure.subplots(1, len(a.budgets), sharey=True, squeeze=False)[0]
    for axes, budget in zip(panels, a.budgets, strict=True):
        compared = {m: c for m in methods if (c := a.against_random(m, budget))}
        _gains(axes, a, compared, means[means["budget"] == budget], methods)
        axes.set_title(a.price(budget), fontsize=9.5)
    panels[0].set_yticks(range(len(methods)), [mathtext(display(m)) for m in methods])
    for axes in panels:
        axes.tick_params(axis="y", colors=INK, length=0)
    panels[0].set_ylim(len(methods) - 0.4, -0.6)
    all_ = [c for m in methods for n in a.budgets if (c := a.against_random(m, n))]
    marks = "" if a.silent else (
        "; filled where a difference was found after correction for all methods and budgets, hollow where none was"
    )  # fmt: skip
    found = "" if a.silent else f"; {sum(c.held for c in all_)} of {len(all_)} differences held after correction"
    return finish(
        figure, f"{a.dataset}-gain", dataset=a.dataset, title="Gain over random initialisation, repeat by repeat",
        caption="By labelled volumes. Pale points: a repeat each, the mean of its subjects, minus Random init in the same "
        f"repeat. Line and marker: mean gain with its interval over subjects and repeats{marks}.",
        alt=f"Dot plot of the paired gain in Dice of {len(methods)} methods over random initialisation at "
        f"{len(a.budgets)} numbers of labelled volumes{found}.",
    )  # fmt: skip


def _gains(
    axes: Axes, a: DatasetAnalysis, compared: Mapping[str, Compared], means: pd.DataFrame, methods: Sequence[str]
) -> None:
    """One budget: a row a method, its repeats as pale points, its mean gain with the interval."""
    colour = colours(a.methods)
    axes.axvline(0, color=INK, linewidth=1)
    own = means[means["method"].isin(methods)].dropna(subset=["gain"])
    beside = own["repeat"].map({r: i for i, r in enumerate(a.repeats)}) / max(1, len(a.repeats) - 1) - 0.5
    if len(own):
        sns.scatterplot(
            x=own["gain"], y=own["method"].map({m: i for i, m in enumerate(methods)}) + 0.5 * beside, hue=own["method"],
            palette=colour, s=18, alpha=0.4, linewidth=0, legend=False, ax=axes,
        )  # fmt: skip
    for method in methods:
        if method not in compared or not np.isfinite(compared[method].comparison.gain.mean.interval.estimate):
            continue
        gain = compared[method].comparison.gain.mean.interval
        sns.pointplot(
            x=[gain.low, gain.estimate, gain.high], y=[method] * 3, order=methods, orient="h", estimator="median",
            errorbar=("pi", 100), color=colour[method], markers="D", markersize=7, markeredgewidth=1.6, linestyle="none",
            markerfacecolor=colour[method] if compared[method].held else "white", err_kws={"linewidth": 2.2}, ax=axes,
        )  # fmt: skip
    axes.set_xlabel("gain in Dice")
    axes.set_ylabel("")
    axes.grid(axis="y", visible=False)


def _structures(a: DatasetAnalysis) -> Plot:
    columns = min(3, len(a.structures))
    rows = -(-len(a.structures) // columns)
    figure = canvas(1.8 + 2.6 * max(columns, 3), 3.5 * rows)
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, structure in zip(grid.flat, a.structures, strict=False):
        cells = [c for m in a.methods for n in a.budgets if (c := a.cell(m, n)) and structure in c.structure_means]
        drawn = list(dict.fromkeys(c.method for c in cells))
        _points(axes, a, drawn, {(c.method, c.budget): c.structure_means[structure].interval for c in cells})
        if a.upper and structure in a.upper.structure_means:
            _upper(axes, a.upper.structure_means[structure].interval)
        axes.set_title(structure)
        axes.set_ylabel("")
    for axes in list(grid.flat)[len(a.structures) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("Dice")
    grid[0, 0].set_ylim(_limits([m.interval.estimate for c in a.cells.values() for m in c.structure_means.values()]))
    _legend(figure, grid.flat[0])
    return finish(
        figure, f"{a.dataset}-structures", dataset=a.dataset, title="Dice per structure",
        caption="As the first figure, for each structure by itself, on one common scale, without single repeats.",
        alt=f"Line plots of Dice against labelled volumes for the structures {', '.join(a.structures)}.",
    )  # fmt: skip


def _repeats(a: DatasetAnalysis) -> Plot:
    means, colour, marker = repeat_table(a), colours(a.methods), markers(a.methods)
    figure = canvas(max(9.0, 2.4 + 2.4 * len(a.budgets)), 3.6)
    panels = figure.subplots(1, len(a.budgets), sharey=True, squeeze=False)[0]
    for axes, budget in zip(panels, a.budgets, strict=True):
        own = means[(means["budget"] == budget) & means["method"].isin(a.methods)]
        own = own.assign(place=own["repeat"].map({r: i for i, r in enumerate(a.repeats)}))
        for method in a.methods:
            baseline = method == BASELINE
            sns.lineplot(
                own[own["method"] == method], x="place", y="dice", color=colour[method], marker=marker[method], markersize=5,
                linewidth=0.9, linestyle=DOTTED if baseline else "-", alpha=0.9, errorbar=None,
                markerfacecolor="white" if baseline else colour[method], markeredgecolor=colour[method],
                label=mathtext(display(method)), legend=False, ax=axes,
            )  # fmt: skip
        many = len(a.repeats) > 12 or max(map(len, a.repeats)) > 4
        axes.set_xticks(range(len(a.repeats)), a.repeats, fontsize=7.5 if many else 9, rotation=90 if many else 0)
        axes.set_xlabel("repeat")
        axes.set_title(a.price(budget), fontsize=9.5)
    panels[0].set_ylabel("Dice (mean of subjects)")
    _legend(figure, panels[0])
    return finish(
        figure, f"{a.dataset}-repeats", dataset=a.dataset, title="Every repeat",
        caption="By labelled volumes. Each repeat labels other volumes and has other seeds; all methods got the same ones. Where "
        "the lines go up and down together, the choice of the volumes matters more than the method. The order of repeats means "
        "nothing; lines only guide the eye.",
        alt=f"Line plots of mean Dice by repeat for {len(a.methods)} methods at {len(a.budgets)} numbers of labelled volumes.",
    )  # fmt: skip


def _ordered(axes: Axes) -> tuple[list[Artist], list[str]]:
    """Handles and labels of a legend, the upper bound last."""
    pairs = list(zip(*axes.get_legend_handles_labels(), strict=True))
    pairs.sort(key=lambda pair: pair[1] == display(UPPER_BOUND))
    return [handle for handle, _ in pairs], [str(label) for _, label in pairs]


def _legend(figure: Figure, axes: Axes) -> None:
    figure.legend(*_ordered(axes), loc="outside right center", labelcolor=INK)
